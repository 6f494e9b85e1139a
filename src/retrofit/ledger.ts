import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Path } from "../config/problems.ts";
import { isObject } from "../protocol/jsonrpc.ts";
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
      const { undo } = JSON.parse(await readText(this.#place(file, id)));
      return isObject(undo) ? (undo as unknown as Undo) : undefined;
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
