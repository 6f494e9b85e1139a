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
