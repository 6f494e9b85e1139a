import { ClassicLevel } from "classic-level";
import { CellStore } from "../cell-store.ts";
import { KeyvBackend } from "../keyv-backend.ts";
import type { StoreOptions } from "../options.ts";
import { sealedOrPlain } from "../sealed.ts";
import type { TaskStore } from "../task-store.ts";
import { LevelClock, thisMachine } from "./clock.ts";
import { findDamage } from "./damage.ts";
import { checkAccess, makeFilesPrivate, makePrivate, NoAccess } from "./private-directory.ts";
import { LevelStorage } from "./storage.ts";

/**
 * Opens a store in a directory of its own, relative to the working directory; creates a missing directory, with access for its owner only.
 * One process at a time can open it; its lock ends with the process, however that ends.
 *
 * Rejects with an `Error` that names the url and says what is wrong, with the system's error as its cause.
 */
export async function openLevelStore(
  url: string,
  path: string,
  options: StoreOptions = {},
): Promise<TaskStore> {
  const warn = (message: string) => options.warn?.(`store ${url}: ${message}`);
  const db = await openDirectory(path, warn).catch((error: unknown) => {
    throw explained(error, { url, path });
  });
  // A caller that brings its own clock answers for it.
  const time = options.clock === undefined ? await openClock(db, warn, { url, path }) : undefined;
  const timed = time && {
    clock: () => time.now(),
    jumpedSince: (at: number) => time.jumpedSince(at),
    closing: () => time.close(),
  };
  const storage = new LevelStorage(db, { ...options, ...timed, warn });
  const plain = new KeyvBackend(url, storage);
  try {
    const store = await CellStore.open({
      ...options,
      ...timed,
      url,
      ...(await sealedOrPlain(plain, options, url)),
    });
    await time?.begin((text) => storage.keep(CLOCK, text));
    return store;
  } catch (error) {
    await time?.close();
    await plain.close();
    throw error;
  }
}

/** Differs from the keys of cells (`v:`) and of their expiries (`x:`). */
const CLOCK = "clock";

/** @throws an `Error` that names the store when the note of the clock cannot be read; the database is closed then */
async function openClock(
  db: ClassicLevel,
  warn: (message: string) => void,
  { url, path }: { readonly url: string; readonly path: string },
): Promise<LevelClock> {
  try {
    return new LevelClock({ written: await db.get(CLOCK), warn, machine: await thisMachine() });
  } catch (error) {
    await db.close();
    throw explained(error, { url, path });
  }
}

async function openDirectory(path: string, warn: (message: string) => void): Promise<ClassicLevel> {
  const fault = await makePrivate(path);
  if (fault !== undefined) warn(fault);
  await checkAccess(path);
  // Before LevelDB opens the directory: it silently drops what it cannot read, and creates a new database where it finds no CURRENT.
  const { damage, warnings } = await findDamage(path);
  if (damage.length > 0) throw new Damaged(damage.join("; "));
  for (const warning of warnings) warn(warning);
  const db = new ClassicLevel(path);
  await db.open();
  await makeFilesPrivate(path);
  return db;
}

/** A damaged directory, which the gateway does not open. */
class Damaged extends Error {
  readonly code = "LEVEL_CORRUPTION";
}

/** The error with the name of the store, what is wrong, and what to do about it. */
function explained(error: unknown, { url, path }: { readonly url: string; readonly path: string }): Error {
  const cause = innermost(error);
  return new Error(`store ${url}: ${explain(cause, path)}`, { cause });
}

function explain(error: Error & { readonly code?: unknown }, path: string): string {
  const { code, message } = error;
  if (error instanceof NoAccess) return message;
  switch (code) {
    case "LEVEL_LOCKED":
      return "in use by another mcp-taskgate process; give this one another directory, or both a Redis";
    case "LEVEL_CORRUPTION":
      return `damaged (${message}); see what is left with mcp-taskgate store check ${path}, rescue it with mcp-taskgate store repair ${path}, or move the directory away to start anew`;
    case "EEXIST":
    case "ENOTDIR":
      return `not a directory (${message})`;
  }
  return `could not be opened (${message})`;
}

/** LevelDB's own error is the cause of a general "Database failed to open". */
function innermost(error: unknown): Error & { readonly code?: unknown } {
  if (!(error instanceof Error)) return new Error(String(error));
  return error.cause instanceof Error && !(error instanceof NoAccess) ? innermost(error.cause) : error;
}
