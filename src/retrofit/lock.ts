import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { UnusableFile } from "./files.ts";

/** How often to look whether the lock is free, and how long to wait for that. */
const LOOK_MS = 25;
const PATIENCE_MS = 15_000;
/** Its holder has died: clients hold it for milliseconds, and take one of this age away as well. */
const STALE_MS = 10_000;

/**
 * Does `work` while no client that locks its file (`locksFile`) writes it: the lock is a directory beside the file, with one file in it that
 * is its holder's. It appears with that file at once, so that nobody takes it for an empty one that can be replaced.
 * @throws UnusableFile when others hold the lock for too long
 */
export async function underLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  const lock = `${file}.lock`;
  const holder = `owner.${process.pid}.${randomUUID()}`;
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await taken(lock, holder))) {
    if (performance.now() > deadline)
      throw new UnusableFile(`${file}: its client writes it all the time, or has left ${lock} behind`);
    await dropStale(lock, holder);
    await sleep(LOOK_MS);
  }
  try {
    return await work();
  } finally {
    await rm(join(lock, holder), { force: true });
    // Whoever took it away for stale has another one there, which is not empty.
    await rmdir(lock).catch(() => {});
  }
}

/** Whether the lock is ours now. */
async function taken(lock: string, holder: string): Promise<boolean> {
  const prepared = `${lock}.${holder}`;
  await mkdir(prepared, { mode: 0o700 });
  try {
    await writeFile(join(prepared, holder), "");
    await rename(prepared, lock);
    return true;
  } catch (error) {
    await rm(prepared, { recursive: true, force: true });
    const isThere = await stat(lock).then(
      () => true,
      () => false,
    );
    if (isThere || isContended(error)) return false;
    throw error;
  }
}

/** What renaming a directory to the name of one that is not empty fails with, as systems have it. */
function isContended(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOTEMPTY" || code === "EEXIST";
}

async function dropStale(lock: string, holder: string): Promise<void> {
  const found = await stat(lock).catch(() => undefined);
  if (found === undefined || Date.now() - found.mtimeMs < STALE_MS) return;
  const aside = `${lock}.stale.${holder}`;
  // Another program may have done so.
  await rename(lock, aside).catch(() => {});
  await rm(aside, { recursive: true, force: true });
}
