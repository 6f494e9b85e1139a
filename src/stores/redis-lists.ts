import type { ListEntry } from "./backend.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { redisListKeys } from "./redis-keys.ts";

/** Members stay so much longer than their time, for replicas whose clocks differ. */
const GRACE_MS = 3_600_000;
/** What is over is taken out by those who add: by one in so many, and more at a time than has been added meanwhile. */
const ADDED_A_LOOK = 8;
const MAX_REMOVED = 64;
/** Lists of which it is remembered how long they stay. */
const MAX_REMEMBERED = 10_000;
/** Before every member. With it a list is never empty, so that its keys, once they have an end, are not made anew without one. */
const ANCHOR = "";

/** What is known of a list as it is on a connection's server. */
interface Remembered {
  /** Its keys stay at least until then, by the clock of `performance`. */
  staysUntil: number;
  added: number;
}

/** The lists of a Redis backend: `ListEntry` says what they are made of. */
export class RedisLists {
  readonly #prefix: string;
  readonly #clock: () => number;
  /** Goes with the connection: what comes after it may be a server that knows less. */
  readonly #remembered = new WeakMap<RedisConnection, Map<string, Remembered>>();

  /** `clock` is in milliseconds since the epoch. */
  constructor(prefix: string, clock: () => number) {
    this.#prefix = prefix;
    this.#clock = clock;
  }

  /**
   * Puts a member into a list. Its commands are sent in this order before this returns, and what is sent after it comes after them:
   * should it end in between, there is a time without a member, or a member without a value.
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
    // Long enough for those who come soon, so that they need not do it again.
    const longMs = String(2 * stayMs);
    await Promise.all([
      connection.send(ends, ["ZADD", ends, "+inf", ANCHOR, score, member]),
      connection.send(members, ["ZADD", members, "0", ANCHOR, "0", member]),
      // A key that does not expire yet counts as one that never does, which `GT` does not shorten.
      ...[ends, members].flatMap((key) =>
        ["NX", "GT"].map((when) => connection.send(key, ["PEXPIRE", key, longMs, when])),
      ),
    ]);
    known.staysUntil = now + 2 * stayMs;
  }

  /** Takes members out. First from the order, so that what is left when it ends in between is found again by its time. */
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
    // After an empty word comes everything but the anchor.
    const found = await connection.send(members, ["ZRANGE", members, `(${after}`, "+", ...page]);
    return found as readonly string[];
  }

  /** Takes out members whose time is over. Who comes next finds again what is still there. */
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
