import type { RateLimit } from "../config/config.ts";
import { type RpcError, rpc } from "../protocol/errors.ts";
import type { Reached } from "./counter.ts";

/** Long enough not to be a burden, and short enough for something to have ended. */
const RETRY_AFTER_MS = 1_000;

/**
 * There is no more of something. A caller that has had its own share is told so with 429 (RFC 6585 §4): to ask another gateway in
 * its place would be no better. What all have used up together is the gateway's own lack, and a load balancer may well know another one
 * that has some left: 503 (RFC 9110 §15.6.4).
 */
export function limitReached(
  { scope, max }: Reached,
  setting: CountedSetting,
  retryAfterMs = RETRY_AFTER_MS,
): RpcError {
  const isShare = scope === "perCaller" && setting !== "tasks" && setting !== "bytes";
  const limit = isShare ? `one caller's share of limits.total.${setting}` : `limits.${scope}.${setting}`;
  return rpc.limitExceeded({ limit, max, httpStatus: scope === "perCaller" ? 429 : 503, retryAfterMs });
}

/** A setting that is a number of things. Of the last three, callers have shares that are no settings of their own. */
export type CountedSetting = "tasks" | "bytes" | "streams" | "sessions" | "storedBytes";

/** A caller's requests come too often: not to send them so often is all that helps. */
export function tooOften(what: "calls" | "polls", rate: RateLimit, retryAfterMs: number): RpcError {
  const limit = `limits.perCaller.${what}`;
  return rpc.limitExceeded({ limit, max: rateText(rate), httpStatus: 429, retryAfterMs });
}

function rateText({ count, perMs }: RateLimit): string {
  return `${count}/${UNITS[perMs] ?? `${perMs}ms`}`;
}

const UNITS: Readonly<Record<number, string>> = { 1000: "s", 60000: "m", 3600000: "h" };
