/**
 * Gateways under traffic for a while, some of them restarted now and then, to see whether anything is lost or piles up. Prints
 * a line every half minute, and what came of it at the end. Exits with 1 when a task was lost, told two endings or ran twice, or
 * when a gateway that was there all the time held more and more.
 *
 *   npm run soak -- [--minutes 10] [--store redis|level] [--replicas 2] [--width 16]
 *
 * Over Redis the first replica stays, and the others are restarted in turn, by SIGTERM and by SIGKILL. A directory has one
 * replica, which is restarted in the first quarter only, so that there is something to judge.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { startRedis } from "../support/redis.ts";
import { clientOf } from "../survival/support/clients.ts";
import { Ledger } from "../survival/support/ledger.ts";
import { Replica } from "../survival/support/replica.ts";
import { seeded } from "../survival/support/seeded.ts";
import { startWitness } from "../survival/support/witness.ts";
import { type Holdings, holdings, PROBED } from "./probe.ts";
import { startTraffic } from "./traffic.ts";
import { growthOf } from "./verdict.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    store: { type: "string", default: "redis" },
    replicas: { type: "string", default: "2" },
    width: { type: "string", default: "16" },
  },
});
const durationMs = Number(values.minutes) * 60_000;
const isShared = values.store === "redis";
const replicaCount = isShared ? Number(values.replicas) : 1;
if (!(durationMs > 0) || !(replicaCount >= 1) || !(Number(values.width) >= 1))
  throw new Error("--minutes, --replicas and --width have to be positive numbers");
if (!["redis", "level"].includes(values.store))
  throw new Error(`--store: ${values.store} is not redis or level`);

/** Samples are taken at equal distances, so many in all; every line tells of the last one. */
const SAMPLES = Math.max(8, Math.round(durationMs / 5_000));
const LINE_EVERY_MS = 30_000;
const RESTART_EVERY_MS = Math.min(45_000, durationMs / 8);
/** On a machine that is busy nobody is to be taken for dead. */
const SHARED = { lease: "15s", timeout: "5s" };
const ANSWERED_WITHIN_MS = 60_000;

const random = seeded("soak");
const startedAt = performance.now();
const cleanUp: (() => Promise<void>)[] = [];
process.once("SIGINT", () => void finish(130)).once("SIGTERM", () => void finish(143));

try {
  await finish((await soak()) ? 0 : 1);
} catch (error) {
  console.error(error);
  await finish(1);
}

/** Gives whether all was well. */
async function soak(): Promise<boolean> {
  const { witness, replicas } = await begin();
  const [steady] = replicas;
  const ledger = new Ledger({ deadlineMs: ANSWERED_WITHIN_MS });
  const servers = [
    replicas.map((replica) => clientOf(replica.url("kept"))),
    replicas.map((replica) => clientOf(replica.url("unkept"))),
  ] as const;
  const traffic = startTraffic({ ledger, servers, random: random.apart(), width: Number(values.width) });
  const [samples, restarts] = await Promise.all([
    sampleAll(steady, replicas, ledger),
    restartNowAndThen(isShared ? replicas.slice(1) : replicas),
  ]);
  await traffic.stop();

  const seen = Object.entries(await witness.all());
  const twice = seen
    .filter(([, { calls }]) => calls > 1)
    .map(([id, { calls }]) => `${id} ran ${calls} times`);
  const problems = [...ledger.problems, ...twice];
  const growth = growthOf(samples);
  for (const problem of problems) console.log(`PROBLEM ${problem}`);
  for (const { what, from, to } of growth)
    console.log(`GREW ${what}: ${Math.round(from)} → ${Math.round(to)}`);
  const loss = problems.length === 0 ? "nothing lost, nothing twice" : `${problems.length} PROBLEMS`;
  console.log(`${ledger}\n${restarts} restarts; ${loss}; ${growth.length === 0 ? "flat" : "NOT FLAT"}`);
  if (problems.length > 0) for (const { stderr } of replicas) console.log(stderr.slice(-4_000));
  return problems.length === 0 && growth.length === 0;
}

async function begin() {
  const witness = await startWitness();
  cleanUp.unshift(() => witness.stop());
  const redis = isShared ? await startRedis() : undefined;
  if (redis !== undefined) cleanUp.unshift(() => redis.stop());
  const open = async () => {
    const replica = await Replica.open({
      upstreams: witness.urls,
      store: redis === undefined ? "level:" : { url: redis.url, ...SHARED },
      // Soon gone once it has ended, so that what the store holds stays the same.
      tasks: { ttl: "30s" },
      limits: { drainTimeout: "2s" },
      nodeFlags: PROBED,
    });
    cleanUp.unshift(() => replica.close());
    return replica;
  };
  const replicas: [Replica, ...Replica[]] = [await open()];
  while (replicas.length < replicaCount) replicas.push(await open());
  return { witness, replicas };
}

/** Restarts one after the other, until there is no time for another one. Gives how often. */
async function restartNowAndThen(replicas: readonly Replica[]): Promise<number> {
  const until = startedAt + durationMs * (isShared ? 1 : 0.25);
  let restarts = 0;
  while (replicas.length > 0 && performance.now() + RESTART_EVERY_MS < until) {
    await sleep(RESTART_EVERY_MS);
    const replica = replicas[restarts % replicas.length];
    await replica?.kill(random.one<NodeJS.Signals>(["SIGTERM", "SIGKILL"]));
    await replica?.start();
    restarts += 1;
  }
  return restarts;
}

/** What one of them holds, at equal distances, until the time is over. Prints a line now and then. */
async function sampleAll(
  steady: Replica,
  replicas: readonly Replica[],
  ledger: Ledger,
): Promise<readonly Holdings[]> {
  const samples: Holdings[] = [];
  let lines = 0;
  for (let count = 1; count <= SAMPLES; count += 1) {
    await sleep(startedAt + (durationMs * count) / SAMPLES - performance.now());
    const sample = await sampleOf(steady);
    if (sample !== undefined) samples.push(sample);
    const elapsedMs = performance.now() - startedAt;
    if (elapsedMs < (lines + 1) * LINE_EVERY_MS && count < SAMPLES) continue;
    lines = Math.floor(elapsedMs / LINE_EVERY_MS);
    const held = await Promise.all(replicas.map(sampleOf));
    console.log(lineOf(elapsedMs, ledger, held));
  }
  return samples;
}

/** `undefined` when there is no process at the moment, or it is killed while it is asked. */
async function sampleOf(replica: Replica): Promise<Holdings | undefined> {
  return replica.isRunning ? holdings(replica).catch(() => undefined) : undefined;
}

function lineOf(elapsedMs: number, ledger: Ledger, held: readonly (Holdings | undefined)[]): string {
  const { open = 0, ...ended } = ledger.endings;
  const endings = Object.entries(ended).map(([ending, count]) => `${ending} ${count}`);
  const retries = [...ledger.retries.values()].reduce((sum, count) => sum + count, 0);
  const seconds = Math.round(elapsedMs / 1_000);
  return [
    `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`,
    `open ${open}, ${endings.join(", ")}; tried again ${retries}; problems ${ledger.problems.length}`,
    ...held.map((each) => (each === undefined ? "away" : holdingsLine(each))),
  ].join("  |  ");
}

function holdingsLine({ heap, resident, files, sockets, timers, handles }: Holdings): string {
  const mb = (bytes: number) => (bytes / 1e6).toFixed(1);
  return `rss ${mb(resident)} MB, heap ${mb(heap)} MB, files ${files}, sockets ${sockets}, timers ${timers}, handles ${handles}`;
}

async function finish(code: number): Promise<never> {
  for (const end of cleanUp.splice(0)) await end();
  process.exit(code);
}
