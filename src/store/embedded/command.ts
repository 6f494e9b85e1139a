import { mkdir, readdir } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { ClassicLevel } from "classic-level";
import { EXIT } from "../../exit-codes.ts";
import { isObject, parseJson } from "../../protocol/jsonrpc.ts";
import { cellsOf, type LevelReport, repairStore, withRescued } from "./rescue.ts";
import { dueKey, storedValue, valueKey } from "./storage.ts";
import type { Operation } from "./writes.ts";

export const STORE_ACTIONS = ["check", "repair", "export", "import"] as const;
export type StoreAction = (typeof STORE_ACTIONS)[number];

export interface StoreStreams {
  readonly input: Readable;
  readonly output: Writable;
  /** Writes a line for the operator that a program reading `output` does not get. */
  readonly say: (line: string) => void;
}

/**
 * Runs an action on the directory of a `level:` store that no gateway uses. Resolves with the exit code: `failed` when `check` finds damage or `export` leaves damaged values out.
 * @throws an `Error` that says why it did nothing
 */
export async function runStore(action: StoreAction, path: string, streams: StoreStreams): Promise<number> {
  switch (action) {
    case "check":
      return await check(path, streams);
    case "repair":
      return await repair(path, streams);
    case "export":
      return await exportStore(path, streams);
    case "import":
      return await importStore(path, streams);
  }
}

async function check(path: string, { output }: StoreStreams): Promise<number> {
  return await withRescued(path, async (_, report) => {
    const lines = isSound(report)
      ? [`ok: ${contents(report)}`]
      : [...damageLines(report), `repair would keep ${kept(report)}; ${leftOut(report)}`];
    output.write(`${lines.join("\n")}\n`);
    return isSound(report) ? EXIT.done : EXIT.failed;
  });
}

async function repair(path: string, { output }: StoreStreams): Promise<number> {
  const { report, kept: folder } = await repairStore(path);
  const lines =
    folder === undefined
      ? [`nothing to repair: ${contents(report)}`]
      : [
          ...damageLines(report),
          `repaired: ${kept(report)} kept; ${leftOut(report)}`,
          `the files as they were: ${folder}`,
        ];
  output.write(`${lines.join("\n")}\n`);
  return 0;
}

const FORMAT = "mcp-taskgate-store";

/** Writes a line of JSON for each cell, after a first line that names the format and before a last one with the number of cells. */
async function exportStore(path: string, { output, say }: StoreStreams): Promise<number> {
  return await withRescued(path, async (db, report) => {
    const write = async (line: object) => {
      if (!output.write(`${JSON.stringify(line)}\n`)) await drained(output);
    };
    let cells = 0;
    await write({ format: FORMAT, version: 1 });
    for await (const cell of cellsOf(db)) {
      await write(cell);
      cells += 1;
    }
    await write({ cells });
    if (isSound(report)) return EXIT.done;
    for (const line of damageLines(report)) say(line);
    say(`exported ${kept(report)}; ${leftOut(report)}`);
    return EXIT.failed;
  });
}

const CELLS_AT_ONCE = 200;

/** Imports into an empty or new directory. A gateway can use the store only once the import is complete; a failed import leaves none. */
async function importStore(path: string, { input, output }: StoreStreams): Promise<number> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  if ((await readdir(path)).length > 0)
    throw new Error(`${path}: not empty; import into a directory of its own`);
  const db = new ClassicLevel(path);
  await db.open();
  try {
    const cells = await fill(db, createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY }));
    output.write(`imported ${counted(cells, "cell")}\n`);
    return 0;
  } catch (error) {
    await db.close();
    await ClassicLevel.destroy(path);
    throw error;
  } finally {
    await db.close();
  }
}

async function fill(db: ClassicLevel, lines: AsyncIterable<string>): Promise<number> {
  let [number, cells] = [0, 0];
  let end: unknown;
  let writes: Operation[] = [];
  for await (const line of lines) {
    number += 1;
    if (end !== undefined) throw new Error(`line ${number}: there is more after the end`);
    const said = parsed(line, number);
    if (number === 1) {
      if (said.format !== FORMAT || said.version !== 1)
        throw new Error(
          `line 1: must be {"format":"${FORMAT}","version":1}; this is no export of mcp-taskgate`,
        );
    } else if (said.cells !== undefined) end = said.cells;
    else {
      const { key, expiresAt, text } = said;
      if (typeof key !== "string" || typeof text !== "string" || !Number.isSafeInteger(expiresAt))
        throw new Error(
          `line ${number}: must have key and text (strings) and expiresAt (milliseconds since the epoch)`,
        );
      const at = expiresAt as number;
      const value = storedValue(text, at);
      writes.push({ type: "put", key: valueKey(key), value });
      writes.push({ type: "put", key: dueKey(at, key), value: String(value.length) });
      cells += 1;
    }
    if (writes.length >= 2 * CELLS_AT_ONCE) {
      await db.batch(writes);
      writes = [];
    }
  }
  if (end !== cells)
    throw new Error(`the export ends before its end: ${counted(cells, "cell")} of ${end ?? "?"}`);
  await db.batch(writes, { sync: true });
  return cells;
}

function parsed(line: string, number: number): Readonly<Record<string, unknown>> {
  const said = parseJson(line);
  // The error does not quote the line, which may contain a secret.
  if (!isObject(said)) throw new Error(`line ${number}: must be a JSON object`);
  return said;
}

/** Resolves when the output accepts more; rejects when its reader is gone. */
async function drained(output: Writable): Promise<void> {
  const over = new AbortController();
  try {
    await Promise.race([
      new Promise<void>((resolve) => output.once("drain", resolve)),
      finished(output, { signal: over.signal }),
    ]);
  } finally {
    over.abort();
  }
}

function isSound({ damage }: LevelReport): boolean {
  return damage.length === 0;
}

function damageLines({ damage }: LevelReport): string[] {
  return damage.map((what) => `damaged: ${what}`);
}

function contents({ finished: ended, unfinished }: LevelReport): string {
  return `${counted(ended, "finished task")}, ${unfinished} unfinished`;
}

function kept({ finished: ended }: LevelReport): string {
  return counted(ended, "finished task");
}

function leftOut({ unfinished, unreadable }: LevelReport): string {
  return `left out: ${counted(unreadable, "damaged value")}, and ${counted(unfinished, "task")} without an outcome, of which nobody knows what became`;
}

function counted(number: number, one: string): string {
  return `${number} ${one}${number === 1 ? "" : "s"}`;
}
