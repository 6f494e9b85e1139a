import type { Nudge } from "./task-store.ts";

/**
 * What a task store needs from a key-value store: single keys, no transactions, no scripts. A map in one process, a directory on
 * disk and any server that can set a key if it is absent all qualify.
 *
 * Values are plain objects that survive JSON. Every `ttlMs` is a positive integer, counted from the write; a key may outlive it but
 * never expires earlier. Every method can reject with `StoreUnavailable`, always after `close`; a write may then have been made or not.
 */
export interface Backend {
  /** Whether other processes may use the same store at the same time. */
  readonly isShared: boolean;
  /** Whether the store accepts writes, as far as the backend knows without trying. Absent: it does. */
  readonly isWritable?: boolean;
  /** Reads in one round trip. Resolves with the values in the order of the keys, `undefined` for a missing key. */
  getMany(keys: readonly string[]): Promise<readonly unknown[]>;
  /** Writes a key that has one writer. Resolves once the value is durable; the entries become durable before it. */
  set(key: string, value: object, ttlMs: number, entries?: readonly ListEntry[]): Promise<void>;
  /**
   * Sets the key if it is absent. Resolves, once that is durable, with the stored value: `value` or an earlier one. The caller may
   * repeat a claim, so a lost reply does no harm. Entries become durable before the value, and may be written even if the claim fails.
   * @param spent what nobody needs once the key stands: removed along with the write where the storage can, else after it, and left where
   * it is if that fails
   */
  claim(
    key: string,
    value: object,
    ttlMs: number,
    entries?: readonly ListEntry[],
    spent?: Spent,
  ): Promise<unknown>;
  /** The members of a list after `after`, in order, at most `limit`. Some may be past their `ttlMs`. */
  list(list: string, after: string, limit: number): Promise<readonly string[]>;
  /** The members of a list before `before`, the last first, at most `limit`. Some may be past their `ttlMs`. */
  listBack(list: string, before: string, limit: number): Promise<readonly string[]>;
  /** Removes a member from a list; a missing member is no error. */
  unlist(list: string, member: string): Promise<void>;
  /** Sends the nudge to every watcher, in this process and in others on the same store. Best effort. */
  publish(nudge: Nudge): void;
  /** Calls `listener` with every nudge, and with `missed` whenever a nudge may have been lost. Returns a function that stops it. */
  watch(listener: (nudge: Nudge) => void): () => void;
  /** Lets running operations finish and rejects new ones. */
  close(): Promise<void>;
}

/** Comes after every member of a list. */
export const LIST_END = "~";

/**
 * A member of a list. Lists are ordered by the bytes of their members; list names and members consist of base64url characters.
 * Writing a member again only restarts its `ttlMs`. A member may outlive its `ttlMs` but never expires earlier.
 *
 * Where keys are ordered, a member is a key that begins with the name of its list. In Redis a list is two sorted sets. In one all
 * scores are 0, which keeps the members in order (`ZADD`; `ZRANGE` with `BYLEX` and `LIMIT`). In the other the score is the time at
 * which the member expires, plus an hour because clocks differ; every few additions the writer removes expired members from both
 * (`ZRANGEBYSCORE` with `LIMIT`, `ZREM`). The order is score, member, value: a crash in between leaves a member without a value,
 * which expires in time.
 *
 * Both keys outlive their members. The writer gives them twice the time that it needs (`PEXPIRE` with `NX`, then `GT`), so that it
 * need not renew it with every member. Both sets also hold an empty string: Redis deletes an empty sorted set, and the next one would
 * have no expiry.
 */
export interface ListEntry {
  readonly list: string;
  readonly member: string;
  readonly ttlMs: number;
}

/** Cells and members of lists that nobody needs any more. */
export interface Spent {
  /** All of one task. */
  readonly keys: readonly string[];
  readonly members: readonly Pick<ListEntry, "list" | "member">[];
}
