import type { Logger } from "pino";
import { durationText } from "../lib/duration-text.ts";
import { Recent } from "../lib/recent.ts";
import { taskName } from "../log/task-name.ts";
import { throttled } from "../log/throttled.ts";
import { type Delivery, eventId, isBefore, isOlder } from "../store/outbox.ts";
import { isAway, StoreUnavailable, type TaskStore, type TaskView } from "../store/task-store.ts";
import type { Failure, Message, Reply } from "./post.ts";
import type { Responsibility } from "./responsible.ts";

export interface CourierOptions {
  /** By which the outbox knows the receiver. */
  readonly name: string;
  readonly manners: Manners;
  readonly store: Pick<TaskStore, "outbox" | "read" | "isTold">;
  readonly responsibility: Pick<Responsibility, "refresh" | "isMine">;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** What the receiver is told; `undefined`: nothing of this. The view of an ended task has the outcome. */
  readonly bodyOf: (view: TaskView, delivery: Delivery) => string | undefined;
  /** Posts to the receiver; `undefined`: it is to be told no more. @throws StoreUnavailable */
  readonly send: (message: Message, signal: AbortSignal) => Promise<Reply | undefined>;
  readonly onTried: (outcome: TriedOutcome) => void;
  /** Hears how it stands with the receiver, after each try. Absent: nobody does. */
  readonly onState?: ((state: CourierState, failure: Failure | undefined) => void) | undefined;
}

/** How a kind of receivers is treated. All times in milliseconds. */
export interface Manners {
  /** How often an event is tried. */
  readonly attempts: number;
  /** How long to wait after so many tries that failed, where the receiver may ask for more. */
  readonly pauseMs: (attempts: number, retryAfterMs: number | undefined) => number;
  /** How long a receiver is left alone that has failed so often in a row; 0: not at all. */
  readonly restMs: (failures: number, retryAfterMs?: number) => number;
  /** How old an event may get that the receiver does not take. Absent: as old as its tries make it. */
  readonly maxAgeMs?: number;
  /** Whether an event that it does not want again counts as a failure of the receiver, and is kept for an operator like others that were given up. */
  readonly isStrict: boolean;
  /** How many events wait at most. */
  readonly maxWaiting: number;
  /** Deliveries at the same time, as long as it takes them. */
  readonly width: number;
  /** How often to look whether other gateways have written deliveries: not every nudge arrives. */
  readonly pollMs: number;
}

export type TriedOutcome = "delivered" | "failed" | "given up";

/** How it stands with a receiver, as this gateway knows it. */
export interface CourierState {
  /** How often in a row it has not taken an event. */
  readonly failures: number;
  /** Milliseconds since the epoch. Absent: not yet. */
  readonly deliveredAt?: number;
  /** Since when it has taken none. */
  readonly failingSince?: number;
  /** Why it last did not take one. */
  readonly failure?: string;
}

const PAGE = 200;
/** Several things that happen at once are one reason to look. */
const SOON_MS = 50;
/**
 * What its own gateway has not tried by then, any may: that one may be of an older version, or have another configuration. Not counted is the
 * time in which the receiver took nothing, from anybody.
 */
const OVERDUE_MS = 600_000;
/** How long a record that is to follow its entry may take. */
const RECORD_MS = 60_000;
/** How long a client may take to be told of its task, whose call may end meanwhile. */
const TELLING_MS = 10_000;
/** How long a delivery waits at least for an earlier one about its task. */
const HELD_MS = 1_000;
/** What a receiver has not taken by then, though it takes others, may outlive its task. */
const BUSY_MS = 30_000;
const REMEMBERED = 20_000;
/** How late an entry may come before those that are due after it: a write takes its time, and the clocks of gateways differ. */
const LATE_MS = 120_000;
const LATER_MS = { least: 250, most: 30_000 } as const;
/** How many deliveries that were given up are kept. */
const MAX_UNDELIVERED = 10_000;
const COUNT_EVERY_MS = 600_000;

/** Delivers what one receiver is to be told: each event until it takes it, those of one task in order. */
export class Courier {
  readonly #options: CourierOptions;
  /** Found due and not begun yet. */
  readonly #due: Delivery[] = [];
  readonly #underWay = new Map<string, Promise<void>>();
  /** Events that the receiver has taken, should their entries come again. */
  readonly #delivered = new Recent<string, true>(REMEMBERED);
  /** Until when nothing is told of a task that is not yet as its entry says, or cannot be read. */
  readonly #later = new Recent<string, number>(REMEMBERED);
  readonly #stopped = new AbortController();
  #state: CourierState = { failures: 0 };
  /** Since when the receiver takes events, as far as this gateway knows. */
  #takesSince: number;
  #restUntil = 0;
  /** The last delivery whose body is kept, of those in the order in which they were due, and before which none comes any more. */
  #keptUpTo: Delivery | undefined;
  /** Events after that one whose bodies are kept. */
  readonly #kept = new Recent<string, true>(REMEMBERED);
  #countAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #looking: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: CourierOptions) {
    this.#options = options;
    this.#takesSince = options.clock();
  }

  get state(): CourierState {
    return this.#state;
  }

  /** Looks soon whether there is something to deliver. */
  wake(): void {
    this.#lookIn(SOON_MS);
  }

  /** Begins no more deliveries, and settles when those under way are over; `abort` ends these: other gateways make them again. */
  async stop(abort: Promise<unknown>): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    void abort.then(() => this.#stopped.abort());
    await this.#looking;
    await Promise.all(this.#underWay.values());
    this.#stopped.abort();
  }

  #lookIn(ms: number): void {
    const at = performance.now() + ms;
    if (this.#isStopped || this.#timerAt <= at) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      // One look at a time.
      this.#looking = this.#looking.then(() => this.#look());
    }, ms);
    this.#timer.unref();
  }

  async #look(): Promise<void> {
    let nextMs = this.#options.manners.pollMs;
    try {
      nextMs = Math.min(nextMs, await this.#begin());
    } catch (err) {
      this.#warn({ err }, "could not read what is to be delivered; trying again");
    }
    this.#lookIn(Math.max(nextMs, SOON_MS));
  }

  /** Begins what is due. Returns in how many milliseconds there will be more, unless somebody says so earlier. @throws StoreUnavailable */
  async #begin(): Promise<number> {
    const { responsibility, clock, manners } = this.#options;
    const { pollMs } = manners;
    if (this.#isStopped) return pollMs;
    await responsibility.refresh();
    await this.#keepBodies();
    const restMs = this.#restUntil - clock();
    if (restMs > 0) return restMs;
    if (this.#state.failures > 0) await this.#keepBounds();
    const nextMs = this.#due.length === 0 ? await this.#find() : pollMs;
    this.#fill();
    return nextMs;
  }

  /** Finds the first deliveries that are due. Returns in how many milliseconds the next one is. @throws StoreUnavailable */
  async #find(): Promise<number> {
    const { name, store, clock, manners } = this.#options;
    let after: Delivery | undefined;
    for (;;) {
      if (this.#isStopped) return manners.pollMs;
      const page = await store.outbox.waiting(name, PAGE, after);
      for (const delivery of page) {
        const dueInMs = delivery.dueAt - clock();
        if (dueInMs > 0) return dueInMs;
        if (this.#isToMake(delivery, -dueInMs)) this.#due.push(delivery);
      }
      after = page.at(-1);
      if (page.length < PAGE || this.#due.length > 0) return manners.pollMs;
    }
  }

  /** Begins as many deliveries as there is room for, of those that were found. */
  #fill(): void {
    // What was found before a rest is looked for again after it.
    if (this.#isStopped || this.#restUntil > this.#options.clock()) this.#due.length = 0;
    while (this.#underWay.size < this.#width) {
      // One after the other about a task.
      const at = this.#due.findIndex(({ task }) => !this.#underWay.has(task));
      const [next] = at === -1 ? [] : this.#due.splice(at, 1);
      if (next === undefined) return;
      this.#start(next);
    }
  }

  /** Keeps what is to be told of tasks that may expire before the receiver takes events again. @throws StoreUnavailable */
  async #keepBodies(): Promise<void> {
    const { name, store, clock } = this.#options;
    const before = clock() - (this.#state.failures > 0 ? 0 : BUSY_MS);
    let after = this.#keptUpTo;
    for (;;) {
      const page = await store.outbox.waiting(name, PAGE, after);
      for (const delivery of page) {
        if (this.#isStopped || delivery.dueAt > before) return;
        if (!this.#underWay.has(delivery.task)) await this.#keepBody(delivery).catch(this.#passOver);
        if (delivery.dueAt < clock() - LATE_MS) this.#keptUpTo = delivery;
      }
      after = page.at(-1);
      if (page.length < PAGE) return;
    }
  }

  /** What cannot be read keeps nothing else from being kept. @throws StoreUnavailable */
  readonly #passOver = (err: unknown): void => {
    if (isAway(err)) throw err;
    this.#warn({ err }, "cannot keep an event that waits");
  };

  async #keepBody(delivery: Delivery): Promise<void> {
    const { name, store } = this.#options;
    const id = eventId(delivery);
    if (this.#kept.get(id)) return;
    const { kept } = await store.outbox.keptOf(name, delivery);
    const body = kept === undefined ? await this.#bodyOf(delivery) : undefined;
    if (body === "not yet") return;
    if (body !== undefined) await store.outbox.keep(name, delivery, body);
    this.#kept.set(id, true);
  }

  /** One that has just failed is asked with one event at a time. */
  get #width(): number {
    const { restMs, width } = this.#options.manners;
    return restMs(this.#state.failures) > 0 ? 1 : width;
  }

  #isToMake(delivery: Delivery, overdueMs: number): boolean {
    const { task } = delivery;
    const { clock, responsibility } = this.#options;
    if (this.#underWay.has(task)) return false;
    if ((this.#later.get(task) ?? 0) > clock()) return false;
    const isOverdue = Math.min(overdueMs, clock() - this.#takesSince) > OVERDUE_MS;
    return responsibility.isMine(task) || (isOverdue && this.#width === this.#options.manners.width);
  }

  #start(delivery: Delivery): void {
    const made = this.#make(delivery)
      .catch((err: unknown) => {
        // The entry stays where it is.
        const isStore = err instanceof StoreUnavailable;
        this.#warn(
          { err },
          isStore ? "could not note a delivery; it is made again" : "could not make a delivery",
        );
        this.#leave(delivery, LATER_MS.most);
      })
      .finally(() => {
        this.#underWay.delete(delivery.task);
        this.#fill();
        if (this.#due.length === 0) this.#lookIn(this.#underWay.size === 0 ? 0 : SOON_MS);
      });
    this.#underWay.set(delivery.task, made);
  }

  async #make(delivery: Delivery): Promise<void> {
    const { name, manners, store, clock, send } = this.#options;
    const { outbox } = store;
    const id = eventId(delivery);
    if (this.#delivered.get(id)) return outbox.done(name, delivery);
    if (this.#isTooOld(delivery)) return this.#giveUpOld(delivery);
    const { kept, hold } = await outbox.keptOf(name, delivery);
    // Another gateway has put it off: this entry is an older one.
    if (kept !== undefined && isOlder(delivery, kept)) return outbox.done(name, delivery);
    const body = kept?.body ?? (await this.#bodyOf(delivery));
    if (body === "not yet") return this.#leave(delivery, (clock() - delivery.at) / 2);
    if (body === undefined) return outbox.done(name, delivery);
    const isHolding = hold?.event === id;
    if (hold !== undefined && !isHolding && isBefore(hold, delivery)) {
      const to = { ...delivery, dueAt: Math.max(hold.until + 1, clock() + HELD_MS) };
      return outbox.postpone(name, delivery, to, body, kept?.failure);
    }
    const reply = await send({ id, body }, this.#stopped.signal);
    if (reply === undefined) return this.#drop(delivery);
    // A delivery that this gateway broke off says nothing about the receiver.
    if (this.#stopped.signal.aborted && reply.kind === "unreachable") return;
    if (reply.kind === "accepted") {
      this.#delivered.set(id, true);
      this.#succeeded();
      if (isHolding) await outbox.release(name, delivery);
      if (kept !== undefined) await outbox.drop(name, delivery);
      return outbox.done(name, delivery);
    }
    const failure = failureOf(reply);
    const attempts = delivery.attempts + 1;
    this.#failed(failure, reply);
    if (attempts >= manners.attempts || (reply.kind === "refused" && reply.isFinal)) {
      await this.#giveUp(delivery, body, failure);
      if (isHolding) await outbox.release(name, delivery);
      return;
    }
    const retryAfterMs = reply.kind === "refused" ? reply.retryAfterMs : undefined;
    const pause = manners.pauseMs(attempts, retryAfterMs);
    const to = { ...delivery, attempts, dueAt: Math.ceil(clock() + pause) };
    await outbox.hold(name, delivery, to.dueAt);
    await outbox.postpone(name, delivery, to, body, failure);
  }

  /** `undefined`: there is nothing to tell. */
  async #bodyOf(delivery: Delivery): Promise<string | "not yet" | undefined> {
    const { store, clock, bodyOf } = this.#options;
    const { kind, task: id } = delivery;
    let view: Awaited<ReturnType<typeof store.read>>;
    try {
      view = await store.read(id);
    } catch (err) {
      if (isAway(err)) throw err;
      this.#warn({ err, task: taskName(id) }, "cannot tell of a task whose record cannot be read");
      return undefined;
    }
    if (view === undefined) {
      // The entry is durable before the record.
      if (kind === "created" && clock() - delivery.at < RECORD_MS) return "not yet";
      this.#warn({ task: taskName(id) }, "cannot tell of a task that has expired");
      return undefined;
    }
    if (kind === "ended" && view.outcome === undefined) return "not yet";
    if (view.task.rounds !== undefined && !(await store.isTold(id)))
      return kind === "ended" && clock() - delivery.at < TELLING_MS ? "not yet" : undefined;
    return bodyOf(view, delivery);
  }

  #leave({ task }: Delivery, ms: number): void {
    const pause = Math.min(Math.max(ms, LATER_MS.least), LATER_MS.most);
    this.#later.set(task, this.#options.clock() + pause);
    this.#lookIn(pause);
  }

  #succeeded(): void {
    const { log, clock, manners, onTried, onState } = this.#options;
    const { failures, failingSince = clock() } = this.#state;
    if (manners.restMs(failures) > 0) this.#takesSince = clock();
    if (failures > 0) log.info(`takes events again after ${durationText(clock() - failingSince)}`);
    this.#state = { failures: 0, deliveredAt: clock() };
    this.#restUntil = 0;
    onTried("delivered");
    onState?.(this.#state, undefined);
  }

  /** Begins anew with a receiver that was left alone: somebody says that it takes events again. */
  trust(): void {
    this.#state = { ...this.#state, failures: 0 };
    this.#restUntil = 0;
    this.wake();
  }

  #failed(failure: string, reply: Exclude<Reply, { readonly kind: "accepted" }>): void {
    const { clock, manners, onTried, onState } = this.#options;
    const { failures, failingSince = clock() } = this.#state;
    if (!manners.isStrict && reply.kind === "refused" && reply.isFinal) return onTried("failed");
    this.#state = { ...this.#state, failures: failures + 1, failingSince, failure };
    const askedMs = reply.kind === "refused" && !reply.isFinal ? reply.retryAfterMs : undefined;
    this.#restUntil = clock() + manners.restMs(failures + 1, askedMs);
    this.#warn({ failure }, "the receiver did not take an event; its events wait and are tried again");
    onTried("failed");
    onState?.(this.#state, failureKind(reply));
  }

  /** Only if the receiver is known not to take events: what waited for a gateway is tried. */
  #isTooOld({ at, attempts }: Delivery): boolean {
    const { clock, manners } = this.#options;
    const hasFailed = attempts > 0 || this.#state.failures > 0;
    return manners.maxAgeMs !== undefined && hasFailed && clock() - at > manners.maxAgeMs;
  }

  async #giveUpOld(delivery: Delivery): Promise<void> {
    const { name, store, onTried } = this.#options;
    const { hold } = await store.outbox.keptOf(name, delivery);
    await this.#drop(delivery);
    if (hold?.event === eventId(delivery)) await store.outbox.release(name, delivery);
    onTried("given up");
  }

  async #giveUp(delivery: Delivery, body: string, failure: string): Promise<void> {
    const { name, manners, store, clock, onTried } = this.#options;
    if (!manners.isStrict) {
      await this.#drop(delivery);
      return onTried("given up");
    }
    await store.outbox.giveUp(name, delivery, clock(), body, failure);
    onTried("given up");
    const details = { failure, task: taskName(delivery.task) };
    this.#warn(details, "gave an event up; mcp-taskgate webhooks redeliver tries it again");
  }

  /** Drops what is too much for the store: the newest of what waits, and the oldest of what was given up. @throws StoreUnavailable */
  async #keepBounds(): Promise<void> {
    const { name, manners, store, clock } = this.#options;
    if (clock() < this.#countAt) return;
    this.#countAt = clock() + COUNT_EVERY_MS;
    const { outbox } = store;
    const dropped =
      (await dropBeyond(
        manners.maxWaiting,
        async (after) => (this.#isStopped ? [] : outbox.waiting(name, PAGE, after)),
        (one) => this.#drop(one),
      )) +
      (await dropBeyond(
        MAX_UNDELIVERED,
        async (before) => (this.#isStopped ? [] : outbox.undelivered(name, PAGE, before)),
        (one) => outbox.drop(name, one).then(() => outbox.forget(name, one)),
      ));
    if (dropped > 0)
      this.#warn({ dropped }, "dropped events: too many wait for the receiver, or were given up");
  }

  /** Later ones about the same task wait for it no more. */
  async #drop(delivery: Delivery): Promise<void> {
    const { name, store } = this.#options;
    await store.outbox.drop(name, delivery);
    await store.outbox.done(name, delivery);
  }

  #warn(details: object, message: string): void {
    throttled(this.#options.log).say("warn", details, message);
  }
}

async function dropBeyond(
  max: number,
  read: (after: Delivery | undefined) => Promise<readonly Delivery[]>,
  drop: (one: Delivery) => Promise<void>,
): Promise<number> {
  let [seen, dropped] = [0, 0];
  let after: Delivery | undefined;
  for (;;) {
    const page = await read(after);
    for (const one of page) {
      seen += 1;
      if (seen <= max) continue;
      await drop(one);
      dropped += 1;
    }
    after = page.at(-1);
    if (page.length < PAGE) return dropped;
  }
}

function failureKind(reply: Exclude<Reply, { readonly kind: "accepted" }>): Failure {
  if (reply.kind === "unreachable") return reply.failure;
  return reply.status >= 500 ? "http_5xx" : "http_4xx";
}

function failureOf(reply: Exclude<Reply, { readonly kind: "accepted" }>): string {
  return reply.kind === "refused" ? `it answered ${reply.status}` : reply.reason;
}
