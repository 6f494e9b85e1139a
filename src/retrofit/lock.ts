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
  for (;;) {
    const triedAt = await take(lock, holder);
    if (triedAt === undefined) break;
    if (performance.now() > deadline)
      throw new UnusableFile(`${file}: its client writes it all the time, or has left ${lock} behind`);
    await dropStale(lock, holder, triedAt);
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

/** Takes the lock. If others have it, gives the time of the try by the clock of the file system, which dates locks as well. */
async function take(lock: string, holder: string): Promise<number | undefined> {
  const prepared = `${lock}.${holder}`;
  await mkdir(prepared, { mode: 0o700 });
  let triedAt = 0;
  try {
    await writeFile(join(prepared, holder), "");
    const { mtimeMs } = await stat(prepared);
    triedAt = mtimeMs;
    await rename(prepared, lock);
    return undefined;
  } catch (error) {
    await rm(prepared, { recursive: true, force: true });
    const isThere = await stat(lock).then(
      () => true,
      () => false,
    );
    if (isThere || isContended(error)) return triedAt;
    throw error;
  }
}

/** What renaming a directory to the name of one that is not empty fails with, as systems have it. */
function isContended(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOTEMPTY" || code === "EEXIST";
}

async function dropStale(lock: string, holder: string, at: number): Promise<void> {
  const found = await stat(lock).catch(() => undefined);
  if (found === undefined || at - found.mtimeMs < STALE_MS) return;
  const aside = `${lock}.stale.${holder}`;
  // Another program may have done so.
  await rename(lock, aside).catch(() => {});
  await rm(aside, { recursive: true, force: true });
}
