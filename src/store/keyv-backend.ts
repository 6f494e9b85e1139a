import { Keyv } from "keyv";
import type { Backend, ListEntry, Spent } from "./backend.ts";
import { storedOf, storedText } from "./cell-text.ts";
import { listedKey } from "./listed-keys.ts";
import { type Nudge, StoreUnavailable, UnreadableValue } from "./task-store.ts";
import { Watchers } from "./watchers.ts";

/** What Keyv needs from a storage adapter, plus ordered keys, which Keyv lacks. Values are texts; a ttl is a positive integer. */
export interface KeyvStorage {
  /** As in `Backend`. */
  readonly isWritable?: boolean;
  get(key: string): Awaitable<string | undefined>;
  getMany(keys: readonly string[]): Awaitable<(string | undefined)[]>;
  /** The keys after a listed key in its list, in order, at most `limit`; the key itself need not exist. */
  keysAfter(key: string, limit: number): Awaitable<readonly string[]>;
  /** Those before it, the last first. */
  keysBefore(key: string, limit: number): Awaitable<readonly string[]>;
  set(key: string, text: string, ttlMs: number): Awaitable<void>;
  /** Writes the entries, and removes the keys in `gone`, together, where the storage can. */
  setMany(entries: readonly KeyvEntry[], gone?: readonly string[]): Awaitable<boolean[]>;
  delete(key: string): Awaitable<boolean>;
  clear(): Awaitable<void>;
  disconnect(): Awaitable<void>;
}
type Awaitable<T> = T | Promise<T>;

/** A key to set, in Keyv's names: `value` is text, `ttl` is in milliseconds. */
export interface KeyvEntry {
  readonly key: string;
  readonly value: string;
  readonly ttl: number;
}

/** A backend over Keyv for storage that only this process writes to. */
export class KeyvBackend implements Backend {
  readonly isShared = false;
  readonly #url: string;
  readonly #storage: KeyvStorage;
  readonly #keyv: Keyv;
  readonly #claims = new Map<string, Promise<unknown>>();
  readonly #watchers = new Watchers();
  /** A count instead of a set, whose tables would outlive their contents. */
  #running = 0;
  #onIdle: (() => void) | undefined;
  #closed: Promise<void> | undefined;

  /** @param url names the store in messages */
  constructor(url: string, storage: KeyvStorage) {
    this.#url = url;
    this.#storage = storage;
    this.#keyv = new Keyv({
      store: storage,
      // By default Keyv answers a failed write with `true` and a failed read with "not found".
      throwOnErrors: true,
      emitErrors: false,
      namespace: "",
      // Keyv's own pair walks every value twice; ours are plain JSON, with the result unchanged. We leave out the expiry, which Keyv would
      // judge by the wall clock: the storage judges it by its own.
      serialize: ({ value }) => storedText({ value }),
      deserialize: (text: string) => ({ value: storedOf(text).value as never }),
    });
  }

  get isWritable(): boolean {
    return this.#storage.isWritable ?? true;
  }

  getMany(keys: readonly string[]): Promise<readonly unknown[]> {
    return this.#run("read", () => this.#intact(() => this.#keyv.getMany<unknown>([...keys])));
  }

  set(key: string, value: object, ttlMs: number, entries: readonly ListEntry[] = []): Promise<void> {
    return this.#run("write", () => this.#put(key, value, ttlMs, entries));
  }

  claim(
    key: string,
    value: object,
    ttlMs: number,
    entries: readonly ListEntry[] = [],
    spent: Spent = NOTHING,
  ): Promise<unknown> {
    return this.#run("write", () =>
      this.#inTurn(key, async () => {
        const standing = await this.#intact(() => this.#keyv.get<unknown>(key));
        if (standing !== undefined) return standing;
        await this.#put(key, value, ttlMs, entries, spent);
        return value;
      }),
    );
  }

  list(list: string, after: string, limit: number): Promise<readonly string[]> {
    return this.#run("read", async () => {
      const keys = await this.#storage.keysAfter(listedKey(list, after), limit);
      return keys.map((key) => key.slice(listedKey(list, "").length));
    });
  }

  listBack(list: string, before: string, limit: number): Promise<readonly string[]> {
    return this.#run("read", async () => {
      const keys = await this.#storage.keysBefore(listedKey(list, before), limit);
      return keys.map((key) => key.slice(listedKey(list, "").length));
    });
  }

  unlist(list: string, member: string): Promise<void> {
    return this.#run("write", async () => {
      await this.#storage.delete(listedKey(list, member));
    });
  }

  publish(nudge: Nudge): void {
    this.#watchers.tell(nudge);
  }

  watch(listener: (nudge: Nudge) => void): () => void {
    return this.#watchers.add(listener);
  }

  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  async #finish(): Promise<void> {
    if (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    this.#watchers.clear();
    await this.#keyv.disconnect();
  }

  async #put(
    key: string,
    value: object,
    ttlMs: number,
    entries: readonly ListEntry[] = [],
    { keys, members }: Spent = NOTHING,
  ): Promise<void> {
    const gone = [...keys, ...members.map(({ list, member }) => listedKey(list, member))];
    const isTaken =
      entries.length + gone.length === 0
        ? await this.#keyv.set(key, value, ttlMs)
        : await this.#putTogether([...entries.map(asListed), entryOf(key, value, ttlMs)], gone);
    if (!isTaken) throw new Error("the storage refused the value");
  }

  /** Not through Keyv, which knows no batch that also removes. */
  async #putTogether(entries: readonly KeyvEntry[], gone: readonly string[]): Promise<boolean> {
    return (await this.#storage.setMany(entries, gone)).every(Boolean);
  }

  /** Runs claims of one key one after another: Keyv has no compare-and-set. */
  async #inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#claims.get(key);
    const mine = before ? before.then(work, work) : work();
    this.#claims.set(key, mine);
    try {
      return await mine;
    } finally {
      if (this.#claims.get(key) === mine) this.#claims.delete(key);
    }
  }

  /** Tells a damaged value from a storage that is away. Reads only: LevelDB gives the same error for a write after a background error. */
  async #intact<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (cause) {
      if (!isDamage(cause)) throw cause;
      throw new UnreadableValue(`store ${this.#url}: could not read: the stored value is damaged`, { cause });
    }
  }

  async #run<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new StoreUnavailable(`store ${this.#url}: closed`);
    this.#running += 1;
    try {
      return await work();
    } catch (cause) {
      if (cause instanceof UnreadableValue) throw cause;
      // The message contains no key: a task id can be all that protects a caller's task.
      throw new StoreUnavailable(`store ${this.#url}: could not ${what}`, { cause });
    } finally {
      this.#running -= 1;
      if (this.#running === 0) this.#onIdle?.();
    }
  }
}

const NOTHING: Spent = { keys: [], members: [] };

function asListed({ list, member, ttlMs }: ListEntry): KeyvEntry {
  return entryOf(listedKey(list, member), {}, ttlMs);
}

function entryOf(key: string, value: object, ttl: number): KeyvEntry {
  return { key, value: storedText({ value }), ttl };
}

/** The code of errors for damaged values: LevelDB's own for a block that does not have its checksum. */
export const DAMAGED = "LEVEL_CORRUPTION";

/** Whether reading again would find the same damage: the value is no JSON, or the storage says that it does not have its checksum. */
export function isDamage(cause: unknown): boolean {
  return cause instanceof SyntaxError || (cause as NodeJS.ErrnoException | null)?.code === DAMAGED;
}
