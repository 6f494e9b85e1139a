import { fileURLToPath } from "node:url";
import { pino } from "pino";
import type { StdioOptions } from "../../../src/upstream/transports/stdio.ts";

export type StdioScript =
  | "odd-tools"
  | "exits-at-once"
  | "silent"
  | "greets"
  | "holds-on"
  | "starts-late"
  | "counts";

/** How to start one of the scripts, with a log that is not looked at. */
export function script(name: StdioScript, ...args: readonly string[]): StdioOptions {
  const path = fileURLToPath(new URL(`${name}.mjs`, import.meta.url));
  return {
    command: process.execPath,
    args: [path, ...args],
    env: {},
    log: pino({ level: "silent" }),
    maxMessageBytes: 100_000_000,
    killGraceMs: 500,
  };
}
