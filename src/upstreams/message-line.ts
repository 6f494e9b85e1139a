import { isJsonRpcError } from "../protocol/errors.ts";
import { isObject, isRequestId, type JsonRpcMessage } from "../protocol/jsonrpc.ts";

/**
 * What a line of a server's output says (2025-11-25, Transports §stdio): one message, or the messages of a batch
 * (2025-03-26). `undefined` stands for what is no message. Unknown fields are kept.
 */
export function readMessages(line: Buffer): readonly (JsonRpcMessage | undefined)[] {
  const value = parse(line);
  const parts: readonly unknown[] = Array.isArray(value) ? value : [value];
  return parts.map((part) => (isMessage(part) ? part : unreadable(part)));
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

/** A message as the line that it is sent as. JSON as it is made here has no line break in it. */
export function toLine(message: JsonRpcMessage): string {
  return `${JSON.stringify(message)}\n`;
}

/** What is certainly an answer to a request must not leave that waiting for another one. */
function unreadable(value: unknown): JsonRpcMessage | undefined {
  if (!isObject(value) || value.jsonrpc !== "2.0" || !isRequestId(value.id)) return undefined;
  const isAnswer = value.result !== undefined || value.error !== undefined;
  if (value.method !== undefined && (typeof value.method === "string" || !isAnswer)) return undefined;
  const error = { code: -32603, message: "The server's answer has neither a result nor an error" };
  return { jsonrpc: "2.0", id: value.id, error };
}

function parse(line: Buffer): unknown {
  // A server that writes a log to its output writes a lot of it, and an error for every line is dear.
  if (!/^\s*[{[]/.test(line.toString("latin1", 0, MAX_INDENT))) return undefined;
  try {
    return JSON.parse(line.toString("utf8"));
  } catch {
    return undefined;
  }
}

/** Whether a value is one message. */
export function isMessage(value: unknown): value is JsonRpcMessage {
  if (!isObject(value) || value.jsonrpc !== "2.0") return false;
  const { id, method } = value;
  // One whose method is no name is not an answer either: others would take it for a request.
  if (method !== undefined) return typeof method === "string" && (id === undefined || isRequestId(id));
  if (isJsonRpcError(value.error)) return id === undefined || isRequestId(id);
  // With an error beside it that is none, nobody could tell which of the two is meant.
  return isRequestId(id) && isObject(value.result) && value.error === undefined;
}
