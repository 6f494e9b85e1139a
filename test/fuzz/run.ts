import { setTimeout as sleep } from "node:timers/promises";
import type { Holdings } from "../soak/probe.ts";
import { type Growth, growthOf } from "../soak/verdict.ts";
import { ModernClient, TASKS } from "../support/modern-client.ts";
import { randomFrom } from "../survival/support/seeded.ts";
import { type Known, legacyShot, modernShot, type Shot } from "./corpus.ts";
import { allFound, type Found, keepFound } from "./found.ts";
import { type Framed, frame, mutatedFrame } from "./framing.ts";
import { LONGEST_TURN_MS } from "./loop-probe.ts";
import { shoot } from "./shooter.ts";
import { HONEST, ODD, openStage, STEADY, type Stage } from "./stage.ts";
import { faultsOf, type Seen, saidFaults } from "./verdict.ts";

export interface FuzzOptions {
  readonly seed: number;
  /** How many requests with something wrong with them are sent, and how many such answers servers give. */
  readonly requests: number;
  readonly answers: number;
  /** Nothing but this request, as it was among the others, and whether it is one of those to servers with odd answers. */
  readonly only?: { readonly n: number; readonly isToOdd: boolean };
  /**
   * Leaves out what takes longest: servers that are processes, lists whose server says nothing, for which the gateway waits 50 s, and
   * looks at what the gateway holds, of which so little would tell nothing.
   */
  readonly isBrief?: boolean;
  readonly say?: (line: string) => void;
}

interface Pace {
  /** How many requests are on their way at a time. */
  readonly width: number;
  /** How often what the gateway holds is looked at. */
  readonly samples: number;
}

export interface Report {
  readonly requests: number;
  readonly answers: number;
  /** How often the client that does nothing wrong was served. */
  readonly served: number;
  /** How often each status was answered, to show that not everything is refused at the door. */
  readonly statuses: Readonly<Record<string, number>>;
  readonly faults: readonly string[];
  readonly growth: readonly Growth[];
}

/** Looks at what the gateway holds, for each of the two. */
const SAMPLES = 16;
/** To steady servers and to odd ones; those that wait for the odd do little else. */
const FULL: readonly [Pace, Pace] = [
  { width: 48, samples: SAMPLES },
  { width: 96, samples: SAMPLES },
];
const BRIEF: readonly [Pace, Pace] = [
  { width: 32, samples: 0 },
  { width: 32, samples: 0 },
];
/** What one fault is told of, so that a thousand of one kind leave something of the others to be seen. */
const MAX_TOLD = 40;
/** How many connections there are is up to who happens to be served at the moment. */
const MEMORY: ReadonlySet<string> = new Set(["heap", "resident"]);
/** Of a hundred answers of an odd server. */
const PERCENT = 80;
/** How long the client that does nothing wrong may have to wait for a task that takes 160 ms. */
const HONEST_MS = 120_000;
/** How often it is asked how long the gateway was busy with one turn. */
const LOOK_MS = 250;
/** How many requests are tried alone, those of the longest turns first: more than a few of them only happened to be under way. */
const MAX_SUSPECTS = 200;

/** Sends everything, and says what came of it. Bounded in time by what the gateway and the servers are bounded by. */
export async function fuzz(options: FuzzOptions): Promise<Report> {
  const { seed, requests, answers, only, isBrief = false, say = () => {} } = options;
  const stage = await openStage({ seed, percent: PERCENT, isBrief });
  const [steady, odd] = isBrief ? BRIEF : FULL;
  const faults: string[] = [];
  const statuses: Record<string, number> = {};
  const samples: (readonly Holdings[])[] = [];
  const known = new Acquaintance();
  const fault = (what: string) => {
    if (faults.length < MAX_TOLD) say(`FAULT ${what}`);
    faults.push(what);
  };
  const wrong = (one: Found, how: string) =>
    fault(`${how}: ${told(one.framed)}${only === undefined ? `, kept as ${keepOnce(one)}` : ""}`);
  const kept = new Set<string>();
  const keepOnce = (one: Found) => {
    const name = kept.size < MAX_TOLD ? keepFound(one) : "one of many";
    kept.add(name);
    return name;
  };
  if (only === undefined) await tryFound(stage, fault, say);
  const suspects = new Suspects();
  const stop = new AbortController();
  const watching = suspects.watch(stage, stop.signal);
  const honest = serveHonestly(stage, stop.signal, { known, isBrief, fault });
  try {
    const one = async (n: number, isToOdd: boolean) => {
      const { framed, isJsonRpc, mayBeCut } = caseOf(n, isToOdd, known, options);
      const found = { framed, isJsonRpc, mayBeCut, seed: isToOdd ? seed : ANY_SEED };
      const named = `${isToOdd ? "odd " : ""}${n}`;
      const end = suspects.begin({ ...found, what: named });
      const seen = await shoot(stage.port, framed);
      end();
      known.learn(framed.target, seen);
      const key = seen.status === 0 ? "closed" : String(seen.status);
      statuses[key] = (statuses[key] ?? 0) + 1;
      const faulty = faultsIn(seen, found);
      if (only !== undefined) say(`${framed.bytes.toString("latin1")}\n→ ${JSON.stringify(seen)}`);
      if (faulty.length > 0) {
        const what = `${named}: ${faulty.join("; ")} → ${seen.status} ${seen.body.slice(0, 300)}`;
        wrong({ ...found, what }, what);
      }
    };
    if (only !== undefined) await one(only.n, only.isToOdd);
    else {
      const sent = (begun: number) => Promise.resolve(begun / requests);
      samples.push(await inParallel(stage, (n) => one(n, false), sent, steady, say));
      say(`${requests} requests sent`);
      const given = async () => (await stage.mutated()) / answers;
      samples.push(await inParallel(stage, (n) => one(n, true), given, odd, say));
    }
  } finally {
    stop.abort();
  }
  const served = await honest;
  await watching;
  if (stage.exit !== undefined) {
    fault(`the gateway ${stage.exit}: ${stage.stderr.slice(-2_000)}`);
    for (const one of suspects.underWay) wrong({ ...one, what: stage.exit }, `${one.what} was under way`);
  } else {
    for (const one of suspects.worst) {
      const tookMs = await alone(stage, one.framed);
      if (tookMs <= LONGEST_TURN_MS) continue;
      const what = `${one.what}: one turn of ${Math.round(tookMs)} ms`;
      wrong({ ...one, what }, what);
    }
  }
  for (const line of saidFaults(stage.stderr)) fault(line);
  const given = await stage.mutated();
  await stage.close();
  if (only === undefined && given < answers) fault(`only ${given} answers had something wrong with them`);
  if (served === 0) fault("the client that did nothing wrong was never served");
  // What one kind of traffic needs more than the other is no growth.
  const growth = samples.flatMap((each) =>
    each.length < SAMPLES / 2 ? [] : growthOf(each).filter(({ what }) => MEMORY.has(what)),
  );
  return { requests, answers: given, served, statuses, faults, growth };
}

/** What steady servers answer is the same for every seed. */
const ANY_SEED = 0;

function faultsIn(seen: Seen, { framed, isJsonRpc, mayBeCut }: Case): readonly string[] {
  return faultsOf(seen, {
    isWhole: framed.isWhole && !mayBeCut,
    isJsonRpc,
    // What has no use for a body is not answered because of it.
    sent: framed.verb === "POST" ? framed.body.toString("utf8") : "",
  });
}

/** What was ever found comes first. */
async function tryFound(stage: Stage, fault: (what: string) => void, say: (line: string) => void) {
  for (const [seed, all] of allFound()) {
    const its = seed === ANY_SEED ? stage : await openStage({ seed, percent: PERCENT, isBrief: true });
    for (const one of all) {
      const faulty = faultsIn(await shoot(its.port, one.framed), one);
      const tookMs = await alone(its, one.framed);
      const slow = tookMs > LONGEST_TURN_MS ? [`one turn of ${Math.round(tookMs)} ms`] : [];
      for (const what of [...faulty, ...slow])
        fault(`again: ${what}: ${told(one.framed)}; it was ${one.what}`);
      if (its.exit !== undefined) fault(`the gateway ${its.exit} of ${told(one.framed)}`);
    }
    if (its !== stage) await its.close();
    say(`${all.length} that were found before`);
  }
}

/** How long the loop is busy with this request and nothing else, in ms: the least of three times, because others work on this machine. */
async function alone(stage: Stage, framed: Framed): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let n = 0; n < 3 && least > LONGEST_TURN_MS; n += 1) {
    await stage.longestTurn();
    await shoot(stage.port, framed);
    least = Math.min(least, await stage.longestTurn());
  }
  return least;
}

/** Requests that were under way when the loop was busy for too long with one turn. */
class Suspects {
  readonly #underWay = new Set<Found>();
  #recent = new Set<Found>();
  readonly #seen = new Map<Found, number>();

  /** Until the function that it gives is called, the request is under way. */
  begin(one: Found): () => void {
    this.#underWay.add(one);
    this.#recent.add(one);
    return () => this.#underWay.delete(one);
  }

  async watch(stage: Stage, signal: AbortSignal): Promise<void> {
    while (!signal.aborted && stage.exit === undefined) {
      await sleep(LOOK_MS, undefined, { signal }).catch(() => {});
      const tookMs = await stage.longestTurn();
      if (tookMs > LONGEST_TURN_MS) for (const one of this.#recent) this.#seen.set(one, tookMs);
      this.#recent = new Set(this.#underWay);
    }
  }

  get underWay(): readonly Found[] {
    return [...this.#underWay];
  }

  get worst(): readonly Found[] {
    const all = [...this.#seen].sort(([, one], [, other]) => other - one);
    return all.slice(0, MAX_SUSPECTS).map(([one]) => one);
  }
}

interface Case {
  readonly framed: Framed;
  readonly isJsonRpc: boolean;
  /** Whether there may be no answer, or not all of one: because the server breaks off, or somebody else ends the session. */
  readonly mayBeCut: boolean;
}

/** One request: the same for the same seed and number, but for the ids of tasks and sessions that there are. */
function caseOf(
  n: number,
  isToOdd: boolean,
  known: Known,
  { seed, answers, isBrief = false }: FuzzOptions,
): Case {
  const random = randomFrom(seed + Math.imul(n + 1, isToOdd ? 0x85ebca6b : 0xc2b2ae35));
  const [steady, odd] = routesFor(isBrief);
  const route = isToOdd
    ? random.one([...odd, ...ODD.slice(0, 3), ...ODD.slice(0, 2), ...ODD.slice(0, 2), ...ODD.slice(0, 2)])
    : random.one([...steady, "steady", "steady", "steady-modern"]);
  const isModern = random.between(0, 9) < 7;
  // A server's own words reach whoever it was forwarded for as they are.
  const isOurs = !isToOdd || (isModern && route !== "odd-modern") || route === "odd-stdio";
  const draw = (): Shot => (isModern ? modernShot : legacyShot)(route, n, known, random);
  let shot = draw();
  // A list of ours whose server says nothing takes 50 s, for which nobody is to wait in the end.
  const isAny = !isToOdd || !isOurs || (!isBrief && n < answers / 2 && random.between(1, 20) === 1);
  // Every session with a server that is a process is another process; some are opened by the client that does nothing wrong.
  const isAffordable = () => !route.endsWith("stdio") || !isOpening(shot);
  while ((!isAny && !isCall(shot)) || !isAffordable()) shot = draw();
  if (isToOdd) return { framed: frame(shot), isJsonRpc: isOurs, mayBeCut: !isOurs };
  const framed = mutatedFrame(shot, random);
  return {
    framed,
    isJsonRpc: framed.verb !== "HEAD" && framed.target === shot.target && framed.isWhole,
    // All share the sessions of older clients, and what somebody else cancels, or deletes, is not answered.
    mayBeCut: !isModern && route === "steady-stdio",
  };
}

function routesFor(isBrief: boolean): readonly [[string, ...string[]], [string, ...string[]]] {
  const some = (routes: readonly [string, ...string[]]) =>
    routes.filter((route) => !isBrief || !route.endsWith("stdio")) as [string, ...string[]];
  return [some(STEADY), some(ODD)];
}

function isOpening({ message }: Shot): boolean {
  return /"method":"initialize"/.test(JSON.stringify(message) ?? "");
}

function isCall({ message }: Shot): boolean {
  return /"method":"tools\/call"/.test(JSON.stringify(message) ?? "");
}

/** Tasks, states and sessions that clients have been told of: the latest, so that most of them are still there. */
class Acquaintance implements Known {
  readonly taskIds: string[] = [];
  readonly states: string[] = [];
  readonly sessions = new Map<string, string[]>();

  learn(target: string, { body }: Pick<Seen, "body">): void {
    keep(this.taskIds, /"taskId":"([\w-]{20,40})"/.exec(body)?.[1]);
    keep(this.states, /"requestState":"(taskgate\.[^"]+)"/.exec(body)?.[1]);
    const route = /^\/([\w-]+)\/mcp$/.exec(target)?.[1];
    if (route !== undefined && !this.sessions.has(route)) this.sessions.set(route, []);
  }

  /** Opens a session of older clients, to be used by everybody. */
  async open(stage: Stage, route: string): Promise<void> {
    const clientInfo = { name: "fuzz", version: "1" };
    const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo };
    const answer = await fetch(`http://127.0.0.1:${stage.port}/${route}/mcp`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params }),
      signal: AbortSignal.timeout(HONEST_MS),
    }).catch(() => undefined);
    await answer?.body?.cancel();
    const session = answer?.headers.get("mcp-session-id");
    const all = this.sessions.get(route) ?? [];
    this.sessions.set(route, all);
    keep(all, session ?? undefined);
  }
}

function keep(all: string[], one: string | undefined): void {
  if (one !== undefined && !all.includes(one)) all.push(one);
  if (all.length > 20) all.shift();
}

/** A client that does nothing wrong, all the time. Gives how often it was served. */
async function serveHonestly(
  stage: Stage,
  signal: AbortSignal,
  {
    known,
    isBrief,
    fault,
  }: {
    readonly known: Acquaintance;
    readonly isBrief: boolean;
    readonly fault: (what: string) => void;
  },
): Promise<number> {
  const client = new ModernClient(new URL(`http://127.0.0.1:${stage.port}/${HONEST}/mcp`), {
    capabilities: TASKS,
  });
  let served = 0;
  for (let n = 0; !signal.aborted; n += 1) {
    const before = performance.now();
    try {
      const patience = { signal: AbortSignal.timeout(HONEST_MS) };
      const answer = await client.callTool("slow", { n: `honest-${n}` }, patience);
      // On a busy machine the call may have ended before the gateway notices that it has run for too long to be answered directly.
      const { result, status, statusMessage } =
        answer.resultType === "task"
          ? await client.settled(answer.taskId)
          : { result: answer, status: "completed" };
      const text = result?.content?.[0]?.text;
      const tookMs = performance.now() - before;
      if (status !== "completed" || text !== `done honest-${n}`)
        fault(`the honest client got ${status}, ${text ?? statusMessage}`);
      else if (tookMs > HONEST_MS) fault(`the honest client waited ${tookMs} ms`);
      else served += 1;
    } catch (error) {
      fault(`the honest client was not served: ${String(error)}`);
      if (stage.exit !== undefined) break;
    }
    const routes = routesFor(isBrief).flat();
    await known.open(stage, routes[n % routes.length] as string);
    await sleep(200, undefined, { signal }).catch(() => {});
  }
  return served;
}

/** Does it again and again, some at a time, until all is done, and looks at what the gateway holds at equal steps of it. */
async function inParallel(
  stage: Stage,
  work: (n: number) => Promise<void>,
  progress: (begun: number) => Promise<number>,
  { width, samples: wanted }: Pace,
  say: (line: string) => void,
): Promise<readonly Holdings[]> {
  const samples: Holdings[] = [];
  let begun = 0;
  let done = 0;
  let isLooking = false;
  const workers = Array.from({ length: width }, async () => {
    while (done < 1 && stage.exit === undefined) {
      begun += 1;
      await work(begun - 1);
      done = Math.max(done, await progress(begun));
      if (isLooking || Math.floor(done * wanted) <= samples.length) continue;
      isLooking = true;
      samples.push(await stage.holdings());
      say(`${Math.round(done * 100)} %: ${lineOf(samples.at(-1) as Holdings)}`);
      isLooking = false;
    }
  });
  await Promise.all(workers);
  return samples;
}

function told({ bytes }: Framed): string {
  return JSON.stringify(bytes.toString("latin1").slice(0, 1_500));
}

function lineOf({ heap, resident, sockets, timers }: Holdings): string {
  return `heap ${mb(heap)}, resident ${mb(resident)}, sockets ${sockets}, timers ${timers}`;
}

function mb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
