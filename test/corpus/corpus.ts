/**
 * Real servers from npm, each behind the gateway, each called as a task by a stock client. Prints a line for each row as it
 * ends, and writes the table to RESULTS.md. Exits with 1 when a row is not as expected. Takes some minutes, most of them asleep.
 *
 *   npm run corpus -- [--only TEXT]     only rows with the text in their server's folder or transport; writes no table
 */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Programs } from "../demo/programs.ts";
import { installFolder } from "../peers/npm-ci.ts";
import { BROWSERS } from "./browsers.ts";
import { EVERYTHING } from "./everything.ts";
import { leftBehind } from "./left-behind.ts";
import { OTHERS } from "./others.ts";
import { FOLDER } from "./packages.ts";
import { type Grounds, openGrounds } from "./place.ts";
import { cellsOf, factsOf, pageOf, type Result, summaryOf, verdictOf } from "./results.ts";
import type { Row } from "./row.ts";
import { run } from "./trial.ts";

/** Most rows wait most of the time. */
const AT_ONCE = 3;

const { only } = parseArgs({ options: { only: { type: "string" } } }).values;
const rows = [...OTHERS, ...BROWSERS, ...EVERYTHING].filter(
  ({ folder, transport }) => only === undefined || `${folder} ${transport}`.includes(only),
);
if (rows.length === 0) throw new Error(`--only: no row has "${only}" in its server's folder or transport`);
if (!installFolder(FOLDER)) process.exit(1);

const programs = new Programs();
const grounds = await openGrounds();
process.once("SIGINT", () => void finish(130)).once("SIGTERM", () => void finish(143));

const facts = factsOf();
console.log(facts.join(" · "));
const results = await tryAll(rows, grounds);
const orphans = await leftBehind();
const verdicts = results.map(verdictOf);
console.log(`\n${summaryOf(results)}`);
for (const orphan of orphans) console.error(`left behind: ${orphan}`);
if (only === undefined) await writeFile(join(FOLDER, "RESULTS.md"), pageOf(results, facts, new Date()));
const isAsExpected = verdicts.every(
  (verdict) => !["failed", "works, though listed as known"].includes(verdict),
);
await finish(isAsExpected && orphans.length === 0 ? 0 : 1);

/** Some at once, each with all of its own; gives them in the order of the table. */
async function tryAll(all: readonly Row[], { place }: Grounds): Promise<Result[]> {
  const done: Result[] = [];
  const left = all.entries();
  const work = async () => {
    for (const [index, row] of left) {
      const result = await tryOne(row, () => place(index));
      done[index] = result;
      print(result);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return done;
}

async function tryOne(row: Row, place: () => ReturnType<Grounds["place"]>): Promise<Result> {
  const skipped = row.missing?.();
  return skipped === undefined ? { row, trial: await run(row, await place(), programs) } : { row, skipped };
}

function print(result: Result): void {
  console.log(`${verdictOf(result).padEnd(12)} ${cellsOf(result).join(" · ")}`);
  if ("skipped" in result) console.warn(`SKIPPED ${result.row.folder}: ${result.skipped}`);
  else for (const problem of result.trial.problems) console.error(`    ${problem}`);
}

async function finish(exitCode: number): Promise<never> {
  await programs.stop();
  await grounds.close();
  process.exit(exitCode);
}
