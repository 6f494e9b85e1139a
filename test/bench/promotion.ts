import type { Effort } from "./effort.ts";
import type { Lab } from "./lab.ts";
import { atMost, type Line, median } from "./report.ts";
import { modern } from "./requests.ts";

const TASKS = 2_000;
const IN_FLIGHT = 16;
const POLLS = 1_000;
const MAX_BYTES = 500;
const LOAD = { connections: IN_FLIGHT, forMs: 60_000, expected: '"status":"working"' };

/**
 * What of a poll outlives a collection of young objects, after many tasks have been created. If tasks hold what belongs to the request that
 * created them, V8 takes such objects for long-lived, also those of polls, and every poll then costs a collection of old ones.
 */
export async function measurePromotion(lab: Lab, { rounds }: Effort): Promise<Line[]> {
  const silent = await lab.server("silent");
  const tasks = { mode: "always", maxConcurrent: 1, maxQueued: 1_000_000 };
  const gateway = await lab.gateway({ upstream: silent.url, store: "memory", tasks });
  const create = modern(1, "tools/call", { name: "work", arguments: {} });
  const created = await gateway.load({ ...LOAD, requests: [create], atMost: TASKS });
  const requests = created.taskIds
    .slice(-IN_FLIGHT)
    .map((taskId, index) => modern(index + 1, "tasks/get", { taskId }));
  const poll = () => gateway.load({ ...LOAD, requests, atMost: POLLS });
  await poll();
  const promoted: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const before = await gateway.program.ask<number>("old");
    await poll();
    promoted.push(((await gateway.program.ask<number>("old")) - before) / POLLS);
  }
  await gateway.program.stop();
  await silent.program.stop();
  const bytes = median(promoted);
  return [
    {
      what: `grown old of each poll, after ${TASKS.toLocaleString("en")} creations`,
      value: `${Math.round(bytes)} bytes`,
      aim: atMost(`${MAX_BYTES}`, MAX_BYTES, bytes),
    },
  ];
}
