import type { Nudge } from "./task-store.ts";

/**
 * What a task store needs of a key-value store. Single keys only, no transactions and no scripts, so that one process's
 * map, a directory on disk and any server that can set a key if it is absent all qualify.
 *
 * Values are plain objects that survive JSON. Every `ttlMs` is a positive integer, counted from the write; a key may outlive it,
 * never the other way round. Every method rejects with `StoreUnavailable`, also after `close`, and then nothing is known.
 */
export interface Backend {
  /** Whether other processes may use the same store at the same time. */
  readonly isShared: boolean;
  /** Whether writes are taken, as far as that is known without trying. Absent: they are. */
  readonly isWritable?: boolean;
  /** One round trip. Answers in the order of the keys; `undefined` where there is nothing. */
  getMany(keys: readonly string[]): Promise<readonly unknown[]>;
  /** Resolves once the value is durable; its entries are before it is. For keys with one writer. */
  set(key: string, value: object, ttlMs: number, entries?: readonly ListEntry[]): Promise<void>;
  /**
   * Sets the key if it is absent and resolves, once that is durable, with what stands: `value` or what was there before.
   * Repeating it is harmless, so a lost reply is too. Entries are durable before their value, and may be written for a value that
   * does not stand.
   */
  claim(key: string, value: object, ttlMs: number, entries?: readonly ListEntry[]): Promise<unknown>;
  /** The members of a list that come after `after`, in order, at most `limit`. Some may have outlived their time. */
  list(list: string, after: string, limit: number): Promise<readonly string[]>;
  /** Takes a member out of a list; no member is no error. */
  unlist(list: string, member: string): Promise<void>;
  /** Tells every watcher, in this process and in any other on the same store. Best effort. */
  publish(nudge: Nudge): void;
  /**
   * Hears what is published, and `missed` whenever something may have been published that was not heard. Returns how to stop.
   */
  watch(listener: (nudge: Nudge) => void): () => void;
  /** Lets what has begun finish, then refuses everything. */
  close(): Promise<void>;
}

/**
 * A place in a list. A list is in the order of the bytes of its members; name and members are made of the letters of base64url.
 * Writing a member again changes nothing but its time, which is counted from the last write. A member may outlive its time,
 * never the other way round.
 *
 * Where keys are ordered, a member is a key that begins with the name of its list. In Redis a list is two sorted sets. In one
 * all scores are 0, which keeps the members in order (`ZADD`; `ZRANGE` with `BYLEX` and `LIMIT`). In the other the score is the end
 * of a member's time, an hour added because clocks differ, so that some of those who add one can take out of both what is over
 * (`ZRANGEBYSCORE` with `LIMIT`, `ZREM`). First the score, then the member, then the value: should it end in between, there is a
 * member without a value, which goes in its time.
 *
 * Both keys stay longer than their members, and twice as long as whoever adds one needs (`PEXPIRE` with `NX`, then `GT`), so that
 * it need not be done with each. An empty word is in both for as long: a sorted set without members would be gone, and the next
 * one without an end.
 */
export interface ListEntry {
  readonly list: string;
  readonly member: string;
  readonly ttlMs: number;
}
