import { readdir, stat, statfs, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { ClassicLevel } from "classic-level";
import type { Write } from "./group-commit.ts";

/** One operation of a LevelDB batch. */
export type Operation =
  | { readonly type: "put"; readonly key: string; readonly value: string }
  | { readonly type: "del"; readonly key: string };

const PAUSE_MS = 250;
/** So much must be free, in addition to the size of the logs, which LevelDB writes once more as a table. */
const ROOM_BYTES = 262_144;
/** After this time `ROOM_BYTES` alone will do: the size of the table is only a guess. */
const PATIENCE_MS = 3_000;
const WARN_EVERY_MS = 10_000;
const PROBE_BYTES = 65_536;

/**
 * The writes to a LevelDB database. Each is on the disk when its promise resolves.
 *
 * After a failed write (a full disk, a damaged table, no descriptor left) LevelDB refuses all others until it is opened anew; where it does
 * not, its log may end in half a record, and it could not read a later one back. So after a failure this class writes nothing before it has
 * closed and reopened the database. It tries that every quarter of a second, but only once the disk accepts a file again: until then the
 * database stays open and readable.
 */
export class LevelWrites {
  readonly #db: ClassicLevel;
  readonly #warn: (message: string) => void;
  readonly #closing = new AbortController();
  #failure: { readonly error: unknown; readonly since: number } | undefined;
  /** When we last warned of a failure, and whether a message about its end is due: repeated failures get a warning only now and then. */
  #warnedAt = Number.NEGATIVE_INFINITY;
  #isEndDue = false;
  #triedAt = Number.NEGATIVE_INFINITY;
  #attempt: Promise<void> | undefined;
  #recovery: Promise<void> | undefined;

  constructor(db: ClassicLevel, warn: (message: string) => void = () => {}) {
    this.#db = db;
    this.#warn = warn;
  }

  /** Whether the last write succeeded, or the database was reopened since. */
  get isWritable(): boolean {
    return this.#failure === undefined;
  }

  /** Writes all or none. After a failure it first reopens the database, and rejects when that attempt fails. */
  async commit(writes: readonly Write[]): Promise<void> {
    if (this.#failure !== undefined) await this.#tryOnce();
    try {
      // Write by write: an array of them costs LevelDB's bindings two to four times as much.
      const batch = this.#db.batch();
      for (const { key, text } of writes) {
        if (text === undefined) batch.del(key);
        else batch.put(key, text);
      }
      await batch.write({ sync: true });
    } catch (error) {
      if (isOfLevel(error)) this.#failed(error);
      throw error;
    }
  }

  /** Stops reopening. Resolves when no attempt is under way. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#recovery;
    await this.#attempt?.catch(() => {});
  }

  #failed(error: unknown): void {
    this.#failure = { error, since: performance.now() };
    this.#triedAt = performance.now();
    this.#tell(error);
    this.#recovery ??= this.#recover().finally(() => {
      this.#recovery = undefined;
    });
  }

  #tell(error: unknown): void {
    if (performance.now() - this.#warnedAt < WARN_EVERY_MS) return;
    this.#warnedAt = performance.now();
    this.#isEndDue = true;
    const isDamage = codeOf(error) === "LEVEL_CORRUPTION";
    const advice = isDamage
      ? `; stop the gateway and run mcp-taskgate store repair ${this.#db.location}`
      : "";
    this.#warn(`takes no writes (${reasonOf(error)}); opening it again${advice}`);
  }

  /** Reopens even when nobody writes, so that `isWritable` tells health checks the truth. */
  async #recover(): Promise<void> {
    while (this.#failure !== undefined && !this.#closing.signal.aborted)
      await this.#tryOnce().catch(() => {});
  }

  #tryOnce(): Promise<void> {
    this.#attempt ??= this.#reopen().finally(() => {
      this.#attempt = undefined;
    });
    return this.#attempt;
  }

  async #reopen(): Promise<void> {
    const { signal } = this.#closing;
    const pauseMs = Math.max(0, this.#triedAt + PAUSE_MS - performance.now());
    if (pauseMs > 0) await sleep(pauseMs, undefined, { signal }).catch(() => {});
    if (this.#failure === undefined) return;
    this.#triedAt = performance.now();
    if (signal.aborted) throw this.#failure.error;
    await this.#checkRoom(performance.now() - this.#failure.since > PATIENCE_MS);
    await this.#db.close();
    await this.#db.open();
    this.#failure = undefined;
    if (this.#isEndDue) this.#warn("takes writes again");
    this.#isEndDue = false;
  }

  /** Rejects when the disk is too full, or the directory accepts no new file. */
  async #checkRoom(isPatient: boolean): Promise<void> {
    const { location } = this.#db;
    const logs = (await readdir(location)).filter((name) => name.endsWith(".log"));
    const sizes = await Promise.all(logs.map(async (name) => (await stat(join(location, name))).size));
    const { bavail, bsize } = await statfs(location);
    const needed = ROOM_BYTES + (isPatient ? 0 : sizes.reduce((sum, size) => sum + size, 0));
    if (bavail * bsize < needed) throw new Error(`no space left: ${bavail * bsize} bytes of ${needed}`);
    const probe = join(location, "probe.dbtmp");
    try {
      await writeFile(probe, Buffer.alloc(PROBE_BYTES), { flush: true });
    } finally {
      await unlink(probe).catch(() => {});
    }
  }
}

/** Whether LevelDB itself failed: a write with any other error never reached it. */
function isOfLevel(error: unknown): boolean {
  const code = codeOf(error);
  return code.startsWith("LEVEL_") && code !== "LEVEL_DATABASE_NOT_OPEN";
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
