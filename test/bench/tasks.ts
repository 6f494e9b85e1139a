import type { Effort } from "./effort.ts";
import type { Lab, Target } from "./lab.ts";
import type { Load, Measured } from "./measure.ts";
import { atLeast, type Line, median, medianRatio, microseconds, perSecond, ratioLine } from "./report.ts";
import { modern } from "./requests.ts";

const IN_FLIGHT = 16;
const CREATE = modern(1, "tools/call", { name: "work", arguments: {} });
/** How many tasks are asked after in turn. */
const ASKED = 64;

interface Contestant {
  readonly create: Target;
  readonly get: Target;
  readonly created: Round[];
  readonly got: Round[];
}

interface Round {
  readonly perSecond: number;
  /** The program's own time for each request, in milliseconds. */
  readonly cpuMs: number;
  /** How busy the load client was. */
  readonly clientShare: number;
}

/**
 * How fast tasks are made and asked after. The calls behind them wait: one at the server, the rest for their turn, so
 * that neither the server's work nor the connections to it are part of what is measured.
 */
export async function measureTasks(lab: Lab, { rounds, warmUp, createMs, getMs }: Effort): Promise<Line[]> {
  const silent = await lab.server("silent");
  const tasks = { mode: "always", maxConcurrent: 1, maxQueued: 1_000_000 };
  const memory = await gateway(lab, silent, "memory", tasks);
  const level = await gateway(lab, silent, "level", tasks);
  const handler = alike(await lab.probed("handler"));
  const bare: Contestant = {
    ...alike(await lab.probed("bare", await bodyOf(memory, "create"))),
    get: await lab.probed("bare", await bodyOf(memory, "get")),
  };
  const contestants = [memory, level, handler, bare];
  for (const one of contestants) await round(one, warmUp, warmUp);
  for (const one of contestants) one.created.length = one.got.length = 0;
  for (let count = 0; count < rounds; count += 1) {
    contestants.reverse();
    for (const one of contestants) await round(one, { forMs: createMs }, { forMs: getMs });
  }
  for (const { create, get } of contestants)
    await Promise.all([create, get].map(({ program }) => program.stop()));
  await silent.program.stop();
  return [
    ...lines("created", "created", { memory, level, handler, bare }, 0.35),
    ...lines("tasks/get", "got", { memory, level, handler, bare }, 0.6),
    {
      what: "load client: busy while it asks bare node:http",
      value: `${Math.round(100 * median(bare.got.map(({ clientShare }) => clientShare)))} %`,
    },
  ];
}

async function gateway(lab: Lab, server: Target, store: "memory" | "level", tasks: Record<string, unknown>) {
  return alike(await lab.gateway({ upstream: server.url, store, tasks }));
}

function alike(target: Target): Contestant {
  return { create: target, get: target, created: [], got: [] };
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

type Amount = Pick<Load, "forMs" | "atMost">;

async function round(one: Contestant, create: Amount, get: Amount): Promise<void> {
  const load = { connections: IN_FLIGHT, expected: '"status":"working"' };
  const created = await measured(one.create, { ...load, requests: [CREATE], ...create });
  one.created.push(created);
  const taskIds = created.taskIds.slice(-ASKED);
  const requests = taskIds.map((taskId, index) => modern(index + 1, "tasks/get", { taskId }));
  one.got.push(await measured(one.get, { ...load, requests, ...get }));
}

async function measured(target: Target, load: Load): Promise<Measured & Round> {
  const before = await target.probe.cpuMs();
  const done = await target.load(load);
  return { ...done, cpuMs: ((await target.probe.cpuMs()) - before) / done.count };
}

interface Contestants {
  readonly memory: Contestant;
  readonly level: Contestant;
  readonly handler: Contestant;
  readonly bare: Contestant;
}

/** @param aim as many a second, divided by the bare server */
function lines(
  what: string,
  step: "created" | "got",
  { memory, level, handler, bare }: Contestants,
  aim: number,
): Line[] {
  const rate = (one: Contestant) => one[step].map((round) => round.perSecond);
  const cpu = (one: Contestant) => one[step].map(({ cpuMs }) => cpuMs);
  const compare = (name: string, one: Contestant): Line[] => {
    const toHandler = medianRatio(rate(one), rate(handler));
    const toBare = medianRatio(rate(one), rate(bare));
    return [
      { what: `${what}: ${name}`, value: perSecond(median(rate(one))) },
      { what: `${what}: ${name}, CPU`, value: microseconds(median(cpu(one))) },
      ratioLine(`${what}: ${name} / createMcpHandler`, toHandler, true, atLeast(1.5, toHandler)),
      ratioLine(`${what}: ${name} / bare node:http`, toBare, true, atLeast(aim, toBare)),
      ratioLine(`${what}: ${name} / createMcpHandler, CPU`, medianRatio(cpu(one), cpu(handler)), false),
      ratioLine(`${what}: ${name} / bare node:http, CPU`, medianRatio(cpu(one), cpu(bare)), false),
    ];
  };
  return [
    ...compare("memory:", memory),
    ...compare("level:", level),
    { what: `${what}: createMcpHandler`, value: perSecond(median(rate(handler))) },
    { what: `${what}: bare node:http`, value: perSecond(median(rate(bare))) },
    { what: `${what}: bare node:http, CPU`, value: microseconds(median(cpu(bare))) },
  ];
}
