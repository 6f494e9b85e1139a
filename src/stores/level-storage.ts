import type { ClassicLevel } from "classic-level";
import { GroupCommit, type Write } from "./group-commit.ts";
import type { KeyvEntry, KeyvStorage } from "./keyv-backend.ts";
import { listPrefix } from "./listed-keys.ts";
import type { StoreOptions } from "./options.ts";
import { startSweeping } from "./sweep.ts";

/**
 * LevelDB for Keyv. Every write is on the disk when its promise resolves.
 *
 * `v:<key>` holds `<expiresAt>:<text>`. `x:<minute>:<key>` says that the key may have expired by that minute: the sweep walks
 * what is due, not the whole store. A key that was written again has an entry for every minute it was written in; the
 * older ones are found to be outdated when they come due.
 */
export class LevelStorage implements KeyvStorage {
  readonly #db: ClassicLevel;
  readonly #clock: () => number;
  readonly #commits: GroupCommit;
  readonly #stopSweeping: () => Promise<void>;
  #writtenDuringSweep: Set<string> | undefined;

  /** Takes over an open database: `disconnect` closes it. */
  constructor(db: ClassicLevel, { clock = Date.now, sweepEveryMs = 60_000 }: StoreOptions = {}) {
    this.#db = db;
    this.#clock = clock;
    this.#commits = new GroupCommit((writes) => db.batch(writes.map(operation), { sync: true }));
    this.#stopSweeping = startSweeping(sweepEveryMs, (signal) => this.sweep(signal));
  }

  async get(key: string): Promise<string | undefined> {
    return textOf(await this.#db.get(valueKey(key)));
  }

  async getMany(keys: readonly string[]): Promise<(string | undefined)[]> {
    return (await this.#db.getMany(keys.map(valueKey))).map(textOf);
  }

  async keysAfter(key: string, limit: number): Promise<readonly string[]> {
    const range = { gt: valueKey(key), lt: valueKey(`${listPrefix(key)}${AFTER_EVERY_MEMBER}`), limit };
    return (await this.#db.keys(range).all()).map(keyOfValue);
  }

  set(key: string, text: string, ttlMs: number): Promise<void> {
    return this.#commits.write(this.#writesOf({ key, value: text, ttl: ttlMs }));
  }

  /** All or none. */
  async setMany(entries: readonly KeyvEntry[]): Promise<boolean[]> {
    await this.#commits.write(entries.flatMap((entry) => this.#writesOf(entry)));
    return entries.map(() => true);
  }

  async delete(key: string): Promise<boolean> {
    await this.#commits.write([{ key: valueKey(key), text: undefined }]);
    return true;
  }

  clear(): Promise<void> {
    return this.#db.clear();
  }

  async disconnect(): Promise<void> {
    await this.#stopSweeping();
    await this.#db.close();
  }

  /** Removes what has expired, a bounded number of keys at a time. One sweep at a time. */
  async sweep(signal?: AbortSignal): Promise<void> {
    const minute = Math.floor(this.#clock() / 60_000);
    while (!signal?.aborted && (await this.#removeDue(minute)) > 0);
  }

  #writesOf({ key, value, ttl }: KeyvEntry): Write[] {
    const expiresAt = this.#clock() + ttl;
    this.#writtenDuringSweep?.add(key);
    return [
      { key: valueKey(key), text: `${expiresAt}:${value}` },
      { key: dueKey(Math.ceil(expiresAt / 60_000), key), text: "" },
    ];
  }

  /** Returns how many keys were due. */
  async #removeDue(minute: number): Promise<number> {
    const rewritten = new Set<string>();
    this.#writtenDuringSweep = rewritten;
    try {
      // Writes on their way are not among `rewritten`: they have to land before anything is looked at.
      await this.#commits.write([]);
      const due = await this.#db.keys({ gte: "x:", lt: dueKey(minute + 1, ""), limit: KEYS_A_BATCH }).all();
      const expired = await this.#expired(new Set(due.map(keyOfDue)));
      // Nothing may be awaited between this look at what was rewritten and the call that removes the rest.
      // Entries can go in any case: what was rewritten has a new one, which comes due later.
      const gone = [...expired.filter((key) => !rewritten.has(key)).map(valueKey), ...due];
      await this.#commits.write(gone.map((key) => ({ key, text: undefined })));
      return due.length;
    } finally {
      this.#writtenDuringSweep = undefined;
    }
  }

  async #expired(keys: ReadonlySet<string>): Promise<string[]> {
    const expired: string[] = [];
    for (const key of keys) {
      // One at a time and as bytes: a value may be many megabytes, and only its first few bytes are of interest.
      const value = await this.#db.get<string, Uint8Array>(valueKey(key), { valueEncoding: "view" });
      if (value && expiryOf(value) <= this.#clock()) expired.push(key);
    }
    return expired;
  }
}

const KEYS_A_BATCH = 500;
const AFTER_EVERY_MEMBER = "~";

function operation({ key, text }: Write) {
  return text === undefined ? ({ type: "del", key } as const) : ({ type: "put", key, value: text } as const);
}

const valueKey = (key: string) => `v:${key}`;
const dueKey = (minute: number, key: string) => `x:${String(minute).padStart(10, "0")}:${key}`;
const keyOfValue = (value: string) => value.slice("v:".length);
const keyOfDue = (due: string) => due.slice("x:0000000000:".length);

function textOf(value: string | undefined): string | undefined {
  return value?.slice(value.indexOf(":") + 1);
}

function expiryOf(value: Uint8Array): number {
  return Number(Buffer.from(value.subarray(0, value.indexOf(COLON))).toString());
}

const COLON = ":".charCodeAt(0);
