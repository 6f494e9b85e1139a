import { randomInt } from "node:crypto";

/** Clients count from 0 or 1, and a session with a server seldom sees so many requests. */
const MIN_ID = 1_000_000;
/** Where counting begins at the latest. */
const MAX_FIRST_ID = 900_000_000;
/** Fits into 31 bits, and there are servers that refuse an id of ten digits. */
const MAX_ID = 999_999_999;

/**
 * An id for a request to a server, or for its progress: one that no other request of this process has, whichever session that is in, and
 * probably none of another replica's or of a client that is forwarded. There are servers that know requests by the id alone, across all
 * sessions, and give the answer to whoever asked last. Never 0, since some servers do not cancel a request with a falsy id.
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

/** Whether an id is that of a request of this process. */
export function wasGiven(id: unknown): boolean {
  return given !== undefined && typeof id === "number" && id >= given.first && id <= given.last;
}

let given: { readonly first: number; last: number } | undefined;
