import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Path } from "../config/problems.ts";
import { isObject, type JsonObject } from "../protocol/jsonrpc.ts";
import { readText, UnusableFile, writeOwn } from "./files.ts";
import type { Kept } from "./kept.ts";
import { hashOf, type Undo } from "./plan.ts";

/**
 * What this program has to remember of what it wrote into the files of others. Each wrapped entry has a file of its own, so that
 * two runs at a time write no file together. They hold what the entries held, secrets too, and only their owner may read them.
 */
export class Ledger {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** What was kept of a file's entries. A damaged part of the ledger is as good as none: the entries say themselves what they can. */
  async keptOf(file: string): Promise<readonly Kept[]> {
    const names = await readdir(this.#wrapped).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    const all = await Promise.all(names.map((name) => read(join(this.#wrapped, name))));
    return all.flatMap((kept) => (kept?.file === file ? [kept] : []));
  }

  keep(file: string, id: Path, client: string, undo: Undo): Promise<void> {
    return writeOwn(this.#place(file, id), `${JSON.stringify({ file, id, client, undo }, null, 2)}\n`);
  }

  forget(file: string, id: Path): Promise<void> {
    return rm(this.#place(file, id), { force: true });
  }

  /** Keeps the file as it was before the last change. */
  backUp(file: string, text: string): Promise<void> {
    return writeOwn(this.#backup(file), text);
  }

  forgetBackup(file: string): Promise<void> {
    return rm(this.#backup(file), { force: true });
  }

  #place(file: string, id: Path): string {
    return join(this.#wrapped, `${hashOf(JSON.stringify([file, ...id.map(String)]))}.json`);
  }

  get #wrapped(): string {
    return join(this.#directory, "wrapped");
  }

  #backup(file: string): string {
    return join(this.#directory, "backups", hashOf(file));
  }
}

async function read(file: string): Promise<(Kept & { readonly file: string }) | undefined> {
  try {
    const kept: unknown = JSON.parse(await readText(file));
    if (!isObject(kept)) return undefined;
    const { file: of, id, undo } = kept;
    return isText(of) && isPath(id) && isUndo(undo) ? { file: of, id, undo } : undefined;
  } catch (error) {
    if (error instanceof UnusableFile || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function isPath(value: unknown): value is Path {
  return Array.isArray(value) && value.every((key) => isText(key) || typeof key === "number");
}

function isUndo(value: unknown): value is JsonObject & Undo {
  if (!isObject(value)) return false;
  const { original, length, hash, fields, words } = value;
  return (
    [original, hash].every(isText) &&
    typeof length === "number" &&
    Array.isArray(fields) &&
    fields.every((field) => isObject(field) && isText(field.key)) &&
    Array.isArray(words) &&
    words.every(isText)
  );
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}
