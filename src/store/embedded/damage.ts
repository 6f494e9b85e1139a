import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type LevelLog, readLevelLog } from "./log.ts";

/** Findings in a LevelDB directory before LevelDB opens it, which would silently drop what it cannot read. */
export interface LevelFindings {
  /** One text for each damaged or missing thing; any of them means that acknowledged writes are lost. */
  readonly damage: readonly string[];
  /** One text for each finding that need not mean a loss. */
  readonly warnings: readonly string[];
}

/** Reads only the manifest and the logs, some megabytes. A missing or empty directory has no damage. */
export async function findDamage(path: string): Promise<LevelFindings> {
  const names = (await ifThere(readdir(path))) ?? [];
  const current = await textOf(join(path, "CURRENT"));
  if (current === undefined) {
    const files = names.filter((name) => TABLE.test(name) || LOG.test(name));
    if (files.length === 0) return { damage: [], warnings: [] };
    return {
      damage: [`CURRENT is missing beside ${count(files.length, "table or log", "tables and logs")}`],
      warnings: [],
    };
  }
  const manifest = current.trimEnd();
  const edits =
    MANIFEST.test(manifest) && current.endsWith("\n") ? await logOf(join(path, manifest)) : undefined;
  if (edits === undefined) return { damage: ["CURRENT names no manifest that is there"], warnings: [] };
  if (edits.damagedBytes > 0) return { damage: [`${manifest} is damaged`], warnings: [] };
  const version = versionOf(edits.records);
  if (version === undefined) return { damage: [`${manifest} cannot be read`], warnings: [] };
  const tables = await Promise.all([...version.tables].map((table) => tableDamage(path, ...table)));
  const logs = await Promise.all(
    names
      .filter((name) => LOG.test(name) && numberOf(name) >= version.log)
      .map((name) => logFindings(path, name)),
  );
  const isLogThere =
    version.log === 0 || names.some((name) => LOG.test(name) && numberOf(name) === version.log);
  return {
    damage: [
      ...tables.filter((table) => table !== undefined),
      ...logs.flatMap(({ damage }) => damage),
      ...(isLogThere ? [] : [`the log ${fileName(version.log)}.log is missing`]),
    ],
    warnings: logs.flatMap(({ warnings }) => warnings),
  };
}

const TABLE = /^\d+\.(?:ldb|sst)$/;
const LOG = /^\d+\.log$/;
const MANIFEST = /^MANIFEST-\d+$/;

async function tableDamage(path: string, number: number, bytes: number): Promise<string | undefined> {
  for (const ending of ["ldb", "sst"]) {
    const name = `${fileName(number)}.${ending}`;
    const found = await ifThere(stat(join(path, name)));
    if (found !== undefined)
      return found.size === bytes
        ? undefined
        : `the table ${name} has ${found.size} bytes instead of ${bytes}`;
  }
  return `the table ${fileName(number)}.ldb is missing`;
}

async function logFindings(path: string, name: string): Promise<LevelFindings> {
  const { damagedBytes, tornBytes } = (await logOf(join(path, name))) ?? { damagedBytes: 0, tornBytes: 0 };
  return {
    damage: damagedBytes === 0 ? [] : [`${count(damagedBytes, "byte")} of the log ${name} cannot be read`],
    warnings:
      tornBytes === 0
        ? []
        : [
            `the last ${count(tornBytes, "byte")} of the log ${name} cannot be read and are dropped: a write that was under way when the process ended, or damage`,
          ],
  };
}

/** The tables that must exist, with their sizes, and the first log that matters; `undefined`: the edits are not those of a manifest. */
function versionOf(edits: LevelLog["records"]) {
  const tables = new Map<number, number>();
  let log = 0;
  for (const edit of edits) {
    const fields = new Fields(edit);
    while (!fields.isOver) {
      switch (fields.number()) {
        case 1:
          fields.skip();
          break;
        case 2:
          log = fields.number();
          break;
        case 3:
        case 4:
        case 9:
          fields.number();
          break;
        case 5:
          fields.number();
          fields.skip();
          break;
        case 6:
          fields.number();
          tables.delete(fields.number());
          break;
        case 7: {
          fields.number();
          const table = fields.number();
          tables.set(table, fields.number());
          fields.skip();
          fields.skip();
          break;
        }
        default:
          return undefined;
      }
    }
  }
  return { tables, log };
}

/** The fields of a version edit: varint numbers, and texts preceded by their length. */
class Fields {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isOver(): boolean {
    return this.#at >= this.#bytes.length;
  }

  number(): number {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 0x80;
    }
  }

  skip(): void {
    const length = this.number();
    this.#at += length;
  }
}

async function logOf(file: string): Promise<LevelLog | undefined> {
  const bytes = await ifThere(readFile(file));
  return bytes && readLevelLog(bytes);
}

/** What is missing is damage. What cannot be read for another reason, such as a file of another user's, is none: nobody is to repair that. */
async function ifThere<T>(reading: Promise<T>): Promise<T | undefined> {
  return reading.catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
}

const textOf = (file: string) => ifThere(readFile(file, "utf8"));
const numberOf = (name: string) => Number.parseInt(name, 10);
const fileName = (number: number) => String(number).padStart(6, "0");

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
