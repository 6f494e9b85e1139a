import type { Logger } from "pino";
import { createLog } from "../../src/log/log.ts";
import { type Random, randomFrom } from "../survival/support/seeded.ts";
import { Client, type ClientHabits, type Reply, type Way } from "./client.ts";
import { Gateway, type GatewayTerms, type Mutation } from "./gateway.ts";
import { Ledger } from "./ledger.ts";
import { type CallScript, drawScript } from "./script.ts";
import { SimulatedServer } from "./simulated-server.ts";
import { SimulatedStore, type StoreKind } from "./simulated-store.ts";
import { Program, Timeline } from "./timeline.ts";

export interface SimulationOptions {
  readonly seed: number;
  readonly mutation?: Mutation | undefined;
  /** Takes a line for everything that happens. */
  readonly trace?: ((line: string) => void) | undefined;
}

export interface SimulationResult {
  /** The promise that was broken; undefined: all were kept. */
  readonly violation: string | undefined;
  readonly events: number;
  /** What went on, for whoever counts what was tried. */
  readonly kinds: ReadonlySet<string>;
}

const SILENT = createLog("silent");
const LEASE_MS = 1_500;
const TIMEOUT_MS = 300;
const MAX_WAIT_MS = 4_000;
const STORM_MS = 6_000;
const MAX_DEATHS = 4;

/** One simulation, from its seed to the end of everything that it began. */
export async function simulate({ seed, mutation, trace }: SimulationOptions): Promise<SimulationResult> {
  // Where an error comes from is for those who read the steps: to find it out costs more than many of them.
  Error.stackTraceLimit = trace === undefined ? 0 : 10;
  const world = new World(randomFrom(seed), mutation, trace);
  const onRejection = (reason: unknown) =>
    world.ledger.broken(
      `a promise was rejected that nobody waited for: ${String((reason as Error)?.stack ?? reason)}`,
    );
  process.on("unhandledRejection", onRejection);
  process.on("uncaughtException", onRejection);
  try {
    await world.run();
  } finally {
    process.off("unhandledRejection", onRejection);
    process.off("uncaughtException", onRejection);
  }
  return { violation: world.ledger.violation, events: world.timeline.happened, kinds: world.kinds };
}

interface Place {
  readonly name: string;
  /** Restarts so far. */
  runs: number;
  program: Program | undefined;
  gateway: Gateway | undefined;
  clockOffsetMs: number;
}

class World {
  readonly timeline: Timeline;
  readonly ledger: Ledger;
  readonly kinds = new Set<string>();
  readonly #random: Random;
  readonly #mutation: Mutation | undefined;
  readonly #trace: ((line: string) => void) | undefined;
  readonly #log: Logger;
  readonly #store: SimulatedStore;
  readonly #server: SimulatedServer;
  readonly #scripts = new Map<string, CallScript>();
  readonly #places: Place[];
  readonly #clients: Client[] = [];
  readonly #terms: GatewayTerms;
  /** How to tell those who wait for a program that it has died. */
  readonly #waiting = new Map<Program, Set<() => void>>();
  readonly #kind: StoreKind;
  readonly #maxSkewMs: number;
  #ids = 0;
  #deaths = 0;
  /** One operation in so many is the last of its program; 0: none. */
  #deadly = 0;
  #isCalm = false;
  /** Whether all calls come to the first gateway. */
  readonly #isCrowded: boolean;

  constructor(random: Random, mutation: Mutation | undefined, trace: SimulationOptions["trace"]) {
    this.#random = random;
    this.#mutation = mutation;
    this.#trace = trace;
    this.timeline = new Timeline(random);
    this.timeline.begin();
    this.#log =
      trace === undefined
        ? SILENT
        : createLog("info", { write: (line) => this.#say(() => `log ${line.trim()}`) });
    this.#kind = random.one(["level", "redis", "redis", "redis", "cluster"]);
    this.#maxSkewMs = random.one([0, 0, 400, 1_500]);
    this.kinds.add(this.#kind);
    this.#terms = {
      ttlMs: random.one([8_000, 14_000]),
      maxRuntimeMs: random.one([4_000, 12_000]),
      maxWaitMs: MAX_WAIT_MS,
      maxConcurrent: random.one([1, 1, 4]),
      leaseMs: LEASE_MS,
    };
    const say = (line: () => string) => this.#say(line);
    const mayDie = (program: Program) => this.#mayDie(program);
    this.ledger = new Ledger({
      leaseMs: LEASE_MS,
      isLate: this.#kind === "cluster",
      now: () => this.timeline.now,
      store: () => this.#store,
      maxSkewMs: () => 2 * this.#maxSkewMs,
    });
    const { ledger } = this;
    this.#store = new SimulatedStore({
      timeline: this.timeline,
      kind: this.#kind,
      timeoutMs: TIMEOUT_MS,
      missedEveryMs: LEASE_MS / 3,
      onWrite: (write) => ledger.written(write),
      onTrouble: () => ledger.trouble(),
      mayDie,
      trace: say,
    });
    this.#server = new SimulatedServer({
      timeline: this.timeline,
      scripts: this.#scripts,
      mayDie,
      trace: say,
      listener: {
        onSent: (script, run) => ledger.sent(script, run),
        onRound: (script, run, step) => ledger.sentRound(script, run, step),
        onAnswered: (script) => ledger.answered(script),
        onHeard: (script, by) => ledger.heard(script, by),
        onAsked: (run, step, by) => ledger.asked(run, step, by),
        onAnswer: (run, step, answer) => ledger.answerArrived(run, step, answer),
      },
    });
    const count = this.#kind === "level" ? 1 : random.between(1, 3);
    this.#isCrowded = count > 1 && this.#terms.maxConcurrent === 1 && random.between(0, 1) === 0;
    this.#places = Array.from({ length: count }, (_, index) => ({
      name: String.fromCharCode(65 + index),
      runs: 0,
      program: undefined,
      gateway: undefined,
      clockOffsetMs: random.between(-this.#maxSkewMs, this.#maxSkewMs) / 2,
    }));
  }

  async run(): Promise<void> {
    const { timeline, ledger } = this;
    if (this.#trace !== undefined)
      timeline.onEvent = ({ what, program }) => this.#say(() => `· ${program?.name ?? "–"} ${what}`);
    const isOver = () => ledger.violation !== undefined;
    for (const place of this.#places) this.#start(place);
    this.#beginCalls();
    const stormMs = this.#random.one([0, STORM_MS / 3, STORM_MS, STORM_MS]);
    this.#beginStorm(stormMs);
    await timeline.run(stormMs, isOver);
    this.#calmDown();
    // A run to its limit, on every gateway that takes it over, and what they wait for one another.
    const boundMs = 3 * (Math.max(this.#terms.maxRuntimeMs, 10_000) + 2 * LEASE_MS) + MAX_WAIT_MS;
    const deadline = timeline.now + boundMs;
    while (timeline.now < deadline && !isOver() && !this.#isSettled()) {
      await timeline.run(Math.min(timeline.now + 500, deadline), isOver);
      ledger.checkAnswers();
    }
    if (isOver()) return;
    ledger.settled();
    if (isOver()) return;
    await this.#lookAgain(isOver);
  }

  /** Whether there is nothing more to wait for. */
  #isSettled(): boolean {
    return (
      this.#clients.every(({ isDone }) => isDone) &&
      [...this.ledger.followed.values()].every((followed) => !this.ledger.isDue(followed))
    );
  }

  /** All that has ended is still there shortly before its time is over, and as it was. */
  async #lookAgain(isOver: () => boolean): Promise<void> {
    const { timeline } = this;
    const known = this.#clients.filter(({ followed }) => followed.endedAt !== undefined);
    const until = Math.min(...known.map(({ followed }) => followed.knownUntil)) - 1_000;
    if (known.length === 0 || !Number.isFinite(until) || until <= timeline.now) return;
    await timeline.run(until, isOver);
    let left = known.length;
    for (const client of known) {
      client.lookAgain(() => {
        left -= 1;
      });
    }
    await timeline.run(timeline.now + 2_000, () => isOver() || left === 0);
  }

  #beginCalls(): void {
    const random = this.#random;
    const habits: ClientHabits = {
      hesitates: random.one([0, 2, 4]),
      cancels: random.one([0, 0, 0, 12]),
      isAway: false,
    };
    const count = this.#isCrowded ? random.between(3, 5) : random.one([1, 2, 3]);
    for (let number = 1; number <= count; number += 1) {
      const script = drawScript(random, `call-${number}`, this.#isCrowded && random.between(0, 3) > 0);
      this.#scripts.set(script.name, script);
      const followed = this.ledger.expect(script);
      const isAway = random.between(0, 7) === 0;
      const client = new Client(this.#way(), followed, { ...habits, isAway });
      this.#clients.push(client);
      this.timeline.after(random.between(20, 1_500), `begins ${script.name}`, () => client.begin());
    }
  }

  /** Things that go wrong, at times that are drawn now. */
  #beginStorm(stormMs: number): void {
    if (stormMs === 0) return;
    const random = this.#random;
    const { weather } = this.#store;
    const maybe = (what: string, oneIn: number): boolean => {
      if (random.between(1, oneIn) > 1) return false;
      this.kinds.add(what);
      return true;
    };
    if (this.#kind !== "level") {
      if (maybe("operations are lost", 4)) weather.lost = random.one([20, 100]);
      if (maybe("replies are lost", 3)) weather.unheard = random.one([10, 50]);
      if (maybe("nudges are lost", 3)) weather.nudgesLost = random.one([1, 2]);
      if (maybe("slow store", 4)) weather.delayMs = 40;
    }
    if (maybe("sudden death", 3)) this.#deadly = random.one([15, 60, 200]);
    // Calls that wait for each other at one gateway, which nobody hears of for longer than its lease.
    if (this.#isCrowded && random.between(0, 3) > 0) {
      this.kinds.add("silence");
      const kind = random.one(["cut", "pause"] as const);
      this.timeline.after(random.between(300, 2_000), kind, () =>
        this.#fault(kind, this.#places[0], LEASE_MS + random.between(200, 2_500)),
      );
    }
    const count = random.between(0, 5);
    for (let number = 0; number < count; number += 1) {
      const atMs = random.between(50, stormMs - 50);
      const kinds: readonly [Fault, ...Fault[]] =
        this.#kind === "level"
          ? ["kill", "kill", "stop", "away", "clock"]
          : ["kill", "kill", "stop", "away", "freeze", "cut", "pause", "pause", "clock", "failover"];
      const fault = random.one(kinds);
      this.timeline.after(atMs, fault, () => this.#fault(fault));
    }
  }

  #fault(
    fault: Fault,
    place: Place = this.#random.one(this.#places as [Place, ...Place[]]),
    lengthMs: number = this.#random.one([100, 600, 2_000, 3_500]),
  ): void {
    const random = this.#random;
    const { now } = this.timeline;
    this.kinds.add(fault);
    switch (fault) {
      case "kill":
        if (place.program !== undefined) this.#kill(place.program);
        break;
      case "stop":
        this.#stop(place);
        break;
      case "away":
        this.#store.awayUntil = now + lengthMs;
        break;
      case "freeze":
        this.#store.freeze(lengthMs);
        break;
      case "cut":
        if (place.program !== undefined) this.#store.cutUntil.set(place.program, now + lengthMs);
        break;
      case "pause":
        if (place.program !== undefined) place.program.pausedUntil = now + lengthMs;
        break;
      case "clock":
        // A process takes the wall clock once, when it begins.
        place.clockOffsetMs = random.between(-this.#maxSkewMs, this.#maxSkewMs) / 2;
        break;
      case "failover":
        this.ledger.forgotten(this.#store.failOver(random.one([50, 500, 1_500])));
        this.#store.awayUntil = now + random.between(0, 800);
        break;
    }
    this.#say(() => `*** ${fault} ${place.name} ${lengthMs} ms`);
    this.ledger.trouble();
    this.timeline.after(lengthMs, `end of ${fault}`, () => this.ledger.trouble());
  }

  /** From now on nothing goes wrong, and whoever is dead comes back. */
  #calmDown(): void {
    this.#say(() => "*** nothing goes wrong from here on");
    this.#isCalm = true;
    this.#deadly = 0;
    Object.assign(this.#store.weather, { lost: 0, unheard: 0, nudgesLost: 0, delayMs: 3 });
    this.#store.awayUntil = 0;
    this.#store.thaw();
    this.#store.cutUntil.clear();
    this.ledger.trouble();
    for (const client of this.#clients) client.isCalm = true;
    for (const place of this.#places) if (place.program === undefined) this.#start(place);
  }

  #start(place: Place): void {
    if (place.program !== undefined) return;
    place.runs += 1;
    const program = new Program(`${place.name}${place.runs}`);
    program.clockOffsetMs = place.clockOffsetMs;
    place.program = program;
    this.timeline.after(0, "starts", () => void this.#open(place, program), program);
  }

  async #open(place: Place, program: Program): Promise<void> {
    try {
      const gateway = await Gateway.start({
        program,
        timeline: this.timeline,
        backend: this.#store.backendFor(program),
        server: this.#server,
        terms: this.#terms,
        newId: () => `task-${String(++this.#ids).padStart(4, "0")}`,
        log: this.#log,
        mutation: this.#mutation,
        onEntered: (me) => this.ledger.entered(me, program),
      });
      if (place.program === program) place.gateway = gateway;
    } catch (error) {
      // A gateway does not start without its store; somebody starts it again.
      this.#say(() => `${program.name} does not start: ${String(error)}`);
      this.#kill(program);
    }
  }

  #kill(program: Program): void {
    if (program.isDead) return;
    program.diedAt = this.timeline.now;
    this.ledger.left(program);
    this.ledger.trouble();
    this.#say(() => `*** ${program.name} dies`);
    const place = this.#places.find((one) => one.program === program);
    if (place !== undefined) {
      place.program = undefined;
      place.gateway = undefined;
      const afterMs = this.#isCalm ? 200 : this.#random.one([10, 300, 2_500]);
      this.timeline.after(afterMs, `restart of ${place.name}`, () => this.#start(place));
    }
    for (const cut of this.#waiting.get(program) ?? []) cut();
    this.#waiting.delete(program);
  }

  #stop(place: Place): void {
    const { gateway, program } = place;
    if (gateway === undefined || program === undefined || gateway.isStopping) return;
    this.timeline.after(
      0,
      "SIGTERM",
      () => {
        gateway.isStopping = true;
        void gateway.stop(() => this.ledger.left(program)).then(() => this.#kill(program));
      },
      program,
    );
  }

  /** A program may die at any time: here between two things that others can see. */
  #mayDie(program: Program): void {
    if (this.#deadly === 0 || program.isDead || this.#deaths >= MAX_DEATHS) return;
    if (this.#random.between(1, this.#deadly) > 1) return;
    this.#deaths += 1;
    this.#kill(program);
  }

  #way(): Way {
    const { timeline, ledger } = this;
    return {
      timeline,
      ledger,
      maxWaitMs: MAX_WAIT_MS,
      trace: (line) => this.#say(line),
      gateway: (isFirst = false) => {
        const places = isFirst && this.#isCrowded ? this.#places.slice(0, 1) : this.#places;
        const ready = places.flatMap(({ gateway }) =>
          gateway === undefined || gateway.isStopping ? [] : [gateway],
        );
        return ready.length === 0 ? undefined : this.#random.one(ready as [Gateway, ...Gateway[]]);
      },
      ask: (gateway, what, work, reply) => this.#ask(gateway, what, work, reply),
    };
  }

  #ask<T>(gateway: Gateway, what: string, work: () => Promise<T>, reply: (reply: Reply<T>) => void): void {
    const { program } = gateway;
    const { timeline } = this;
    const travelMs = () => this.#random.between(0, 10);
    let isReplied = false;
    const give = (given: Reply<T>) => {
      if (isReplied) return;
      isReplied = true;
      waiting.delete(cut);
      timeline.after(travelMs(), `answer: ${what}`, () => reply(given));
    };
    const cut = () => give({ kind: "cut" });
    const waiting = this.#waiting.get(program) ?? new Set();
    this.#waiting.set(program, waiting.add(cut));
    if (program.isDead) return cut();
    const serve = () => {
      this.#say(() => `${program.name}: serves ${what}`);
      void work().then(
        (given) => !program.isDead && give({ kind: "given", given }),
        (error: unknown) => !program.isDead && give({ kind: "refused", error }),
      );
    };
    timeline.after(travelMs(), what, serve, program);
  }

  #say(line: () => string): void {
    this.#trace?.(`${this.timeline.now.toFixed(0).padStart(7)}  ${line()}`);
  }
}

type Fault = "kill" | "stop" | "away" | "freeze" | "cut" | "pause" | "clock" | "failover";
