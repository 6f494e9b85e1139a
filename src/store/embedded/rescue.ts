import { randomBytes } from "node:crypto";
import { copyFile, link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import { storedOf } from "../cell-text.ts";
import { findDamage } from "./damage.ts";
import { levelLogOf, readLevelLog } from "./log.ts";
import { checkAccess } from "./private-directory.ts";
import { dueKey, keyOfValue, textOfValue, timesOf, valueKey } from "./storage.ts";
import type { Operation } from "./writes.ts";

/** What the directory of a `level:` store contains. */
export interface LevelReport {
  /** One text for each damaged or missing thing; empty: a gateway can use the store as it is. */
  readonly damage: readonly string[];
  /** Tasks with a readable outcome. */
  readonly finished: number;
  /** Tasks without an outcome. A rescue drops them: they may have ended, and nobody knows how. */
  readonly unfinished: number;
  /** Damaged values, which a rescue drops. */
  readonly unreadable: number;
}

/**
 * Calls `use` with a copy of a store that no gateway uses; of a damaged store the copy contains what can be rescued. The copy is in a folder
 * inside the store's directory, and its tables take no extra room. The store's own files stay as they are.
 * @throws an `Error` that says why when there is no store, a gateway uses it, this user may not use it, or nothing in it is readable
 */
export async function withRescued<T>(
  path: string,
  use: (db: ClassicLevel, report: LevelReport, folder: string) => Promise<T>,
): Promise<T> {
  await checkIsStore(path);
  await checkAccess(path);
  const folder = join(path, `copy-${randomBytes(6).toString("hex")}`);
  await mkdir(folder, { mode: 0o700 });
  try {
    return await inLock(path, folder, async () => {
      const { damage: found } = await findDamage(path);
      const copy = join(folder, "db");
      await copyStore(path, copy);
      const asItIs = found.length === 0 ? await openAndRead(copy) : undefined;
      const damage = [...found, ...(asItIs === undefined ? [] : damageOf(asItIs))];
      if (asItIs !== undefined && damage.length === 0) return await using(asItIs, damage, copy, use);
      await asItIs?.db.close();
      await rm(copy, { recursive: true });
      await copyStore(path, copy);
      await mend(copy);
      const rest = await openAndRead(copy);
      if (rest.stopped !== undefined) throw new Error(`${path}: nothing can be rescued (${rest.stopped})`);
      await leaveOut(rest);
      return await using(rest, damage, copy, use);
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Replaces a damaged store by what can be rescued of it. Resolves with the report and the folder that keeps the former files;
 * `undefined`: there was nothing to repair.
 */
export async function repairStore(path: string): Promise<{ report: LevelReport; kept: string | undefined }> {
  return await withRescued(path, async (db, report, copy) => {
    if (report.damage.length === 0) return { report, kept: undefined };
    await db.close();
    const kept = join(path, `damaged-${new Date().toISOString().replace(/[:.]/g, "-")}`);
    await copyStore(path, kept);
    const [before, after] = [await filesOf(path), await filesOf(copy)];
    // Until the last step a starting gateway would find a log or CURRENT missing, and refuse.
    for (const name of before.filter((file) => file.endsWith(".log"))) await rm(join(path, name));
    for (const name of after.filter((file) => file !== "CURRENT"))
      await rename(join(copy, name), join(path, name));
    await rename(join(copy, "CURRENT"), join(path, "CURRENT"));
    for (const name of before.filter((file) => !after.includes(file)))
      await rm(join(path, name), { force: true });
    return { report, kept };
  });
}

/** The cells of a store, each with its key, its expiry (milliseconds since the epoch) and its text. */
export async function* cellsOf(
  db: ClassicLevel,
): AsyncGenerator<{ key: string; expiresAt: number; text: string }> {
  for await (const [key, value] of db.iterator(VALUES)) {
    yield { key: keyOfValue(key), expiresAt: Number.parseInt(value, 10), text: textOfValue(value) };
  }
}

const VALUES = { gte: valueKey(""), lt: valueKey("\uffff") };
const CHANGES_AT_ONCE = 500;
const FILES = /^(?:\d+\.(?:ldb|sst|log)|CURRENT|MANIFEST-\d+)$/;
const TASK = /^(?:task|end|own|recipe|told|in):([\w-]+)/;

interface Read {
  readonly db: ClassicLevel;
  readonly finished: ReadonlySet<string>;
  /** All tasks that any key mentions. */
  readonly known: ReadonlySet<string>;
  readonly unreadableKeys: readonly string[];
  /** Why reading stopped before the end. */
  readonly stopped: string | undefined;
}

function damageOf({ stopped, unreadableKeys: { length } }: Read): string[] {
  const values = length === 0 ? [] : [`${length} ${length === 1 ? "value is" : "values are"} damaged`];
  return stopped === undefined ? values : [...values, stopped];
}

async function using<T>(
  { db, finished, known, unreadableKeys }: Read,
  damage: readonly string[],
  copy: string,
  use: (db: ClassicLevel, report: LevelReport, folder: string) => Promise<T>,
): Promise<T> {
  const unfinished = known.size - finished.size;
  try {
    return await use(
      db,
      { damage, finished: finished.size, unfinished, unreadable: unreadableKeys.length },
      copy,
    );
  } finally {
    await db.close();
  }
}

async function checkIsStore(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory()) throw new Error(`${path}: no such directory`);
  if ((await filesOf(path)).length === 0) throw new Error(`${path}: there is no store`);
}

/** Runs `work` under the store's lock. LevelDB locks the file itself, so opening a hard link of it in another folder does. */
async function inLock<T>(path: string, folder: string, work: () => Promise<T>): Promise<T> {
  const holder = join(folder, "lock");
  await mkdir(holder);
  const isThere = await link(join(path, "LOCK"), join(holder, "LOCK")).then(
    () => true,
    () => false,
  );
  if (!isThere) return work();
  const db = new ClassicLevel(holder);
  await db.open().catch((cause: unknown) => {
    throw new Error(`${path}: in use by an mcp-taskgate process; stop it first`, { cause });
  });
  try {
    return await work();
  } finally {
    await db.close();
  }
}

async function copyStore(from: string, to: string): Promise<void> {
  await mkdir(to, { mode: 0o700 });
  for (const name of await filesOf(from)) {
    const [source, target] = [join(from, name), join(to, name)];
    // LevelDB never changes a table, so a hard link will do; if the file system has none, we copy.
    const isTable = /\.(?:ldb|sst)$/.test(name);
    const isLinked =
      isTable &&
      (await link(source, target).then(
        () => true,
        () => false,
      ));
    if (!isLinked) await copyFile(source, target);
  }
}

async function filesOf(path: string): Promise<string[]> {
  return (await readdir(path)).filter((name) => FILES.test(name)).sort();
}

/** Rewrites the logs with only their whole records, then lets LevelDB rebuild what it can from tables and logs. */
async function mend(path: string): Promise<void> {
  for (const name of (await filesOf(path)).filter((file) => file.endsWith(".log"))) {
    const { records } = readLevelLog(await readFile(join(path, name)));
    await writeFile(join(path, name), levelLogOf(records));
  }
  await ClassicLevel.repair(path);
}

/** Opens a store and reads every value. */
async function openAndRead(path: string): Promise<Read> {
  const db = new ClassicLevel(path);
  const [finished, known] = [new Set<string>(), new Set<string>()];
  const unreadableKeys: string[] = [];
  let stopped: string | undefined;
  try {
    await db.open();
    for await (const [key, value] of db.iterator(VALUES)) {
      const name = keyOfValue(key);
      const [, id] = TASK.exec(name) ?? [];
      if (id !== undefined) known.add(id);
      if (!isReadable(value)) unreadableKeys.push(key);
      else if (id !== undefined && name === `end:${id}`) finished.add(id);
    }
  } catch (error) {
    stopped = innermostMessage(error);
  }
  return { db, finished, known, unreadableKeys, stopped };
}

function isReadable(value: string): boolean {
  try {
    storedOf(textOfValue(value));
    return Number.isFinite(timesOf(Buffer.from(value.slice(0, 64))).expiresAt);
  } catch {
    return false;
  }
}

/**
 * Removes unreadable values and every task without an outcome: the task may have ended, or its call may have been sent, and the record of
 * that may be lost. So no gateway may report it as failed or send the call again. Every remaining value gets a new expiry entry.
 */
async function leaveOut({ db, finished, unreadableKeys }: Read): Promise<void> {
  const isUnreadable = new Set(unreadableKeys);
  let changes: Operation[] = [];
  const write = async () => {
    await db.batch(changes, { sync: true });
    changes = [];
  };
  for await (const [key, value] of db.iterator(VALUES)) {
    const name = keyOfValue(key);
    const [, id] = TASK.exec(name) ?? [];
    const isLeftOut = isUnreadable.has(key) || (id !== undefined && !finished.has(id));
    if (isLeftOut) changes.push({ type: "del", key });
    else {
      const due = dueKey(Number.parseInt(value, 10), name);
      changes.push({ type: "put", key: due, value: String(value.length) });
    }
    if (changes.length >= CHANGES_AT_ONCE) await write();
  }
  await write();
}

function innermostMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? innermostMessage(error.cause) : error.message;
}
