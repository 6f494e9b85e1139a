/** JSON-RPC 2.0 as MCP uses it: ids are strings or integers, never null (2026-07-28, Overview §Requests). */

export type JsonObject = { readonly [key: string]: unknown };

/** A serialised value, which the gateway can put into an answer without parsing it. */
export type JsonText = string & { readonly __json: unique symbol };

export type RequestId = string | number;

export interface JsonRpcRequest {
  readonly jsonrpc: "2.0";
  readonly id: RequestId;
  readonly method: string;
  readonly params?: JsonObject;
}

export interface JsonRpcNotification {
  readonly jsonrpc: "2.0";
  readonly method: string;
  readonly params?: JsonObject;
}

export interface JsonRpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

export type JsonRpcResponse =
  | { readonly jsonrpc: "2.0"; readonly id: RequestId; readonly result: JsonObject }
  | { readonly jsonrpc: "2.0"; readonly id?: RequestId; readonly error: JsonRpcError };

export type JsonRpcMessage = JsonRpcRequest | JsonRpcNotification | JsonRpcResponse;

/**
 * JSON that stays the text in which it came: parsed, some megabytes of `[{},{},…]` take 25 times as much memory. `isObject` is false for it,
 * so no code reads its members, and `messageText` writes it as it came.
 */
export class RawJson {
  readonly text: string;

  /** @param text valid JSON */
  constructor(text: string) {
    this.text = text;
  }

  get isObject(): boolean {
    return this.text.startsWith("{");
  }

  /** Parses the text. Callers must not keep the value. */
  parse(): unknown {
    return JSON.parse(this.text);
  }

  /** For code that serialises it otherwise than by `messageText`. */
  toJSON(): unknown {
    return this.parse();
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof RawJson);
}

/** Whether a value is an object, parsed or as text. */
export function saysObject(value: unknown): boolean {
  return value instanceof RawJson ? value.isObject : isObject(value);
}

/**
 * A string, or an integer that JavaScript represents exactly; `0` and `""` are ids like any other. Rejects strings longer than any program
 * makes: the gateway keeps ids and repeats them with every message of a stream.
 */
export function isRequestId(value: unknown): value is RequestId {
  return typeof value === "string" ? value.length <= MAX_ID_CHARS : Number.isSafeInteger(value);
}

const MAX_ID_CHARS = 1_024;

/** Whether a message wants an answer. */
export function isRequest(message: JsonRpcMessage): message is JsonRpcRequest {
  return "method" in message && "id" in message;
}

/** The token under which a request wants to hear of its progress; `undefined`: it gave none. */
export function progressTokenIn(params: unknown): unknown {
  const meta = isObject(params) ? params._meta : undefined;
  return isObject(meta) ? meta.progressToken : undefined;
}

/** The value of a JSON text; `undefined` when it is not valid. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Whether the other side's id, or progress token, is one of ours: a string that spells our number counts. Some servers keep ids as strings,
 * and every official SDK accepts that.
 */
export function isSameId(said: unknown, ours: unknown): boolean {
  return said === ours || (typeof ours === "number" && ours === numberIn(said));
}

/** The integer that a string spells (`7`, `7.0`); `undefined` for any other value. */
export function numberIn(text: unknown): number | undefined {
  if (typeof text !== "string" || text === "" || text.length > MAX_NUMBER_CHARS) return undefined;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : undefined;
}

const MAX_NUMBER_CHARS = 32;

/** Whether a message is the response to our request, and not a request of the other side with the same id. */
export function isAnswerTo(message: unknown, id: RequestId): message is JsonObject {
  return isObject(message) && message.method === undefined && isSameId(message.id, id);
}

/** An object's text with more members before its own. */
export function withFirstMembers(object: JsonText, members: readonly string[]): JsonText {
  if (members.length === 0) return object;
  return `{${members.join(",")}${object === "{}" ? "}" : `,${object.slice(1)}`}` as JsonText;
}

export function toJson(value: unknown): JsonText {
  return JSON.stringify(value) as JsonText;
}
