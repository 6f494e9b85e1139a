import type { Effort } from "./effort.ts";
import type { Lab, Target } from "./lab.ts";
import { atLeast, type Line, median, medianRatio, perSecond, times } from "./report.ts";
import { modern } from "./requests.ts";

const IN_FLIGHT = 16;
const CREATE = modern(1, "tools/call", { name: "work", arguments: {} });
/** How many tasks are asked after in turn. */
const ASKED = 64;

interface Contestant {
  readonly create: Target;
  readonly get: Target;
  readonly created: number[];
  readonly got: number[];
  /** How busy the load client was meanwhile. */
  readonly clientShare: number[];
}

/**
 * How fast tasks are made and asked after. The calls behind them wait: one at the server, the rest for their turn, so
 * that neither the server's work nor the connections to it are part of what is measured.
 */
export async function measureTasks(lab: Lab, { rounds, warmUpMs, createMs, getMs }: Effort): Promise<Line[]> {
  const silent = await lab.server("silent");
  const tasks = { mode: "always", maxConcurrent: 1, maxQueued: 1_000_000 };
  const memory = await gateway(lab, silent, "memory", tasks);
  const level = await gateway(lab, silent, "level", tasks);
  const handler = alike(await lab.server("handler"));
  const bare: Contestant = {
    ...alike(await lab.server("bare", [await bodyOf(memory, "create")])),
    get: await lab.server("bare", [await bodyOf(memory, "get")]),
  };
  const contestants = [memory, level, handler, bare];
  for (const one of contestants) await round(one, warmUpMs / 2, warmUpMs / 2);
  for (const one of contestants) one.created.length = one.got.length = one.clientShare.length = 0;
  for (let count = 0; count < rounds; count += 1) {
    for (const one of contestants) await round(one, createMs, getMs);
  }
  for (const { create, get } of contestants)
    await Promise.all([create, get].map(({ program }) => program.stop()));
  await silent.program.stop();
  return [
    ...lines("created", "created", memory, level, handler, bare),
    ...lines("tasks/get", "got", memory, level, handler, bare),
    {
      what: "load client: busy while it asks bare node:http",
      value: `${Math.round(100 * median(bare.clientShare))} %`,
    },
  ];
}

async function gateway(lab: Lab, server: Target, store: "memory" | "level", tasks: Record<string, unknown>) {
  return alike(await lab.gateway({ upstream: server.url, store, tasks }));
}

function alike(target: Target): Contestant {
  return { create: target, get: target, created: [], got: [], clientShare: [] };
}

/** What a gateway answers, to be sent by the bare server. */
async function bodyOf(one: Contestant, what: "create" | "get"): Promise<string> {
  const once = { connections: 1, forMs: 1_000, atMost: 1 };
  const created = await one.create.load({ ...once, requests: [CREATE], expected: '"taskId"' });
  const asked = modern(2, "tasks/get", { taskId: created.taskIds[0] });
  const { sample } =
    what === "create" ? created : await one.get.load({ ...once, requests: [asked], expected: '"taskId"' });
  return sample.slice(sample.indexOf("\r\n\r\n") + 4);
}

async function round(one: Contestant, createMs: number, getMs: number): Promise<void> {
  const load = { connections: IN_FLIGHT, expected: '"status":"working"' };
  const created = await one.create.load({ ...load, requests: [CREATE], forMs: createMs });
  one.created.push(created.perSecond);
  const taskIds = created.taskIds.slice(-ASKED);
  const requests = taskIds.map((taskId, index) => modern(index + 1, "tasks/get", { taskId }));
  const got = await one.get.load({ ...load, requests, forMs: getMs });
  one.got.push(got.perSecond);
  one.clientShare.push(got.clientShare);
}

function lines(
  what: string,
  rate: "created" | "got",
  memory: Contestant,
  level: Contestant,
  handler: Contestant,
  bare: Contestant,
): Line[] {
  const compare = (name: string, one: Contestant): Line[] => {
    const toHandler = medianRatio(one[rate], handler[rate]);
    const toBare = medianRatio(one[rate], bare[rate]);
    return [
      { what: `${what}: ${name}`, value: perSecond(median(one[rate])) },
      { what: `${what}: ${name} / createMcpHandler`, value: times(toHandler), aim: atLeast(4, toHandler) },
      { what: `${what}: ${name} / bare node:http`, value: times(toBare), aim: atLeast(0.5, toBare) },
    ];
  };
  return [
    ...compare("memory:", memory),
    ...compare("level:", level),
    { what: `${what}: createMcpHandler`, value: perSecond(median(handler[rate])) },
    { what: `${what}: bare node:http`, value: perSecond(median(bare[rate])) },
  ];
}
