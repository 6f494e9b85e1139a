import { setTimeout as sleep } from "node:timers/promises";
import type { Effort } from "./effort.ts";
import type { Lab, Target } from "./lab.ts";
import { memoryOf } from "./memory.ts";
import { kilobytes, type Line, median, medianRatio, microseconds, perSecond, ratioLine } from "./report.ts";
import { modern } from "./requests.ts";

const IN_FLIGHT = 16;
const CREATE = modern(1, "tools/call", { name: "echo", arguments: { text: "x" } });
const SECRET = `whsec_${Buffer.alloc(32, 1).toString("base64")}`;
const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 5;
/** Nobody listens there (discard, RFC 863). */
const AWAY = "http://127.0.0.1:9/";
const WARM_UP_TASKS = 200;
const WAITING_TASKS = 2_000;

interface Round {
  readonly cpuMs: number;
  readonly perSecond: number;
}

/** What it costs that a receiver is told of each task's end, and how many ends a second it is told. */
export async function measureWebhooks(lab: Lab, { rounds, toldTasks }: Effort): Promise<Line[]> {
  const [echo, receiver] = [await lab.server("echo"), await lab.server("receiver")];
  const settings = { upstream: echo.url, store: "level", tasks: { mode: "always" } } as const;
  const webhooks = { bench: { url: receiver.url, secret: SECRET, events: ["completed"] } };
  const untold = await lab.gateway(settings);
  const told = await lab.gateway({ ...settings, webhooks });
  const taken = () => receiver.program.ask<number>("taken");
  const contestants: { gateway: Target; rounds: Round[]; isOver: (before: number) => Promise<boolean> }[] = [
    { gateway: untold, rounds: [], isOver: async () => true },
    { gateway: told, rounds: [], isOver: async (before) => (await taken()) >= before + toldTasks },
  ];
  // The first is for the compiler.
  for (let count = 0; count <= rounds; count += 1) {
    contestants.reverse();
    for (const { gateway, rounds: seen, isOver } of contestants) {
      const [before, cpuBefore] = [await taken(), await gateway.probe.cpuMs()];
      const begunAt = performance.now();
      await endTasks(gateway, toldTasks);
      await until(() => isOver(before));
      const ms = performance.now() - begunAt;
      const cpuMs = ((await gateway.probe.cpuMs()) - cpuBefore) / toldTasks;
      if (count > 0) seen.push({ cpuMs, perSecond: (1_000 * toldTasks) / ms });
    }
  }
  for (const { program } of [told, untold, receiver]) await program.stop();
  const waiting = await bytesOfWaiting(lab, echo);
  await echo.program.stop();
  const of = (one: Target) => contestants.find(({ gateway }) => gateway === one)?.rounds ?? [];
  const cpu = (one: Target) => of(one).map(({ cpuMs }) => cpuMs);
  return [
    { what: "made, ended and told", value: perSecond(median(of(told).map((round) => round.perSecond))) },
    { what: "made and ended", value: perSecond(median(of(untold).map((round) => round.perSecond))) },
    { what: "told, CPU", value: microseconds(median(cpu(told)) - median(cpu(untold))) },
    ratioLine("a task that is told / one that is not, CPU", medianRatio(cpu(told), cpu(untold)), false),
    { what: "an event that waits for its receiver, on memory:, heap", value: kilobytes(waiting) },
  ];
}

/** How much more a finished task takes while nobody is there to be told of it. */
async function bytesOfWaiting(lab: Lab, echo: Target): Promise<number> {
  const of = async (webhooks: Readonly<Record<string, unknown>>) => {
    const settings = { upstream: echo.url, store: "memory", tasks: { mode: "always" } } as const;
    const gateway = await lab.gateway({ ...settings, webhooks });
    await endTasks(gateway, WARM_UP_TASKS);
    const before = await memoryOf(gateway);
    await endTasks(gateway, WAITING_TASKS);
    const after = await memoryOf(gateway);
    await gateway.program.stop();
    return (after.heapUsed + after.external - before.heapUsed - before.external) / WAITING_TASKS;
  };
  const told = { bench: { url: AWAY, secret: SECRET, events: ["completed"] } };
  return (await of(told)) - (await of({}));
}

async function endTasks(gateway: Target, count: number): Promise<void> {
  const load = { connections: IN_FLIGHT, requests: [CREATE], forMs: PATIENCE_MS, atMost: count };
  const { taskIds } = await gateway.load({ ...load, expected: '"taskId"' });
  const asked = modern(2, "tasks/get", { taskId: taskIds.at(-1) });
  await until(async () => {
    const once = { connections: 1, forMs: 1_000, atMost: 1, requests: [asked], expected: '"taskId"' };
    return (await gateway.load(once)).sample.includes('"completed"');
  });
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error("the tasks were not told of in a minute");
    await sleep(LOOK_EVERY_MS);
  }
}
