import type { Backend, ListEntry, Spent } from "../backend.ts";
import { type Nudge, StoreUnavailable, UnreadableValue } from "../task-store.ts";
import type { RedisConnection } from "./connection.ts";
import { redisKey } from "./keys.ts";
import { redisText } from "./keyv.ts";
import { type Connect, RedisLink } from "./link.ts";
import { RedisLists } from "./lists.ts";
import { RedisNudges } from "./nudges.ts";
import { RedisOperations } from "./operations.ts";
import { isDamaged, reasonOf } from "./replies.ts";

export interface RedisBackendOptions {
  /** Names the store in messages: its url without credentials. */
  readonly name: string;
  /** The backend calls this for every new connection. */
  readonly connect: Connect;
  readonly timeoutMs: number;
  readonly prefix: string;
  /** How often watchers get a `missed` nudge. Milliseconds. */
  readonly missedEveryMs: number;
  readonly clock: () => number;
}

const CLAIM_TRIES = 3;

/**
 * A backend over Redis or Valkey, which any number of processes can share. A value is one key in Keyv's format; a list is two sorted sets.
 * Every operation has a deadline of its own, whatever the client library thinks of its connection.
 */
export class RedisBackend implements Backend {
  readonly isShared = true;
  readonly #name: string;
  readonly #prefix: string;
  readonly #link: RedisLink;
  readonly #operations: RedisOperations;
  readonly #lists: RedisLists;
  readonly #nudges: RedisNudges;
  #closed: Promise<void> | undefined;

  /** Rejects with the error of the first connection, and leaves nothing open. */
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
    const { name, connect, timeoutMs, prefix, missedEveryMs, clock } = options;
    this.#name = name;
    this.#prefix = prefix;
    this.#link = new RedisLink({ connect, timeoutMs });
    this.#operations = new RedisOperations({ link: this.#link, timeoutMs });
    this.#lists = new RedisLists(prefix, clock);
    this.#nudges = new RedisNudges({
      prefix,
      timeoutMs,
      everyMs: missedEveryMs,
      connect,
      send: (channel, message) => this.#run("publish", ({ ask }) => ask("PUBLISH", channel, message)),
    });
  }

  getMany(keys: readonly string[]): Promise<readonly unknown[]> {
    return this.#run("read", (connection) =>
      this.#values(
        connection,
        keys.map((key) => this.#key(key)),
      ),
    );
  }

  set(key: string, value: object, ttlMs: number, entries: readonly ListEntry[] = []): Promise<void> {
    return this.#run("write", async (connection) => {
      const isTaken = await this.#after(entries, connection, () =>
        connection.keyv.set(this.#key(key), value, ttlMs),
      );
      if (!isTaken) throw new Error("the server refused the value");
    });
  }

  async claim(
    key: string,
    value: object,
    ttlMs: number,
    entries: readonly ListEntry[] = [],
    spent?: Spent,
  ): Promise<unknown> {
    const name = this.#key(key);
    const command = ["SET", name, redisText({ value }), "PX", String(ttlMs), "NX"];
    const standing = await this.#run("write", (connection) =>
      this.#after(entries, connection, async () => {
        for (let attempt = 0; attempt < CLAIM_TRIES; attempt++) {
          if ((await connection.send(name, command)) !== null) return value;
          const [standing] = await this.#values(connection, [name]);
          // Otherwise the key expired between SET NX and GET: try again.
          if (standing !== undefined) return standing;
        }
        throw new Error("what stood there was gone each time");
      }),
    );
    // Not sent together with the claim: before its reply nobody knows that the key stands.
    if (spent !== undefined) this.#remove(spent).catch(() => {});
    return standing;
  }

  list(list: string, after: string, limit: number): Promise<readonly string[]> {
    return this.#run("read", (connection) => this.#lists.members(connection, list, after, limit));
  }

  listBack(list: string, before: string, limit: number): Promise<readonly string[]> {
    return this.#run("read", (connection) => this.#lists.membersBack(connection, list, before, limit));
  }

  unlist(list: string, member: string): Promise<void> {
    return this.#run("write", (connection) => this.#lists.remove(connection, list, [member]));
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
    // No operation takes longer than its deadline.
    await this.#operations.finish();
    await Promise.all([this.#nudges.close(), this.#link.close()]);
  }

  #remove({ keys, members }: Spent): Promise<void> {
    const [first, ...others] = keys.map((key) => this.#key(key));
    return this.#run("write", async (connection) => {
      await Promise.all([
        ...(first === undefined ? [] : [connection.send(first, ["DEL", first, ...others])]),
        ...members.map(({ list, member }) => this.#lists.remove(connection, list, [member])),
      ]);
    });
  }

  #key(key: string): string {
    return redisKey(this.#prefix, key);
  }

  /** @throws UnreadableValue for a value that is no JSON, or no text: reading it again would not help */
  async #values({ keyv }: RedisConnection, names: readonly string[]): Promise<readonly unknown[]> {
    try {
      return await keyv.getMany<unknown>([...names]);
    } catch (cause) {
      if (!isDamaged(cause)) throw cause;
      throw new UnreadableValue(`store ${this.#name}: could not read: the stored value is damaged`, {
        cause,
      });
    }
  }

  /** Writes a value after its entries. A single server runs commands in order, so only a cluster needs the wait. */
  async #after<T>(
    entries: readonly ListEntry[],
    connection: RedisConnection,
    write: () => Promise<T>,
  ): Promise<T> {
    if (entries.length === 0) return write();
    const added = Promise.all(entries.map((entry) => this.#lists.add(connection, entry)));
    if (connection.isCluster) await added;
    const [result] = await Promise.all([write(), added]);
    return result;
  }

  #run<T>(what: string, work: (connection: RedisConnection) => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new StoreUnavailable(`store ${this.#name}: closed`));
    return this.#operations.run(work).catch((cause: unknown) => {
      if (cause instanceof UnreadableValue) throw cause;
      const why = `could not ${what}: ${reasonOf(cause)}`;
      throw new StoreUnavailable(`store ${this.#name}: ${why}`, { cause });
    });
  }
}
