import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Path } from "../config/problems.ts";
import { isObject, type JsonObject } from "../protocol/jsonrpc.ts";
import { readText, UnusableFile, writeOwn } from "./files.ts";
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

  async find(file: string, id: Path): Promise<Undo | undefined> {
    try {
      const kept: unknown = JSON.parse(await readText(this.#place(file, id)));
      const undo = isObject(kept) ? kept.undo : undefined;
      return isUndo(undo) ? undo : undefined;
    } catch (error) {
      // Without the ledger, or with a damaged one, an entry is put back from what it says itself.
      if (error instanceof UnusableFile || error instanceof SyntaxError) return undefined;
      throw error;
    }
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
    return join(this.#directory, "wrapped", `${hashOf(JSON.stringify([file, ...id.map(String)]))}.json`);
  }

  #backup(file: string): string {
    return join(this.#directory, "backups", hashOf(file));
  }
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
