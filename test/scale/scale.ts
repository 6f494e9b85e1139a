/**
 * Several gateways on a Redis Cluster of three nodes, behind HAProxy, with very many tasks in flight at servers that hold every call. Prints what a
 * task, its creation, a poll, its end and its result cost, and what it costs to have them wait. Exits with 1 when a call was refused, a result is
 * missing or is another's, or a call ran not exactly once.
 *
 *   npm run scale -- [--tasks 50000] [--replicas 3] [--width 96] [--minutes 15] [--profile FOLDER]
 *
 * A call in flight holds one connection of its gateway and one of its server, so that `ulimit -n` bounds both; there are as many servers as that takes.
 */

import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { maxDescriptors } from "../../src/lib/descriptors.ts";
import { PROBED } from "../bench/probe.ts";
import { kilobytes, type Line, machine, microseconds, printTable } from "../bench/report.ts";
import { modern } from "../bench/requests.ts";
import { GATEWAY_COMMAND, type Program, Programs } from "../demo/programs.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { clusterUrl, joinNodes, nodeSettings } from "../support/redis-nodes.ts";
import { type Crowded, sendAll } from "./crowd.ts";
import { startHaproxy } from "./haproxy.ts";
import { cpuMs, redisLoad, residentBytes } from "./meter.ts";
import { resultOf } from "./result.ts";

const { values } = parseArgs({
  options: {
    tasks: { type: "string", default: "50000" },
    replicas: { type: "string", default: "3" },
    width: { type: "string", default: "96" },
    minutes: { type: "string", default: "15" },
    profile: { type: "string" },
  },
});
const [tasks, replicas, width, minutes] = [values.tasks, values.replicas, values.width, values.minutes].map(
  Number,
) as [number, number, number, number];
for (const [name, value] of Object.entries({ tasks, replicas, width, minutes }))
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name} has to be a positive integer`);

const NODES = 3;
/** What a program has open beside the calls: its listeners, clients, the store, pipes, and sessions that are about to be opened. */
const OTHER_DESCRIPTORS = 1_500;
const MAX_CALLS_A_SERVER = 12_500;
/** After so long it says what it has measured, and fails. */
const MAX_MS = minutes * 60_000;
const LOOK_EVERY_MS = 250;
const WARM_UP_TASKS = 300;
/** How long nothing is asked, to see what it costs that tasks are there. */
const QUIET_MS = 20_000;
/** On a machine that is busy nobody is to be taken for dead. */
const STORE = { lease: "1m", timeout: "20s" };

const cleanUp: (() => Promise<void>)[] = [];
const problems: string[] = [];
const lines: Line[] = [];
const startedAt = performance.now();
/** The longest turn of a gateway's event loop since this was last set to 0, in seconds: the metric begins anew with each look. */
let longestTurn = 0;
/** What the gateways have said last. */
let said = (): readonly string[] => [];

process.once("SIGINT", () => void finish(130)).once("SIGTERM", () => void finish(143));
const overdue = setTimeout(() => {
  console.error(`not done after ${MAX_MS / 60_000} min`);
  void finish(1);
}, MAX_MS);
try {
  await run();
  await finish(problems.length === 0 ? 0 : 1);
} catch (error) {
  console.error(error);
  await finish(1);
}

interface Task {
  readonly n: number;
  readonly path: string;
  id: string;
}

async function run(): Promise<void> {
  const { gateways, servers, nodes, haproxy } = await start();
  said = () => gateways.map(({ program }) => program.said);
  const meter = meterOf(gateways, haproxy.pid, nodes);
  const all: Task[] = Array.from({ length: WARM_UP_TASKS + tasks }, (_, n) => ({
    n,
    path: `/held${n % servers.length}/mcp`,
    id: "",
  }));
  const [warmUp, measured] = [all.slice(0, WARM_UP_TASKS), all.slice(WARM_UP_TASKS)];
  const send = (
    many: readonly Task[],
    what: "create" | "poll",
    heard: (task: Task, response: string) => void,
  ) =>
    sendAll(
      haproxy.port,
      width,
      many,
      ({ n, path, id }) => ({
        path,
        request:
          what === "create"
            ? modern(n, "tools/call", { name: "work", arguments: { n } })
            : modern(n, "tasks/get", { taskId: id }),
      }),
      (task, response) => {
        if (response instanceof Error) problems.push(`${what} ${task.n}: ${response.message}`);
        else heard(task, response);
      },
    );
  const create = (many: readonly Task[]) =>
    send(many, "create", (task, response) => {
      task.id = /"taskId":"([^"]+)"/.exec(response)?.[1] ?? "";
      if (task.id === "") problems.push(`create ${task.n}: ${response}`);
    });
  const poll = (many: readonly Task[]) =>
    send(many, "poll", ({ n }, response) => {
      if (!response.includes('"status":"working"')) problems.push(`poll ${n}: ${response}`);
    });
  const ask = async (question: "held" | "runs" | "answer") =>
    Promise.all(servers.map((server) => server.ask<unknown>(question)));
  const held = async () => (await ask("held")).reduce<number>((sum, count) => sum + Number(count), 0);

  await create(warmUp);
  await poll(warmUp);
  await until(async () => (await held()) === warmUp.length, "the servers hold the first calls");
  const before = await memory(gateways, nodes);

  const created = await meter("created, call sent", tasks, () => create(measured));
  await until(async () => (await held()) >= all.length - problems.length, "the servers hold all calls");
  const after = await memory(gateways, nodes);
  const handlesEach = await Promise.all(gateways.map(({ program }) => openFiles(program.pid)));
  line("resident memory of the gateways, a task", kilobytes((after.resident - before.resident) / tasks));
  line("… heap and buffers", kilobytes((after.inUse - before.inUse) / tasks));
  line("memory of the Redis nodes, a task", kilobytes((after.redis - before.redis) / tasks));
  line("resident memory of the largest gateway", `${Math.round(after.largest / 2 ** 20)} MiB`);
  line("open files of the gateway with the most", Math.max(...handlesEach).toLocaleString("en"));
  showTimes("creation", created);

  await meter("quiet, a second", QUIET_MS / 1_000, () => sleep(QUIET_MS));
  showTimes("poll", await meter("poll", tasks, () => poll(measured)));

  await meter("end, result of 1 KB", all.length, async () => {
    await ask("answer");
    await until(async () => (await ended(gateways)) >= all.length - problems.length, "all tasks ended");
  });
  showTimes(
    "result",
    await meter("result fetched", all.length, () =>
      send(all, "poll", ({ n }, response) => {
        if (!response.includes('"status":"completed"') || !response.includes(resultOf(n)))
          problems.push(`result ${n}: ${response}`);
      }),
    ),
  );
  const runs = new Map(((await ask("runs")) as (readonly [number, number])[][]).flat());
  for (const { n } of all) {
    const count = runs.get(n) ?? 0;
    if (count !== 1) problems.push(`call ${n} ran ${count} times`);
  }
  line("results fetched, each its own", String(all.length - problems.length));
  line("calls that did not run exactly once", String(all.filter(({ n }) => runs.get(n) !== 1).length));
}

interface Gateway {
  readonly program: Program;
  readonly port: number;
  readonly adminUrl: string;
}

async function start() {
  const descriptors = (await maxDescriptors()) ?? Number.POSITIVE_INFINITY;
  const callsEach = Math.ceil((tasks + WARM_UP_TASKS) / replicas);
  if (callsEach + OTHER_DESCRIPTORS > descriptors)
    throw new Error(
      `a gateway would have ${callsEach} calls in flight, but a process may have ${descriptors} files open (ulimit -n): raise that limit, or give fewer --tasks or more --replicas`,
    );
  const serverCount = Math.ceil(
    (tasks + WARM_UP_TASKS) / Math.min(MAX_CALLS_A_SERVER, descriptors - OTHER_DESCRIPTORS),
  );
  const folder = await mkdtemp(join(tmpdir(), "taskgate-scale-"));
  cleanUp.unshift(() => rm(folder, { recursive: true, force: true }));
  const nodes: RedisServer[] = [];
  for (let n = 0; n < NODES; n += 1) {
    const node = await startRedis({ settings: await nodeSettings() });
    cleanUp.unshift(() => node.stop());
    nodes.push(node);
  }
  await joinNodes(nodes as [RedisServer, ...RedisServer[]]);
  const programs = new Programs();
  cleanUp.unshift(() => programs.stop());
  const servers = await Promise.all(
    Array.from({ length: serverCount }, () =>
      programs.start("a server", [join(import.meta.dirname, "held-calls.ts")], {
        ready: /(http:\S+)/,
        nodeFlags: ["--import", "tsx"],
      }),
    ),
  );
  const config = {
    listen: { port: 0 },
    admin: { port: 0 },
    store: { url: clusterUrl(nodes), ...STORE },
    callers: { identify: "anonymous" },
    limits: { drainTimeout: "0s" },
    log: { level: "warn" },
    servers: Object.fromEntries(
      servers.map(({ ready }, n) => [
        `held${n}`,
        {
          upstream: { url: ready[1], transport: "streamable-http" },
          tasks: { mode: "always", maxConcurrent: 100_000 },
        },
      ]),
    ),
  };
  const file = join(folder, "taskgate.json");
  await writeFile(file, JSON.stringify(config));
  const gateways: Gateway[] = [];
  for (let n = 0; n < replicas; n += 1) {
    const program = await programs.start(`gateway ${n}`, [GATEWAY_COMMAND, file], {
      ready: /http:\/\/127\.0\.0\.1:(\d+)\/held0\/mcp →[\s\S]*admin {2}(http:\S+)/,
      nodeFlags: [
        ...PROBED,
        ...(values.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${values.profile}`]),
      ],
    });
    gateways.push({ program, port: Number(program.ready[1]), adminUrl: program.ready[2] ?? "" });
  }
  const haproxy = await startHaproxy(
    gateways.map(({ port }) => port),
    folder,
  );
  cleanUp.unshift(() => haproxy.stop());
  const what = `${replicas} gateways, ${NODES} Redis nodes, ${serverCount} servers, HAProxy`;
  console.log(`${what}; ${tasks} tasks; ulimit -n ${descriptors}; load ${loadavg()[0]?.toFixed(1)}`);
  return { gateways, servers, nodes, haproxy };
}

/** What each gateway counts. */
async function metrics(gateways: readonly Gateway[]): Promise<readonly string[]> {
  const texts = await Promise.all(
    gateways.map(async ({ adminUrl }) => (await fetch(new URL("/metrics", adminUrl))).text()),
  );
  for (const text of texts) {
    const turn = Number(/^nodejs_eventloop_lag_max_seconds ([\d.e-]+)/m.exec(text)?.[1]);
    longestTurn = Math.max(longestTurn, turn);
  }
  return texts;
}

/** Measures what a piece of work costs all programs that take part, and writes a line for each, for one of `count`. */
function meterOf(gateways: readonly Gateway[], haproxy: number, nodes: readonly RedisServer[]) {
  const pids = gateways.map(({ program }) => program.pid);
  return async <T>(what: string, count: number, work: () => Promise<T>): Promise<T> => {
    const look = async () => ({
      gateways: await cpuMs(pids),
      haproxy: await cpuMs([haproxy]),
      redis: await redisLoad(nodes),
    });
    await metrics(gateways);
    longestTurn = 0;
    const before = await look();
    const began = performance.now();
    const done = await work();
    const ms = performance.now() - began;
    const after = await look();
    await metrics(gateways);
    const commands = [...after.redis.commands]
      .map(([name, calls]) => [name, (calls - (before.redis.commands.get(name) ?? 0)) / count] as const)
      .filter(([, each]) => each >= 0.005)
      .sort(([, a], [, b]) => b - a);
    const operations = commands.reduce((sum, [, each]) => sum + each, 0);
    line(`${what}: time of all`, `${(ms / 1_000).toFixed(1)} s`);
    line(`${what}: CPU of the gateways`, microseconds((after.gateways - before.gateways) / count));
    line(`${what}: CPU of HAProxy`, microseconds((after.haproxy - before.haproxy) / count));
    line(`${what}: CPU of the Redis nodes`, microseconds((after.redis.cpuMs - before.redis.cpuMs) / count));
    const each = commands.map(([name, calls]) => `${name} ${calls.toFixed(2)}`).join(", ");
    line(`${what}: longest turn of a gateway's event loop`, `${longestTurn.toFixed(2)} s`);
    line(`${what}: Redis commands`, `${operations.toFixed(2)}${each === "" ? "" : ` (${each})`}`);
    return done;
  };
}

async function memory(gateways: readonly Gateway[], nodes: readonly RedisServer[]) {
  const pids = gateways.map(({ program }) => program.pid);
  // A collection gives pages back only with one of the next.
  for (let round = 0; round < 3; round += 1) {
    for (const { program } of gateways) await program.ask("memory");
    await sleep(1_000);
  }
  const usages: NodeJS.MemoryUsage[] = [];
  for (const { program } of gateways) usages.push(await program.ask<NodeJS.MemoryUsage>("memory"));
  const { bytes: redis } = await redisLoad(nodes);
  return {
    resident: await residentBytes(pids),
    inUse: usages.reduce((sum, { heapUsed, external }) => sum + heapUsed + external, 0),
    largest: Math.max(...usages.map(({ rss }) => rss)),
    redis,
  };
}

async function openFiles(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length;
}

/** How many tasks have ended, as the gateways count. */
async function ended(gateways: readonly Gateway[]): Promise<number> {
  const counts = (await metrics(gateways)).flatMap((text) => [
    ...text.matchAll(/^taskgate_tasks_ended_total\{[^}]*\} (\d+)/gm),
  ]);
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}

async function until(isSo: () => Promise<boolean>, what: string): Promise<void> {
  while (!(await isSo())) {
    if (performance.now() - startedAt > MAX_MS) throw new Error(`${what}: not in time`);
    await sleep(LOOK_EVERY_MS);
  }
}

function line(what: string, value: string): void {
  lines.push({ what, value });
  console.error(`  ${what}: ${value}`);
}

function showTimes(what: string, { p50Ms, p99Ms }: Crowded): void {
  line(`${what}: p50, p99, ${width} at a time`, `${p50Ms.toFixed(0)} ms, ${p99Ms.toFixed(0)} ms`);
}

async function finish(code: number): Promise<never> {
  clearTimeout(overdue);
  if (lines.length > 0) {
    printTable(
      `${machine()}, node ${process.versions.node}, load ${loadavg()[0]?.toFixed(1)}`,
      lines,
      () => "",
    );
    for (const problem of problems.slice(0, 20))
      console.log(`PROBLEM ${problem.replace(/^[\s\S]*\r\n\r\n/, "").slice(0, 600)}`);
    if (problems.length > 0) for (const text of said()) console.log(`GATEWAY ${text}`);
    console.log(problems.length === 0 ? "nothing lost, nothing twice" : `${problems.length} PROBLEMS`);
  }
  for (const end of cleanUp.splice(0)) await end();
  process.exit(code);
}
