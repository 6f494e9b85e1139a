import type { IncomingMessage } from "node:http";
import type { Caller, Route } from "../lanes/lane.ts";

/** Finds out who is calling. */
export type Identify = (request: IncomingMessage, route: Route) => Caller;

/**
 * Everybody is the same caller, and the ids of tasks are the only keys to them. The headers that the server is to see
 * are the caller's own all the same, and no two sets of them ever share a session.
 */
export const anonymous: Identify = (request, route) => {
  if (route.config.upstream.forwardHeaders.length === 0) return ANYBODY;
  const forwarded = route.config.upstream.forwardHeaders.flatMap((name) => {
    const value = request.headers[name];
    return value === undefined ? [] : [[name, String(value)] as const];
  });
  return { ...ANYBODY, headers: Object.fromEntries(forwarded) };
};

const ANYBODY: Caller = { key: "anonymous", headers: {} };
