/** JSON-RPC 2.0 as MCP uses it: ids are strings or integers, never null (2026-07-28, Overview §Requests). */

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export type JsonObject = { readonly [key: string]: unknown };

/** A value that has been serialised already, so that it can be spliced into an answer without parsing it again. */
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
 * JSON that stays the text it came in: of some megabytes of `[{},{},…]` a tree takes 25 times as much memory. To nobody is it an object
 * whose members could be read, and it is written as it came.
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

  /** What it says. To be let go of at once. */
  parse(): unknown {
    return JSON.parse(this.text);
  }

  /** For whoever writes it in another way than `messageText` does. */
  toJSON(): unknown {
    return this.parse();
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof RawJson);
}

/** Whether it is the text of an object, or one that has been parsed. */
export function saysObject(value: unknown): boolean {
  return value instanceof RawJson ? value.isObject : isObject(value);
}

/**
 * A string or an integer, as exact as it was sent; `0` and `""` are ids like any other. One that is longer than any program makes
 * is none: ids are kept, and said again with every message of a stream.
 */
export function isRequestId(value: unknown): value is RequestId {
  return typeof value === "string" ? value.length <= MAX_ID_CHARS : Number.isSafeInteger(value);
}

const MAX_ID_CHARS = 1_024;

/** What a text says; `undefined` when it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Whether what the other side says is an id, or a progress token, of ours: a text that spells our number is our number. There are
 * servers that keep ids as texts, and every official SDK takes that from them.
 */
export function isSameId(said: unknown, ours: unknown): boolean {
  return said === ours || (typeof ours === "number" && ours === numberIn(said));
}

/** The number that a text spells: `7`, `7.0`. */
export function numberIn(text: unknown): number | undefined {
  if (typeof text !== "string" || text === "" || text.length > MAX_NUMBER_CHARS) return undefined;
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : undefined;
}

const MAX_NUMBER_CHARS = 32;

/** Whether a message is the answer to a request of ours, and no request of the other side's that has the same id. */
export function isAnswerTo(message: unknown, id: RequestId): message is JsonObject {
  return isObject(message) && message.method === undefined && isSameId(message.id, id);
}

/** An object's text with more members, before those that it has. */
export function withFirstMembers(object: JsonText, members: readonly string[]): JsonText {
  if (members.length === 0) return object;
  return `{${members.join(",")}${object === "{}" ? "}" : `,${object.slice(1)}`}` as JsonText;
}

export function toJson(value: unknown): JsonText {
  return JSON.stringify(value) as JsonText;
}
