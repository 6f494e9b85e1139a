import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Framed } from "./framing.ts";

/** A request that once showed a fault. */
export interface Found {
  readonly framed: Framed;
  /** What was wrong, for people. */
  readonly what: string;
  /** Of the odd servers that answered it: with it they give the same answer. */
  readonly seed: number;
  readonly isJsonRpc: boolean;
  readonly mayBeCut: boolean;
}

const FOLDER = fileURLToPath(new URL("found/", import.meta.url));

/** Everything that was ever found, by the seed that it needs. */
export function allFound(): ReadonlyMap<number, readonly Found[]> {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));
  const bySeed = new Map<number, Found[]>();
  for (const found of files.map(read)) bySeed.set(found.seed, [...(bySeed.get(found.seed) ?? []), found]);
  return bySeed;
}

/** Keeps what was found, for good: the file is to be committed with the change that mends it. Gives its name. */
export function keepFound({ framed, ...found }: Found): string {
  const { bytes, body: _, ...rest } = framed;
  const name = `${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}.json`;
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(
    `${FOLDER}${name}`,
    `${JSON.stringify({ ...found, ...rest, bytes: bytes.toString("latin1") }, null, 2)}\n`,
  );
  return name;
}

function read(name: string): Found {
  const { what, seed, isJsonRpc, mayBeCut, bytes, ...rest } = JSON.parse(
    readFileSync(`${FOLDER}${name}`, "utf8"),
  );
  const framed = { ...rest, bytes: Buffer.from(bytes, "latin1"), body: bodyOf(bytes) };
  return { what, seed, isJsonRpc, mayBeCut, framed };
}

function bodyOf(bytes: string): Buffer {
  const end = bytes.indexOf("\r\n\r\n");
  return Buffer.from(end === -1 ? "" : bytes.slice(end + 4), "latin1");
}
