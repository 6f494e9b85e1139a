import { crc32 } from "node:zlib";
import type { ClassicLevel } from "classic-level";
import { steadyNow } from "../../lib/clock.ts";
import { DAMAGED, isDamage, type KeyvEntry, type KeyvStorage } from "../keyv-backend.ts";
import { listPrefix } from "../listed-keys.ts";
import type { StoreOptions } from "../options.ts";
import { startSweeping } from "../sweep.ts";
import { GroupCommit, type Write } from "./group-commit.ts";
import { LevelWrites } from "./writes.ts";

export interface LevelStorageOptions extends StoreOptions {
  /** By how many milliseconds somebody has set the clock ahead since `writtenAt`. */
  readonly jumpedSince?: ((writtenAt: number) => number) | undefined;
}

/**
 * LevelDB for Keyv. Every write is on the disk when its promise resolves.
 *
 * `v:<key>` holds `<expiresAt>;<checksum>;<writtenAt>:<text>`. The checksum (CRC-32 of the text, hexadecimal) is there because LevelDB does
 * not verify its own when it reads tables: without it a damaged result would read as another one. Values of 0.1.0 have no checksum,
 * imported values no `writtenAt`.
 *
 * `x:<minute>:<key>` says that the key may have expired by that minute, so that the sweep reads only due keys and not the whole store. Each
 * write adds an entry for its expiry's minute; when an older entry comes due, the sweep finds that the value has not expired. The entry holds
 * the length of the value, so that the sweep reads many short values at once; in 0.1.0 it was empty.
 */
export class LevelStorage implements KeyvStorage {
  readonly #db: ClassicLevel;
  readonly #clock: () => number;
  readonly #jumpedSince: (writtenAt: number) => number;
  readonly #writes: LevelWrites;
  readonly #commits: GroupCommit;
  readonly #warn: (message: string) => void;
  readonly #stopSweeping: () => Promise<void>;
  #writtenDuringSweep: Set<string> | undefined;

  /** Takes an open database; `disconnect` closes it. */
  constructor(db: ClassicLevel, options: LevelStorageOptions = {}) {
    const { clock = steadyNow, sweepEveryMs = 60_000, warn, jumpedSince = () => 0 } = options;
    this.#db = db;
    this.#clock = clock;
    this.#jumpedSince = jumpedSince;
    this.#warn = warn ?? (() => {});
    this.#writes = new LevelWrites(db, warn);
    this.#commits = new GroupCommit((writes) => this.#writes.commit(writes));
    this.#stopSweeping = startSweeping(sweepEveryMs, (signal) => this.sweep(signal));
  }

  get isWritable(): boolean {
    return this.#writes.isWritable;
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

  async keysBefore(key: string, limit: number): Promise<readonly string[]> {
    const range = { gt: valueKey(listPrefix(key) ?? ""), lt: valueKey(key), limit, reverse: true };
    return (await this.#db.keys(range).all()).map(keyOfValue);
  }

  set(key: string, text: string, ttlMs: number): Promise<void> {
    return this.#commits.write(this.#writesOf({ key, value: text, ttl: ttlMs }));
  }

  /** All or none. */
  async setMany(entries: readonly KeyvEntry[], gone: readonly string[] = []): Promise<boolean[]> {
    const removed = gone.map((key) => ({ key: valueKey(key), text: undefined }));
    await this.#commits.write([...entries.flatMap((entry) => this.#writesOf(entry)), ...removed]);
    return entries.map(() => true);
  }

  async delete(key: string): Promise<boolean> {
    await this.#commits.write([{ key: valueKey(key), text: undefined }]);
    return true;
  }

  /** Writes a text that is no cell and never expires. */
  keep(name: string, text: string): Promise<void> {
    return this.#commits.write([{ key: name, text }]);
  }

  clear(): Promise<void> {
    return this.#db.clear();
  }

  async disconnect(): Promise<void> {
    const swept = this.#stopSweeping();
    await this.#writes.close();
    await swept;
    await this.#db.close();
  }

  /**
   * Removes expired keys, a bounded number at a time. Callers run one sweep at a time. It leaves a damaged value where it is, for `store
   * repair`, and removes its due entry, so that only one sweep meets it.
   */
  async sweep(signal?: AbortSignal): Promise<void> {
    const until = dueKey((Math.floor(this.#clock() / 60_000) + 1) * 60_000, "");
    // Goes on behind the last entry: LevelDB would walk over all that are removed before it finds the first again.
    let after: string | undefined = "x:";
    while (after !== undefined && !signal?.aborted) after = await this.#removeDue(after, until);
  }

  #writesOf({ key, value, ttl }: KeyvEntry): Write[] {
    const now = this.#clock();
    const expiresAt = now + ttl;
    this.#writtenDuringSweep?.add(key);
    const text = storedValue(value, expiresAt, now);
    return [
      { key: valueKey(key), text },
      { key: dueKey(expiresAt, key), text: String(text.length) },
    ];
  }

  /** Removes the next due entries, with the values that have expired. Resolves with the last of them, `undefined` when there was none. */
  async #removeDue(after: string, until: string): Promise<string | undefined> {
    const rewritten = new Set<string>();
    this.#writtenDuringSweep = rewritten;
    try {
      // `rewritten` does not contain writes that are already under way: they must land before the sweep reads.
      await this.#commits.write([]);
      const due = await this.#db.iterator({ gt: after, lt: until, limit: KEYS_A_BATCH }).all();
      const lengths = new Map(due.map(([entry, length]) => [keyOfDue(entry), Number(length) || LONG]));
      const { expired, later } = await this.#expired(lengths);
      // No `await` between this look at `rewritten` and the write that removes the rest. The due entries can go in any case: a rewritten
      // key has a new one, which comes due later.
      const gone = [
        ...expired.filter((key) => !rewritten.has(key)).map(valueKey),
        ...due.map(([entry]) => entry),
      ];
      await this.#commits.write([...gone.map((key) => ({ key, text: undefined })), ...later]);
      return due.at(-1)?.[0];
    } finally {
      this.#writtenDuringSweep = undefined;
    }
  }

  /** The keys that have expired, and new entries for those that only look expired because somebody set the clock ahead. */
  async #expired(lengths: ReadonlyMap<string, number>): Promise<{ expired: string[]; later: Write[] }> {
    const [expired, later]: [string[], Write[]] = [[], []];
    for (const keys of readTogether(lengths)) {
      for (const [index, value] of (await this.#valuesOf(keys)).entries()) {
        const key = keys[index] as string;
        if (value === undefined) continue;
        const { expiresAt, writtenAt = Number.NEGATIVE_INFINITY } =
          value === DAMAGED ? NO_TIMES : timesOf(value);
        if (Number.isNaN(expiresAt)) {
          this.#warn(
            "a stored value is damaged and stays where it is: nobody can tell whether it has expired",
          );
          continue;
        }
        const jumpedMs = this.#jumpedSince(writtenAt);
        const text = String(lengths.get(key));
        if (expiresAt + jumpedMs <= this.#clock()) expired.push(key);
        else if (jumpedMs > 0) later.push({ key: dueKey(expiresAt + jumpedMs, key), text });
      }
    }
    return { expired, later };
  }

  /** As bytes: only the first few of each value matter. */
  async #valuesOf(keys: readonly string[]): Promise<readonly (Uint8Array | typeof DAMAGED | undefined)[]> {
    const asBytes = { valueEncoding: "view" };
    if (keys.length > 1) {
      const names = keys.map(valueKey);
      const values = await this.#db.getMany<string, Uint8Array>(names, asBytes).catch(ifDamaged);
      // Among them one is damaged.
      if (values !== DAMAGED) return values;
    }
    const values: (Uint8Array | typeof DAMAGED | undefined)[] = [];
    for (const key of keys)
      values.push(await this.#db.get<string, Uint8Array>(valueKey(key), asBytes).catch(ifDamaged));
    return values;
  }
}

/** Cuts the keys into groups whose values are read at once, because together they are short. */
function* readTogether(lengths: ReadonlyMap<string, number>): Generator<readonly string[]> {
  let [keys, sum]: [string[], number] = [[], 0];
  for (const [key, length] of lengths) {
    if (keys.length > 0 && sum + length > LONG) {
      yield keys;
      [keys, sum] = [[], 0];
    }
    keys.push(key);
    sum += length;
  }
  if (keys.length > 0) yield keys;
}

/** How many characters to read at once. */
const LONG = 1_000_000;
const KEYS_A_BATCH = 500;
const NO_TIMES = { expiresAt: Number.NaN, writtenAt: undefined };

function ifDamaged(error: unknown): typeof DAMAGED {
  if (!isDamage(error)) throw error;
  return DAMAGED;
}

const AFTER_EVERY_MEMBER = "~";

/** The keys in LevelDB of a cell's value and of its expiry. */
export const valueKey = (key: string) => `v:${key}`;
export const keyOfValue = (value: string) => value.slice("v:".length);
export const dueKey = (expiresAt: number, key: string) =>
  `x:${String(Math.ceil(expiresAt / 60_000)).padStart(10, "0")}:${key}`;
const keyOfDue = (due: string) => due.slice("x:0000000000:".length);

export function storedValue(text: string, expiresAt: number, writtenAt?: number): string {
  const times = writtenAt === undefined ? "" : `;${writtenAt}`;
  return `${expiresAt};${crc32(text).toString(16)}${times}:${text}`;
}

/** The text of a stored value. @throws when the value is damaged */
export function textOfValue(value: string): string {
  const end = value.indexOf(":");
  const [, checksum] = value.slice(0, end).split(";");
  const text = value.slice(end + 1);
  if (end === -1 || (checksum !== undefined && checksum !== crc32(text).toString(16)))
    throw Object.assign(new Error("a stored value is damaged"), { code: DAMAGED });
  return text;
}

function textOf(value: string | undefined): string | undefined {
  return value === undefined ? undefined : textOfValue(value);
}

/** The times in a stored value: `expiresAt` is `NaN` when it is unreadable, `writtenAt` absent when it is not recorded. */
export function timesOf(value: Uint8Array): {
  readonly expiresAt: number;
  readonly writtenAt: number | undefined;
} {
  const head = Buffer.from(value.subarray(0, HEAD_BYTES)).toString("latin1");
  const [expiresAt = "", , writtenAt] = head.slice(0, head.indexOf(":")).split(";");
  return {
    expiresAt: Number.parseInt(expiresAt, 10),
    writtenAt: writtenAt === undefined ? undefined : Number.parseInt(writtenAt, 10),
  };
}

/** Room for both times and the checksum, whatever the dates. */
const HEAD_BYTES = 64;
