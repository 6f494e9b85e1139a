import { setTimeout as sleep } from "node:timers/promises";
import type { Effort } from "./effort.ts";
import type { Lab, Target } from "./lab.ts";
import { atMost, kilobytes, type Line } from "./report.ts";
import { modern } from "./requests.ts";

const CREATE = modern(1, "tools/call", { name: "work", arguments: {} });
const CREATE_AT_ONCE = 32;
const WARM_UP_TASKS = 200;
const MAX_BYTES = 25_000;
const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 1_000;
const MAX_LOOKS = 15;

/** What a task in flight costs the gateway: all of them at the server at once, and all but one of them queued. */
export async function measureMemory(lab: Lab, { heldTasks }: Effort): Promise<Line[]> {
  const lines: Line[] = [];
  for (const { name, maxConcurrent } of [
    { name: "at the server", maxConcurrent: 100_000 },
    { name: "queued", maxConcurrent: 1 },
  ]) {
    const silent = await lab.server("silent");
    const gateway = await lab.gateway({
      upstream: silent.url,
      store: "memory",
      tasks: { mode: "always", maxConcurrent, maxQueued: 1_000_000 },
    });
    const isRunning = maxConcurrent > 1;
    await create(gateway, silent, WARM_UP_TASKS, isRunning ? WARM_UP_TASKS : 1);
    const before = await memoryOf(gateway);
    await create(gateway, silent, heldTasks, isRunning ? WARM_UP_TASKS + heldTasks : 1);
    const after = await memoryOf(gateway);
    await gateway.program.stop();
    await silent.program.stop();

    const each = (kind: keyof NodeJS.MemoryUsage) => (after[kind] - before[kind]) / heldTasks;
    lines.push(
      {
        what: `${name}: resident`,
        value: kilobytes(each("rss")),
        aim: atMost(kilobytes(MAX_BYTES), MAX_BYTES, each("rss")),
      },
      { what: `${name}: heap and buffers`, value: kilobytes(each("heapUsed") + each("external")) },
    );
  }
  return lines;
}

async function create(gateway: Target, silent: Target, tasks: number, held: number): Promise<void> {
  await gateway.load({
    connections: CREATE_AT_ONCE,
    requests: [CREATE],
    forMs: PATIENCE_MS,
    atMost: tasks,
    expected: '"status":"working"',
  });
  const deadline = Date.now() + PATIENCE_MS;
  while ((await silent.program.ask<number>("held")) < held) {
    if (Date.now() > deadline) throw new Error(`the server never held ${held} calls`);
    await sleep(50);
  }
}

/** What is in use once it falls no more: pages that a collection empties are given back only by one of the next. */
export async function memoryOf({ program }: Target): Promise<NodeJS.MemoryUsage> {
  let usage = await program.ask<NodeJS.MemoryUsage>("memory");
  for (let quiet = 0, look = 0; quiet < 3 && look < MAX_LOOKS; look += 1) {
    await sleep(LOOK_EVERY_MS);
    const next = await program.ask<NodeJS.MemoryUsage>("memory");
    quiet = next.rss < 0.99 * usage.rss ? 0 : quiet + 1;
    usage = next;
  }
  return usage;
}
