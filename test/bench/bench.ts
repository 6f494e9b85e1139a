/**
 * What the gateway costs, as ratios to what one would have without it. Every program is a process of its own, and the
 * contestants take turns, so that a noisy machine disturbs all of them; CPU time is what such a machine disturbs least. Nothing here fails
 * for being slow. Ratios are compared with the recorded run, and `--record` makes this run the recorded one.
 *
 *   npm run bench -- [--quick] [--only calls|stdio|tasks|promotion|redis|webhooks|memory|transparent|streams|fairness] [--record] [--profile FOLDER]
 *
 * `--quick` takes two minutes: it leaves out what takes long and what nobody works on.
 */

import { parseArgs } from "node:util";
import { measureCalls } from "./calls.ts";
import { QUICK, USUAL } from "./effort.ts";
import { measureFairness } from "./fairness.ts";
import { measureHeldStreams } from "./held-streams.ts";
import { Lab } from "./lab.ts";
import { measureMemory } from "./memory.ts";
import { measurePromotion } from "./promotion.ts";
import { changeSince, loadNow, type Recorded, readRecord, recorded, writeRecord } from "./record.ts";
import { measureRedis } from "./redis.ts";
import { machine, printTable } from "./report.ts";
import { measureStdio } from "./stdio.ts";
import { measureTasks } from "./tasks.ts";
import { measureTransparent } from "./transparent.ts";
import { measureWebhooks } from "./webhooks.ts";

const { values } = parseArgs({
  options: {
    quick: { type: "boolean" },
    only: { type: "string" },
    record: { type: "boolean" },
    profile: { type: "string" },
  },
});
const effort = values.quick ? QUICK : USUAL;
const sections = [
  {
    name: "calls",
    title: "tools/call echo, through to a legacy server",
    measure: measureCalls,
    isQuick: true,
  },
  { name: "stdio", title: "tools/call echo, through to a legacy server over stdio", measure: measureStdio },
  { name: "tasks", title: "Tasks, 16 requests in flight", measure: measureTasks, isQuick: true },
  { name: "promotion", title: "Polls beside many tasks", measure: measurePromotion, isQuick: true },
  {
    name: "redis",
    title: "Tasks in Redis, 16 requests in flight at each of so many replicas",
    measure: measureRedis,
  },
  { name: "webhooks", title: "Tasks whose ends a receiver is told", measure: measureWebhooks },
  { name: "memory", title: `Memory for each of ${effort.heldTasks} tasks in flight`, measure: measureMemory },
  { name: "transparent", title: "Legacy clients, transparent", measure: measureTransparent, isQuick: true },
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
].filter(({ name, isQuick = false }) =>
  values.only === undefined ? isQuick || !values.quick : values.only === name,
);

process.once("SIGINT", () => process.exit(130)).once("SIGTERM", () => process.exit(143));
const startedAt = performance.now();
const lab = await Lab.open(values.profile);
try {
  const record = readRecord();
  const measured: { [section: string]: Recorded } = {};
  for (const { name, title, measure } of sections) {
    const before = loadNow();
    const lines = await measure(lab, effort);
    measured[name] = recorded(title, { rounds: effort.rounds, before, lines });
  }
  console.log(`${machine()}, Node ${process.version}`);
  for (const [name, { title, load, lines }] of Object.entries(measured))
    printTable(`${title} (load ${load.before} → ${load.after})`, lines, changeSince(record[name]));
  if (values.record) writeRecord({ ...record, ...measured });
  console.log(
    `\nMedians of ${effort.rounds} rounds; ${Math.round((performance.now() - startedAt) / 1_000)} s in all.`,
  );
} finally {
  await lab.close();
}
