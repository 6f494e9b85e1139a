/**
 * What finished tasks cost that stay in a `level:` store: a gateway on a store with so many is started and polled beside one on an empty
 * store, in turns. Prints how long it took to be ready, its memory, and the CPU of a `tasks/get`: just filled, when LevelDB still merges the
 * tables that reads pass through, and once it has. Takes 0.3 KB of disk a task, and its result.
 *
 *   npm run soak:full-store -- [--tasks 1000000]
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openStore } from "../../src/store/open.ts";
import type { TaskStore } from "../../src/store/task-store.ts";
import { Lab, type Target } from "../bench/lab.ts";
import { atMost, median, medianRatio, microseconds, printTable, ratioLine } from "../bench/report.ts";
import { modern, type Request } from "../bench/requests.ts";
import { completed, newTask } from "../store/samples.ts";

const { values } = parseArgs({ options: { tasks: { type: "string", default: "1000000" } } });
const total = Number(values.tasks);
if (!Number.isInteger(total) || total < 1) throw new Error("--tasks has to be a positive integer");

const IN_FLIGHT = 1_000;
/** How many tasks are polled, spread over all. */
const POLLED = 1_024;
const ROUNDS = 15;
const POLLS = 500;
const WARM_UP = 4_000;
/** Polls after which a million tasks lie in few enough tables: nothing is merged any more because it is read. */
const SETTLING = 30_000;
const MAX_READY_MS = 2_000;
const MAX_RESIDENT_BYTES = 150_000_000;
const MAX_RATIO = 1.2;
const RESULT = { content: [{ type: "text", text: "x".repeat(200) }] };

interface Contestant {
  readonly target: Target;
  readonly readyMs: number;
  readonly polls: readonly Request[];
}

const folder = await mkdtemp(join(tmpdir(), "taskgate-full-store-"));
const lab = await Lab.open();
process.once("SIGINT", () => process.exit(130)).once("SIGTERM", () => process.exit(143));
try {
  const silent = await lab.server("silent");
  const full = await contestant(silent, join(folder, "full"), total);
  const empty = await contestant(silent, join(folder, "empty"), POLLED);
  for (const one of [full, empty]) await poll(one, WARM_UP);
  const unsettled = await compared(full, empty);
  for (const one of [full, empty]) await poll(one, SETTLING);
  const settled = await compared(full, empty);
  const [{ resident }, { resident: little }] = [
    await full.target.probe.memory(),
    await empty.target.probe.memory(),
  ];
  const seconds = (ms: number) => `${(ms / 1_000).toFixed(2)} s`;
  const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
  printTable(
    `${total.toLocaleString("en")} finished tasks in level:`,
    [
      {
        what: "ready after",
        value: seconds(full.readyMs),
        aim: atMost(seconds(MAX_READY_MS), MAX_READY_MS, full.readyMs),
      },
      { what: `ready after, with ${POLLED.toLocaleString("en")} tasks`, value: seconds(empty.readyMs) },
      {
        what: "resident",
        value: megabytes(resident),
        aim: atMost(megabytes(MAX_RESIDENT_BYTES), MAX_RESIDENT_BYTES, resident),
      },
      { what: `resident, with ${POLLED.toLocaleString("en")} tasks`, value: megabytes(little) },
      { what: "tasks/get: CPU", value: microseconds(settled.cpuMs) },
      ratioLine("tasks/get: CPU / few tasks, just filled", unsettled.ratio, false),
      ratioLine(
        "tasks/get: CPU / few tasks, settled",
        settled.ratio,
        false,
        atMost(`${MAX_RATIO}×`, MAX_RATIO, settled.ratio),
      ),
    ],
    () => "",
  );
} finally {
  await lab.close();
  await rm(folder, { recursive: true, force: true });
}

async function contestant(silent: Target, path: string, tasks: number): Promise<Contestant> {
  const ids = await fill(path, tasks);
  const startedAt = performance.now();
  const target = await lab.gateway({ upstream: silent.url, store: { level: path } });
  const readyMs = performance.now() - startedAt;
  const polls = ids.map((taskId, index) => modern(index + 1, "tasks/get", { taskId }));
  return { target, readyMs, polls };
}

/** Polls both in turns. Gives the CPU of a poll of the first, and how much more that is than of the second. */
async function compared(full: Contestant, empty: Contestant): Promise<{ cpuMs: number; ratio: number }> {
  const [ours, theirs]: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round += 1) {
    const turns = [
      async () => ours.push(await poll(full, POLLS)),
      async () => theirs.push(await poll(empty, POLLS)),
    ];
    for (const turn of round % 2 === 0 ? turns : turns.reverse()) await turn();
  }
  return { cpuMs: median(ours), ratio: medianRatio(ours, theirs) };
}

/** Fills a store with finished tasks. Gives the ids of some. */
async function fill(path: string, tasks: number): Promise<readonly string[]> {
  const store = await openStore(`level:${path}`);
  const ids: string[] = [];
  const every = Math.ceil(tasks / POLLED);
  let begun = 0;
  const work = async () => {
    while (begun < tasks) {
      const number = begun;
      begun += 1;
      const id = await finished(store);
      if (number % every === 0) ids.push(id);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, work));
  await store.close();
  return ids;
}

async function finished(store: TaskStore): Promise<string> {
  const task = await store.create(newTask({ route: "bench" }));
  await store.end(task, completed(RESULT));
  return task.id;
}

/** Gives the time that the gateway worked for each poll. */
async function poll({ target, polls }: Contestant, count: number): Promise<number> {
  const before = await target.probe.cpuMs();
  const load = { connections: 16, requests: polls, forMs: 600_000, atMost: count };
  const done = await target.load({ ...load, expected: '"status":"completed"' });
  return ((await target.probe.cpuMs()) - before) / done.count;
}
