/** What goes with a client's message that its text does not have: the headers that it came with, and the memory that it takes. */

import type { SharedBytes } from "../../limits/bytes.ts";
import { isObject, isRequest, type JsonRpcMessage, type JsonRpcRequest } from "../../protocol/jsonrpc.ts";
import { withTraceContext } from "../../protocol/request-headers.ts";

type Headers = Readonly<Record<string, string>>;

/** Of requests that go to the server later than the HTTP request that brought them, or without one. */
const brought = new WeakMap<JsonRpcMessage, Headers>();

/**
 * A request of a client, noted with the headers that belong to it alone; their trace context is in its `_meta` as well, for servers that see
 * no headers. Any other message is returned as it is.
 */
export function withHeaders(message: JsonRpcMessage, headers: Headers): JsonRpcMessage {
  if (!isRequest(message) || Object.keys(headers).length === 0) return message;
  const { params = {} } = message;
  const traced = isObject(params) ? withTraceContext(params, headers) : params;
  const request = traced === params ? message : { ...message, params: traced };
  brought.set(request, headers);
  return request;
}

/** The headers with which the server is to get a request; undefined: none of its own. */
export function headersOf(request: JsonRpcRequest): Headers | undefined {
  return brought.get(request);
}

/** Of messages that may outlive the request that brought them. */
const counted = new WeakMap<JsonRpcMessage, SharedBytes>();
const nothing = () => {};

/** Notes where the memory of a message is counted. */
export function countMessage(message: JsonRpcMessage, held: SharedBytes | undefined): void {
  if (held !== undefined) counted.set(message, held);
}

/** Where the memory of a message is counted. */
export function bytesOf(message: JsonRpcMessage): SharedBytes | undefined {
  return counted.get(message);
}

/** Keeps a message, and its memory counted. Returns the function that releases it. */
export function keep(message: JsonRpcMessage): () => void {
  return counted.get(message)?.share() ?? nothing;
}
