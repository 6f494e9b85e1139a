const [SECOND, MINUTE, HOUR] = [1_000, 60_000, 3_600_000];

/** The pauses between tries, as Standard Webhooks advises: ten tries in three days. */
const PAUSES_MS = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
] as const;
/** So that the events of an outage do not all come back at the same moment. */
const JITTER = 0.2;
/** A receiver that asks for more is tried again all the same. */
const MAX_RETRY_AFTER_MS = 24 * HOUR;

/**
 * How long to wait after a try that failed, in milliseconds.
 * @param attempts how often it has been tried, from 1
 * @param retryAfterMs what the receiver asks for
 * @param random from 0 to 1
 */
export function pauseMs(attempts: number, retryAfterMs = 0, random = Math.random()): number {
  const pause = PAUSES_MS[Math.min(attempts, PAUSES_MS.length) - 1] ?? PAUSES_MS[0];
  return Math.max(pause * (1 + JITTER * random), Math.min(retryAfterMs, MAX_RETRY_AFTER_MS));
}

const FAILURES_ALLOWED = 5;
const MAX_REST_MS = 5 * MINUTE;

/** So long a receiver is left alone that asks for it, with everything that it is to be told. */
const MAX_ASKED_REST_MS = 10 * MINUTE;

/**
 * How long a receiver is left alone that has failed so often in a row, whatever it was told; 0: not at all.
 * @param retryAfterMs what the receiver asks for
 */
export function restMs(failures: number, retryAfterMs = 0): number {
  const own = failures < FAILURES_ALLOWED ? 0 : 5 * SECOND * 2 ** Math.min(failures - FAILURES_ALLOWED, 10);
  return Math.max(Math.min(own, MAX_REST_MS), Math.min(retryAfterMs, MAX_ASKED_REST_MS));
}

/** As the Events extension advises: five tries in ten minutes, none later than a quarter of an hour. */
const EVENT_PAUSES_MS = [5 * SECOND, 30 * SECOND, 2 * MINUTE, 5 * MINUTE] as const;
export const EVENT_ATTEMPTS = EVENT_PAUSES_MS.length + 1;
export const EVENT_AGE_MS = 15 * MINUTE;
const MAX_EVENT_REST_MS = MINUTE;

/** As `pauseMs`, for a client's subscription. A receiver that asks for more than the tries take is tried all the same. */
export function eventPauseMs(attempts: number, retryAfterMs = 0, random = Math.random()): number {
  const pause = EVENT_PAUSES_MS[Math.min(attempts, EVENT_PAUSES_MS.length) - 1] ?? EVENT_PAUSES_MS[0];
  return Math.max(pause * (1 + JITTER * random), Math.min(retryAfterMs, 5 * MINUTE));
}

/** As `restMs`, for a client's subscription. */
export function eventRestMs(failures: number, retryAfterMs = 0): number {
  return Math.min(restMs(failures, retryAfterMs), MAX_EVENT_REST_MS);
}
