import { isJsonRpcError } from "../protocol/errors.ts";
import { isObject, isRequestId, type JsonRpcMessage } from "../protocol/jsonrpc.ts";

/**
 * What a line of a server's output says (2025-11-25, Transports §stdio): one message, or the messages of a batch
 * (2025-03-26). `undefined` stands for what is no message. Unknown fields are kept.
 */
export function readMessages(line: Buffer): readonly (JsonRpcMessage | undefined)[] {
  const value = parse(line);
  const parts: readonly unknown[] = Array.isArray(value) ? value : [value];
  return parts.map((part) => (isMessage(part) ? part : undefined));
}

/** A message as the line that it is sent as. JSON as it is made here has no line break in it. */
export function toLine(message: JsonRpcMessage): string {
  return `${JSON.stringify(message)}\n`;
}

function parse(line: Buffer): unknown {
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
  if (typeof method === "string") return id === undefined || isRequestId(id);
  if (isJsonRpcError(value.error)) return id === undefined || isRequestId(id);
  return isRequestId(id) && isObject(value.result);
}
