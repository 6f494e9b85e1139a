import type { IncomingMessage } from "node:http";
import { namesOneRequest } from "../../protocol/request-headers.ts";
import type { Caller, Route } from "../../requests/request.ts";

/**
 * Identifies the caller, before any of the body is read.
 * @throws RpcError when the request is refused for want of a credential, or because of it
 */
export type Identify = (request: IncomingMessage, route: Route) => Caller | Promise<Caller>;

/**
 * All clients are one caller, and the ids of tasks are the only keys to them. The forwarded headers are still each client's own, and no two
 * sets of them ever share a session.
 */
export const anonymous: Identify = (request, route) => {
  const { forwardHeaders } = route.config.upstream;
  return forwardHeaders.length === 0
    ? ANYBODY
    : { ...ANYBODY, headers: forwardedHeaders(request, forwardHeaders) };
};

const ANYBODY: Caller = { key: "anonymous", headers: {} };

/**
 * The headers of a request that its route's server gets, whichever handler answers. Names in lower case. Leaves out headers that differ in
 * each request: nothing that is kept for a caller may depend on them (`requestHeaders`).
 */
export function forwardedHeaders(
  { headers }: IncomingMessage,
  names: readonly string[],
): Readonly<Record<string, string>> {
  if (names.length === 0) return NONE;
  const forwarded = names.flatMap((name) => {
    const value = namesOneRequest(name) ? undefined : headers[name];
    return value === undefined ? [] : [[name, String(value)] as const];
  });
  return forwarded.length === 0 ? NONE : Object.fromEntries(forwarded);
}

const NONE: Readonly<Record<string, string>> = {};
