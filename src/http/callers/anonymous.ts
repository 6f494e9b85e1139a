import type { Caller } from "../../requests/request.ts";
import { forwardedHeaders, type Identify } from "./identify.ts";

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
