import type { IncomingMessage } from "node:http";
import type { Caller, Route } from "../../lanes/lane.ts";
import { namesOneRequest } from "../../protocol/request-headers.ts";

/**
 * Finds out who is calling, before anything of the body is read.
 * @throws RpcError when the request is refused for want of a credential, or because of it
 */
export type Identify = (request: IncomingMessage, route: Route) => Caller | Promise<Caller>;

/**
 * The headers of a request that its route's server is to see, whatever lane it takes. Names in lower case. Without those that are others in
 * each request: nothing of what is kept for a caller may depend on them (`requestHeaders`).
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
