/**
 * What the gateway costs, as ratios to what one would have without it. Every program is a process of its own, and the
 * contestants take turns, so that a noisy machine disturbs all of them. Nothing here fails for being slow.
 *
 *   npm run bench -- [--quick] [--only calls|stdio|tasks|redis|memory|transparent|streams|fairness] [--profile FOLDER]
 */

import { parseArgs } from "node:util";
import { measureCalls } from "./calls.ts";
import { QUICK, USUAL } from "./effort.ts";
import { measureFairness } from "./fairness.ts";
import { measureHeldStreams } from "./held-streams.ts";
import { Lab } from "./lab.ts";
import { measureMemory } from "./memory.ts";
import { measureRedis } from "./redis.ts";
import { type Line, printFacts, printTable } from "./report.ts";
import { measureStdio } from "./stdio.ts";
import { measureTasks } from "./tasks.ts";
import { measureTransparent } from "./transparent.ts";

const { values } = parseArgs({
  options: { quick: { type: "boolean" }, only: { type: "string" }, profile: { type: "string" } },
});
const effort = values.quick ? QUICK : USUAL;
const sections = [
  { name: "calls", title: "tools/call echo, through to a legacy server", measure: measureCalls },
  { name: "stdio", title: "tools/call echo, through to a legacy server over stdio", measure: measureStdio },
  { name: "tasks", title: "Tasks, 16 requests in flight", measure: measureTasks },
  {
    name: "redis",
    title: "Tasks in Redis, 16 requests in flight at each of so many replicas",
    measure: measureRedis,
  },
  { name: "memory", title: `Memory for each of ${effort.heldTasks} tasks in flight`, measure: measureMemory },
  { name: "transparent", title: "Legacy clients, transparent", measure: measureTransparent },
  {
    name: "streams",
    title: `Memory for each of ${effort.heldStreams} event streams held`,
    measure: measureHeldStreams,
  },
  {
    name: "fairness",
    title: "2,000 callers poll 10,000 tasks, while one more floods",
    measure: measureFairness,
  },
].filter(({ name }) => values.only === undefined || values.only === name);

process.once("SIGINT", () => process.exit(130)).once("SIGTERM", () => process.exit(143));
const startedAt = performance.now();
const lab = await Lab.open(values.profile);
try {
  const tables: { title: string; lines: Line[] }[] = [];
  for (const { title, measure } of sections) tables.push({ title, lines: await measure(lab, effort) });
  printFacts();
  for (const { title, lines } of tables) printTable(title, lines);
  console.log(
    `\nMedians of ${effort.rounds} rounds; ${Math.round((performance.now() - startedAt) / 1_000)} s in all.`,
  );
} finally {
  await lab.close();
}
