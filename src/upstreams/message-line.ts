import { isObject, isRequestId, type JsonRpcMessage, parseJson } from "../protocol/jsonrpc.ts";
import { messageText } from "../protocol/raw-json.ts";
import { type Incoming, readIncoming, UnusableAnswer } from "./unusable-answer.ts";

/** What a line of a server's output says (2025-11-25, Transports §stdio). */
export function readMessages(line: Buffer): readonly Incoming[] {
  if (beginsAs(line, MESSAGE)) return readIncoming(line.toString("utf8"));
  return [beginsAs(line, SPREAD) ? SPREAD_OUT : undefined];
}

/** What there is to say instead of a message that is not passed on: to whoever asked for it, or back to the server that asks. */
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

/** Who writes more blanks than that before a message writes no messages. */
const MAX_INDENT = 1_024;

/** A message as the line that it is sent as. Between the parts of a text that came from a client a line break is space like any other. */
export function toLine(message: JsonRpcMessage): string {
  return `${messageText(message).replaceAll("\n", " ").replaceAll("\r", " ")}\n`;
}

const MESSAGE = /^(?:\u00ef\u00bb\u00bf)?\s*[{[]/;
/** A line out of the middle of a message that is written over several. */
const SPREAD = /^\s*"jsonrpc"\s*:/;
const SPREAD_OUT = new UnusableAnswer(
  undefined,
  "it is written over several lines, and a message must be one line",
);

/** A server that writes a log to its output writes a lot of it, and an error for every line is dear. */
function beginsAs(line: Buffer, pattern: RegExp): boolean {
  return pattern.test(line.toString("latin1", 0, MAX_INDENT));
}

function parse(line: Buffer): unknown {
  return parseJson(line.toString("utf8"));
}
