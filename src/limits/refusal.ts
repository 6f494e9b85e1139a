import type { RateLimit } from "../config/config.ts";
import { type RpcError, rpc } from "../protocol/errors.ts";
import type { Reached } from "./counter.ts";

/** Long enough for retries to be no burden; by then something has probably ended. */
const RETRY_AFTER_MS = 1_000;

/**
 * The error for a limit that is reached. 429 (RFC 6585 §4) for a caller that has used up its own share: another gateway would not help.
 * 503 (RFC 9110 §15.6.4) when all callers together have used up what this gateway has: a load balancer may know another with some left.
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

/** A setting that is a number of things. A caller's share of the last three is derived, not a setting. */
export type CountedSetting = "tasks" | "bytes" | "streams" | "sessions" | "storedBytes";

/** The error for requests that come too often, naming the setting: only slowing down helps. */
export function tooOften(limit: string, rate: RateLimit, retryAfterMs: number): RpcError {
  return rpc.limitExceeded({ limit, max: rateText(rate), httpStatus: 429, retryAfterMs });
}

function rateText({ count, perMs }: RateLimit): string {
  return `${count}/${UNITS[perMs] ?? `${perMs}ms`}`;
}

const UNITS: Readonly<Record<number, string>> = { 1000: "s", 60000: "m", 3600000: "h" };
