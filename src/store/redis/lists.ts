import type { ListEntry } from "../backend.ts";
import type { RedisConnection } from "./connection.ts";
import { redisListKeys } from "./keys.ts";

/** Members stay so much longer than their `ttlMs`, because the clocks of replicas differ. */
const GRACE_MS = 3_600_000;
/** One addition in so many also removes expired members, up to `MAX_REMOVED`: more than were added meanwhile. */
const ADDED_A_LOOK = 8;
const MAX_REMOVED = 64;
/** How many lists a connection's entry in `#remembered` can hold. */
const MAX_REMEMBERED = 10_000;
/** Sorts before every member. It keeps a list from being empty, so that Redis does not delete its keys and recreate them without expiry. */
const ANCHOR = "";

/** What this process knows of a list on a connection's server. */
interface Remembered {
  /** The list's keys stay at least until then, by `performance.now()`. */
  staysUntil: number;
  added: number;
}

/** The lists of a Redis backend, in the format that `ListEntry` describes. */
export class RedisLists {
  readonly #prefix: string;
  readonly #clock: () => number;
  /** By connection, because the next one may lead to a server that lacks some of the data. */
  readonly #remembered = new WeakMap<RedisConnection, Map<string, Remembered>>();

  /** @param clock milliseconds since the epoch */
  constructor(prefix: string, clock: () => number) {
    this.#prefix = prefix;
    this.#clock = clock;
  }

  /**
   * Adds a member to a list. It sends its commands in this order before it returns, so that the caller's next command comes after them:
   * a crash in between leaves an expiry without a member, or a member without a value.
   */
  async add(connection: RedisConnection, { list, member, ttlMs }: ListEntry): Promise<void> {
    const { members, ends } = redisListKeys(this.#prefix, list);
    const stayMs = ttlMs + GRACE_MS;
    const [now, score] = [performance.now(), String(this.#clock() + stayMs)];
    const known = this.#known(connection, list);
    const isLook = known.added++ % ADDED_A_LOOK === 0;
    if (isLook) void this.#removeOver(connection, list).catch(() => {});
    if (known.staysUntil >= now + stayMs) {
      await Promise.all([
        connection.send(ends, ["ZADD", ends, score, member]),
        connection.send(members, ["ZADD", members, "0", member]),
      ]);
      return;
    }
    // Long enough that the additions that follow need not renew it.
    const longMs = String(2 * stayMs);
    await Promise.all([
      connection.send(ends, ["ZADD", ends, "+inf", ANCHOR, score, member]),
      connection.send(members, ["ZADD", members, "0", ANCHOR, "0", member]),
      // `NX` first: `GT` takes a key without expiry for one that never expires, and does not shorten that.
      ...[ends, members].flatMap((key) =>
        ["NX", "GT"].map((when) => connection.send(key, ["PEXPIRE", key, longMs, when])),
      ),
    ]);
    known.staysUntil = now + 2 * stayMs;
  }

  /** Removes members. First from the ordered set: after a crash in between, `#removeOver` finds the rest again by expiry. */
  async remove(connection: RedisConnection, list: string, gone: readonly string[]): Promise<void> {
    const { members, ends } = redisListKeys(this.#prefix, list);
    await Promise.all([
      connection.send(members, ["ZREM", members, ...gone]),
      connection.send(ends, ["ZREM", ends, ...gone]),
    ]);
  }

  /** The members after `after`, in the order of their bytes, at most `limit`. */
  async members(
    connection: RedisConnection,
    list: string,
    after: string,
    limit: number,
  ): Promise<readonly string[]> {
    const { members } = redisListKeys(this.#prefix, list);
    const page = ["BYLEX", "LIMIT", "0", String(limit)];
    // After an empty string comes everything but the anchor.
    const found = await connection.send(members, ["ZRANGE", members, `(${after}`, "+", ...page]);
    return found as readonly string[];
  }

  /** The members before `before`, the last first, at most `limit`. */
  async membersBack(
    connection: RedisConnection,
    list: string,
    before: string,
    limit: number,
  ): Promise<readonly string[]> {
    const { members } = redisListKeys(this.#prefix, list);
    const page = ["BYLEX", "REV", "LIMIT", "0", String(limit)];
    const found = await connection.send(members, ["ZRANGE", members, `(${before}`, `(${ANCHOR}`, ...page]);
    return found as readonly string[];
  }

  /** Removes expired members. The next call finds again what this one misses. */
  async #removeOver(connection: RedisConnection, list: string): Promise<void> {
    const { ends } = redisListKeys(this.#prefix, list);
    const first = ["LIMIT", "0", String(MAX_REMOVED)];
    const over = await connection.send(ends, [
      "ZRANGEBYSCORE",
      ends,
      "-inf",
      String(this.#clock()),
      ...first,
    ]);
    const gone = over as readonly string[];
    if (gone.length > 0) await this.remove(connection, list, gone);
  }

  #known(connection: RedisConnection, list: string): Remembered {
    const lists = this.#remembered.get(connection) ?? new Map<string, Remembered>();
    const known = lists.get(list) ?? { staysUntil: Number.NEGATIVE_INFINITY, added: 0 };
    if (known.added > 0) return known;
    if (lists.size >= MAX_REMEMBERED) lists.delete(lists.keys().next().value ?? "");
    lists.set(list, known);
    this.#remembered.set(connection, lists);
    return known;
  }
}
