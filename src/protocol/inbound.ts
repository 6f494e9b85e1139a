import { rpc } from "./errors.ts";
import { isObject, isRequestId, type JsonObject, type RequestId } from "./jsonrpc.ts";
import { META } from "./modern.ts";

/** One message of a client (2026-07-28, Streamable HTTP §Sending Messages, stdio §Sending Messages). */
export interface Inbound {
  /** Absent: a notification. */
  readonly id?: RequestId | undefined;
  readonly method: string;
  readonly params: JsonObject | undefined;
}

/**
 * The id for the error about a message, however malformed the message is. `null` for a response: its id is not one of the client's, which
 * could take the error for the response to its own request.
 */
export function idOf(message: unknown): RequestId | null {
  if (!isObject(message) || !isRequestId(message.id)) return null;
  const isAnswer =
    message.method === undefined && (Object.hasOwn(message, "result") || Object.hasOwn(message, "error"));
  return isAnswer ? null : message.id;
}

/**
 * Whether a message claims in its `_meta` to be of 2026-07-28 or later (2026-07-28, Versioning §Terminology).
 * `classifyInboundRequest` of the SDK does not serve: it checks the whole body by its schemas, in which arguments cannot stay text, and
 * refuses what the gateway forwards.
 */
export function claimsModern(message: unknown): boolean {
  const meta = isObject(message) && isObject(message.params) ? message.params._meta : undefined;
  return isObject(meta) && CLAIMS.some((key) => Object.hasOwn(meta, key));
}

/**
 * Reads a message, which must be one request or notification: no batch, no response.
 * @throws -32600
 */
export function readMessage(message: unknown): Inbound {
  if (Array.isArray(message))
    throw rpc.invalidRequest("batches are not supported; send one message at a time");
  if (!isObject(message)) throw rpc.invalidRequest("it must be a JSON-RPC message");
  const { jsonrpc, id, method, params } = message;
  if (jsonrpc !== "2.0") throw rpc.invalidRequest('jsonrpc must be "2.0"');
  if (typeof method !== "string") throw rpc.invalidRequest("method must be a string");
  if (id !== undefined && !isRequestId(id)) throw rpc.invalidRequest("id must be a string or an integer");
  if (params !== undefined && !isObject(params)) throw rpc.invalidRequest("params must be an object");
  return { id, method, params };
}

const CLAIMS = [META.protocolVersion, META.clientCapabilities] as const;
