import { isObject, isRequestId, type JsonRpcMessage, parseJson } from "../../protocol/jsonrpc.ts";
import { messageText } from "../../protocol/raw-json.ts";
import { type Incoming, readIncoming, UnusableAnswer } from "./unusable-answer.ts";

/** Reads one line of a server's output (2025-11-25, Transports §stdio). */
export function readMessages(line: Buffer): readonly Incoming[] {
  if (beginsAs(line, MESSAGE)) return readIncoming(line.toString("utf8"));
  return [beginsAs(line, SPREAD) ? SPREAD_OUT : undefined];
}

/**
 * Makes the error to send in place of a message that the gateway does not pass on: `answer` for the sender of the request that it answers,
 * `refusal` for the server, if it is a request of the server's.
 */
export function excuse(
  line: Buffer,
  why: string,
): { readonly answer?: JsonRpcMessage; readonly refusal?: JsonRpcMessage } {
  const value = parse(line);
  if (!isObject(value) || !isRequestId(value.id)) return {};
  const error = { code: -32603, message: `The server's answer cannot be passed on: ${why}` };
  if (value.method === undefined) return { answer: { jsonrpc: "2.0", id: value.id, error } };
  const untold = { code: -32603, message: "The message cannot be passed on" };
  return { refusal: { jsonrpc: "2.0", id: value.id, error: untold } };
}

/** A line that begins with more blanks than this is taken for no message. */
const MAX_INDENT = 1_024;

/** Writes a message as one line. In the parts of it that a client wrote, line breaks between tokens are space like any other. */
export function toLine(message: JsonRpcMessage): string {
  return `${messageText(message).replaceAll("\n", " ").replaceAll("\r", " ")}\n`;
}

const MESSAGE = /^(?:\u00ef\u00bb\u00bf)?\s*[{[]/;
/** A line from the middle of a message that spans several lines. */
const SPREAD = /^\s*"jsonrpc"\s*:/;
const SPREAD_OUT = new UnusableAnswer(
  undefined,
  "it is written over several lines, and a message must be one line",
);

/** Looks at the beginning only: a server that logs to its output logs a lot, and parsing every line would be expensive. */
function beginsAs(line: Buffer, pattern: RegExp): boolean {
  return pattern.test(line.toString("latin1", 0, MAX_INDENT));
}

function parse(line: Buffer): unknown {
  return parseJson(line.toString("utf8"));
}
