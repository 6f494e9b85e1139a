import type { Backend, ListEntry } from "./backend.ts";
import { type RedisConnection, redisText } from "./redis-connection.ts";
import { redisKey } from "./redis-keys.ts";
import { type Connect, RedisLink } from "./redis-link.ts";
import { addToList, listMembers, removeFromList } from "./redis-lists.ts";
import { RedisNudges } from "./redis-nudges.ts";
import { isOfNoUse, reasonOf } from "./redis-replies.ts";
import { type Nudge, StoreUnavailable } from "./task-store.ts";

export interface RedisBackendOptions {
  /** Names the store in messages: its url without credentials. */
  readonly name: string;
  /** Called again for every connection. */
  readonly connect: Connect;
  readonly timeoutMs: number;
  readonly prefix: string;
  /** How often watchers are told that they may have missed something. Milliseconds. */
  readonly missedEveryMs: number;
  readonly clock: () => number;
}

/** Operations under way at a time. Beyond that the server is too slow, and who comes is told so at once. */
const MAX_UNDER_WAY = 20_000;
const CLAIM_TRIES = 3;

/**
 * A backend over Redis or Valkey, which any number of processes can share. A value is one key, written as Keyv writes it; a list is
 * two sorted sets. Every operation has a deadline of its own, whatever the client thinks of its connection.
 */
export class RedisBackend implements Backend {
  readonly isShared = true;
  readonly #options: RedisBackendOptions;
  readonly #link: RedisLink;
  readonly #nudges: RedisNudges;
  readonly #running = new Set<Promise<unknown>>();
  /** When something was last heard on a connection, an error among them. */
  readonly #heardAt = new WeakMap<RedisConnection, number>();
  #underWay = 0;
  #closed: Promise<void> | undefined;

  /** Rejects with what the first connection failed with; nothing is left open then. */
  static async open(options: RedisBackendOptions): Promise<RedisBackend> {
    const backend = new RedisBackend(options);
    try {
      await backend.#link.open();
      await backend.#nudges.open();
      return backend;
    } catch (error) {
      await backend.close();
      throw error;
    }
  }

  private constructor(options: RedisBackendOptions) {
    const { connect, timeoutMs, prefix, missedEveryMs } = options;
    this.#options = options;
    this.#link = new RedisLink({ connect, timeoutMs });
    this.#nudges = new RedisNudges({
      prefix,
      timeoutMs,
      everyMs: missedEveryMs,
      connect,
      send: (channel, message) => this.#run("publish", ({ commands }) => commands.publish(channel, message)),
    });
  }

  getMany(keys: readonly string[]): Promise<readonly unknown[]> {
    return this.#run("read", ({ keyv }) => keyv.getMany<unknown>(keys.map((key) => this.#key(key))));
  }

  set(key: string, value: object, ttlMs: number, entries: readonly ListEntry[] = []): Promise<void> {
    return this.#run("write", async (connection) => {
      const isTaken = await this.#after(entries, connection, () =>
        connection.keyv.set(this.#key(key), value, ttlMs),
      );
      if (!isTaken) throw new Error("the server refused the value");
    });
  }

  claim(key: string, value: object, ttlMs: number, entries: readonly ListEntry[] = []): Promise<unknown> {
    const name = this.#key(key);
    const text = redisText({ value });
    const terms = { expiration: { type: "PX", value: ttlMs }, condition: "NX" } as const;
    return this.#run("write", (connection) =>
      this.#after(entries, connection, async () => {
        for (let attempt = 0; attempt < CLAIM_TRIES; attempt++) {
          if ((await connection.commands.set(name, text, terms)) !== null) return value;
          const [standing] = await connection.keyv.getMany<unknown>([name]);
          // Otherwise it has gone just now, and the place is free again.
          if (standing !== undefined) return standing;
        }
        throw new Error("what stood there was gone each time");
      }),
    );
  }

  list(list: string, after: string, limit: number): Promise<readonly string[]> {
    return this.#run("read", (connection) =>
      listMembers(connection, this.#options.prefix, list, after, limit),
    );
  }

  unlist(list: string, member: string): Promise<void> {
    return this.#run("write", (connection) =>
      removeFromList(connection, this.#options.prefix, list, [member]),
    );
  }

  publish(nudge: Nudge): void {
    this.#nudges.publish(nudge);
  }

  watch(listener: (nudge: Nudge) => void): () => void {
    return this.#nudges.watch(listener);
  }

  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  async #finish(): Promise<void> {
    // None takes longer than its deadline.
    await Promise.allSettled(this.#running);
    await Promise.all([this.#nudges.close(), this.#link.close()]);
  }

  #key(key: string): string {
    return redisKey(this.#options.prefix, key);
  }

  /** Writes a value once its entries are there. One server takes commands in their order, so that nobody has to wait for that. */
  async #after<T>(
    entries: readonly ListEntry[],
    connection: RedisConnection,
    write: () => Promise<T>,
  ): Promise<T> {
    if (entries.length === 0) return write();
    const { prefix, clock } = this.#options;
    const added = Promise.all(entries.map((entry) => addToList(connection, prefix, entry, clock())));
    if (connection.isCluster) await added;
    const [over, result] = await Promise.all([added, write()]);
    for (const [index, { list }] of entries.entries()) {
      const gone = over[index] ?? [];
      // Who comes next finds again what is still there.
      if (gone.length > 0) void removeFromList(connection, prefix, list, gone).catch(() => {});
    }
    return result;
  }

  async #run<T>(what: string, work: (connection: RedisConnection) => Promise<T>): Promise<T> {
    if (this.#closed) throw new StoreUnavailable(`store ${this.#options.name}: closed`);
    const running = this.#inTime(work);
    this.#running.add(running);
    try {
      return await running;
    } catch (cause) {
      const why = `could not ${what}: ${reasonOf(cause)}`;
      throw new StoreUnavailable(`store ${this.#options.name}: ${why}`, { cause });
    } finally {
      this.#running.delete(running);
    }
  }

  #inTime<T>(work: (connection: RedisConnection) => Promise<T>): Promise<T> {
    const { timeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      if (this.#underWay >= MAX_UNDER_WAY)
        throw new Error(`${MAX_UNDER_WAY} operations are waiting for it already`);
      const connection = this.#link.current;
      const begunAt = performance.now();
      let isSettled = false;
      const giveUp = () => {
        if (isSettled) return;
        // Others may have been answered meanwhile: then it is only slow.
        if ((this.#heardAt.get(connection) ?? 0) < begunAt) this.#link.renew(connection);
        reject(new Error(`no answer within ${timeoutMs} ms`));
      };
      // Should this very process have been paused, the answer may be here, and is read before it is given up.
      const timer = setTimeout(() => setImmediate(giveUp), timeoutMs);
      this.#underWay += 1;
      work(connection)
        .then(
          (result) => {
            this.#heardAt.set(connection, performance.now());
            resolve(result);
          },
          (error: unknown) => {
            if (isOfNoUse(error)) this.#link.renew(connection);
            else this.#heardAt.set(connection, performance.now());
            reject(error);
          },
        )
        .finally(() => {
          isSettled = true;
          clearTimeout(timer);
          this.#underWay -= 1;
        });
    });
  }
}
