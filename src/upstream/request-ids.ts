import { randomInt } from "node:crypto";

/** Clients count from 0 or 1, and seldom send so many requests in one session. */
const MIN_ID = 1_000_000;
/** The highest first id. */
const MAX_FIRST_ID = 900_000_000;
/** Fits into 31 bits; some servers refuse an id of ten digits. */
const MAX_ID = 999_999_999;

/**
 * Returns an id for a request to a server, or for its progress: unique in this process across all sessions, and probably different from the
 * ids of other replicas and of forwarded clients. Some servers know requests by the id alone, across all sessions, and send the answer to
 * the last one who asked. Never 0: some servers do not cancel a request with a falsy id.
 */
export function nextRequestId(): number {
  if (given === undefined || given.last >= MAX_ID) {
    const first = randomInt(MIN_ID, MAX_FIRST_ID);
    given = { first, last: first };
  } else {
    given.last += 1;
  }
  return given.last;
}

/** Whether an id belongs to a request of this process. */
export function wasGiven(id: unknown): boolean {
  return given !== undefined && typeof id === "number" && id >= given.first && id <= given.last;
}

let given: { readonly first: number; last: number } | undefined;
