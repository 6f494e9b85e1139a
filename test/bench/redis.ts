import { type RedisServer, redisMissing, startRedis } from "../support/redis.ts";
import type { Effort } from "./effort.ts";
import type { Lab, Target } from "./lab.ts";
import type { Load } from "./measure.ts";
import { atLeast, type Line, median, medianRatio, milliseconds, perSecond, ratioLine } from "./report.ts";
import { modern } from "./requests.ts";
import { storeCommands } from "./store-commands.ts";
import type { StoreJob, StoreRate } from "./store-load.ts";

const REPLICAS = [1, 2, 4];
const SIZES = [
  { name: "1 KB", bytes: 1_000 },
  { name: "100 KB", bytes: 100_000 },
];
const STEPS = ["create", "end", "read"] as const;
const IN_FLIGHT = 16;
const AIM = 0.5;
/** Fast, because it is the store that is measured and not the disk; writes are acknowledged before they are on it. */
const SETTINGS = { appendonly: "no" };
/** As many as Redis has room for on a small machine, with results of 100 KB. */
const MAX_MS_FOR_LARGE = 300;
/** How many tasks are asked after in turn. */
const ASKED = 64;
const CREATE = modern(1, "tools/call", { name: "work", arguments: {} });

/** What the store costs beside Redis itself, and what Redis costs beside memory. */
export async function measureRedis(lab: Lab, effort: Effort): Promise<Line[]> {
  const missing = redisMissing();
  if (missing !== undefined) {
    console.warn(`SKIPPED Redis: ${missing}. The table is without it.`);
    return [];
  }
  const lines: Line[] = [];
  for (const size of SIZES) {
    for (const replicas of REPLICAS) {
      lines.push(...(await withRedis((redis) => storeLines(lab, effort, redis, { ...size, replicas }))));
    }
  }
  for (const replicas of REPLICAS) {
    lines.push(...(await withRedis((redis) => gatewayLines(lab, effort, redis, replicas))));
  }
  return [...lines, ...(await withRedis((redis) => addedLines(lab, effort, redis)))];
}

interface Case {
  readonly name: string;
  readonly bytes: number;
  readonly replicas: number;
}

/** So many processes with a store each, and as many that have Redis do the same without one; they take turns. */
async function storeLines(
  lab: Lab,
  { rounds, createMs }: Effort,
  redis: RedisServer,
  { name, bytes, replicas }: Case,
): Promise<Line[]> {
  const commands = await storeCommands(redis.url, bytes);
  const forMs = bytes > 10_000 ? Math.min(createMs, MAX_MS_FOR_LARGE) : createMs;
  const contestants = {
    store: await lab.storeClients("store", redis.url, replicas),
    raw: await lab.storeClients("raw", redis.url, replicas),
  };
  const rates = new Map<string, number[]>();
  for (let round = 0; round <= rounds; round += 1) {
    for (const [contestant, clients] of Object.entries(contestants)) {
      for (const what of STEPS) {
        const job = { what, forMs, bytes, commands, inFlight: IN_FLIGHT };
        const each = await Promise.all(
          clients.map((client) => client.ask<StoreRate>(job satisfies StoreJob)),
        );
        const rate = each.reduce((sum, one) => sum + one.perSecond, 0);
        const key = `${contestant} ${what}`;
        // The first round is for the compiler.
        if (round > 0) rates.set(key, [...(rates.get(key) ?? []), rate]);
      }
    }
    await redis.command("FLUSHALL");
  }
  for (const client of Object.values(contestants).flat()) await client.stop();
  return STEPS.flatMap((what) => {
    const store = rates.get(`store ${what}`) ?? [];
    const ratio = medianRatio(store, rates.get(`raw ${what}`) ?? []);
    const title = `store, ${plural(replicas)}, ${name}: ${what}`;
    return [
      { what: title, value: perSecond(median(store)) },
      ratioLine(`${title} / raw client`, ratio, true, atLeast(AIM, ratio)),
    ];
  });
}

/** So many gateways on one Redis, each with a load of its own. */
async function gatewayLines(
  lab: Lab,
  { rounds, warmUp, createMs, getMs }: Effort,
  redis: RedisServer,
  replicas: number,
): Promise<Line[]> {
  const silent = await lab.server("silent");
  const gateways = await Promise.all(
    Array.from({ length: replicas }, async () =>
      lab.withOwnClient(await gateway(lab, silent, { redis: redis.url })),
    ),
  );
  const created: number[] = [];
  const got: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const isWarmUp = round === 0;
    const each = await Promise.all(
      gateways.map((one) => load(one, isWarmUp ? [warmUp, warmUp] : [{ forMs: createMs }, { forMs: getMs }])),
    );
    if (isWarmUp) continue;
    created.push(each.reduce((sum, one) => sum + one.created.perSecond, 0));
    got.push(each.reduce((sum, one) => sum + one.got.perSecond, 0));
  }
  for (const { program } of gateways) await program.stop();
  await silent.program.stop();
  return [
    { what: `gateway, ${plural(replicas)}: created`, value: perSecond(median(created)) },
    { what: `gateway, ${plural(replicas)}: tasks/get`, value: perSecond(median(got)) },
  ];
}

/** How much longer one client waits, one request at a time, than it would if the tasks were in memory. */
async function addedLines(
  lab: Lab,
  { rounds, warmUp, createMs, getMs }: Effort,
  redis: RedisServer,
): Promise<Line[]> {
  const silent = await lab.server("silent");
  const contestants = {
    memory: await gateway(lab, silent, "memory"),
    redis: await gateway(lab, silent, { redis: redis.url }),
  };
  const times: Record<keyof typeof contestants, { created: number[]; got: number[] }> = {
    memory: { created: [], got: [] },
    redis: { created: [], got: [] },
  };
  for (const one of Object.values(contestants)) await load(one, [warmUp, warmUp], 1);
  for (let round = 0; round < rounds; round += 1) {
    for (const store of ["memory", "redis"] as const) {
      const { created, got } = await load(contestants[store], [{ forMs: createMs }, { forMs: getMs }], 1);
      times[store].created.push(created.p50Ms);
      times[store].got.push(got.p50Ms);
    }
  }
  for (const { program } of Object.values(contestants)) await program.stop();
  await silent.program.stop();
  const line = (what: string, step: "created" | "got"): Line => {
    const added = times.redis[step].map((ms, round) => ms - (times.memory[step][round] ?? Number.NaN));
    return { what: `p50 added to ${what} by Redis`, value: milliseconds(median(added)) };
  };
  return [line("a creation", "created"), line("tasks/get", "got")];
}

function gateway(lab: Lab, { url }: Target, store: "memory" | { readonly redis: string }): Promise<Target> {
  // One call at the server, the rest waits, so that the server is no part of what is measured.
  const tasks = { mode: "always", maxConcurrent: 1, maxQueued: 1_000_000 };
  return lab.gateway({ upstream: url, store, tasks });
}

type Amount = Pick<Load, "forMs" | "atMost">;

async function load(one: Target, [create, get]: readonly [Amount, Amount], connections = IN_FLIGHT) {
  const common = { connections, expected: '"status":"working"' };
  const created = await one.load({ ...common, requests: [CREATE], ...create });
  const requests = created.taskIds
    .slice(-ASKED)
    .map((taskId, index) => modern(index + 1, "tasks/get", { taskId }));
  const got = await one.load({ ...common, requests, ...get });
  return { created, got };
}

async function withRedis<T>(work: (redis: RedisServer) => Promise<T>): Promise<T> {
  const redis = await startRedis({ settings: SETTINGS });
  try {
    return await work(redis);
  } finally {
    await redis.stop();
  }
}

function plural(replicas: number): string {
  return replicas === 1 ? "1 replica" : `${replicas} replicas`;
}
