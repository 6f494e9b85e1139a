import type { LimitsConfig } from "../config/config.ts";
import { once } from "../lib/once.ts";
import { Bytes } from "./bytes.ts";
import { Counter, limitsOf, type QuotaKey, type Scope } from "./counter.ts";
import { type Rated, Rates, type Waiter } from "./rates.ts";
import { limitReached } from "./refusal.ts";
import { ResultReads } from "./result-reads.ts";
import { StoredBytes } from "./stored-bytes.ts";

export interface QuotasOptions {
  /** Whole milliseconds that never go back. */
  readonly clock?: () => number;
  /** How long the gateway may delay a request that comes too fast. */
  readonly patienceMs?: number;
  /**
   * How long the gateway may delay a poll instead; it then refuses none, because clients give up a task at the first refusal. Absent, or
   * less than `patienceMs`: polls are treated like other requests.
   */
  readonly maxWaitMs?: number;
  /** How many bytes of this process's memory the task store takes: they count as held. Absent: none. */
  readonly storeBytes?: () => number;
}

const PATIENCE_MS = 1_000;
/** The part of the poll rate that poll intervals use: the rest is for answers, cancellations and clocks that run fast. */
const TOLD_SHARE = 0.8;

/** What has places that callers take and give back, and the setting with their number. */
const PLACES = {
  tasks: "tasks",
  /** Calls that wait for a slot at the server. */
  queued: "tasks",
  /** Calls that wait for their client's answers. */
  held: "tasks",
  streams: "streams",
  sessions: "sessions",
} as const;

export type Placed = keyof typeof PLACES;

/** The limits on what each caller, and all together, may use at one time and how fast: no caller uses up another's share. */
export class Quotas {
  readonly #places: Readonly<Record<Placed, Counter>>;
  readonly #rates: Readonly<Record<Rated, Rates>>;
  readonly #routeCalls: Rates;
  readonly #storedBytes: StoredBytes;
  readonly #holdsStore: boolean;
  readonly #limits: Pick<LimitsConfig, Scope>;
  /** The bytes of requests and answers in memory. */
  readonly bytes: Bytes;
  readonly reads: ResultReads;

  /** @param limits read with each question: they may change */
  constructor(limits: Pick<LimitsConfig, Scope | "perRoute">, options: QuotasOptions = {}) {
    const { clock = () => Math.floor(performance.now()), patienceMs = PATIENCE_MS, maxWaitMs = 0 } = options;
    const isLenient = maxWaitMs >= patienceMs;
    this.#limits = limits;
    const places = (setting: (typeof PLACES)[Placed]) => new Counter(limitsOf(limits, setting));
    this.#places = {
      tasks: places(PLACES.tasks),
      queued: places(PLACES.queued),
      held: places(PLACES.held),
      streams: places(PLACES.streams),
      sessions: places(PLACES.sessions),
    };
    this.#rates = {
      calls: new Rates("limits.perCaller.calls", { rate: () => limits.perCaller.calls, clock, patienceMs }),
      polls: new Rates("limits.perCaller.polls", {
        rate: () => limits.perCaller.polls,
        clock,
        patienceMs: isLenient ? maxWaitMs : patienceMs,
        isLenient,
      }),
    };
    this.#routeCalls = new Rates("limits.perRoute.calls", {
      rate: () => limits.perRoute?.calls,
      clock,
      patienceMs,
    });
    this.#storedBytes = new StoredBytes({ limits, clock });
    this.bytes = new Bytes({ limits, clock, stored: options.storeBytes });
    this.reads = new ResultReads({ maxBytes: () => limits.total.bytes });
    this.#holdsStore = options.storeBytes !== undefined;
  }

  /** Whether the task store keeps everything in this process's memory, results included. */
  get holdsStore(): boolean {
    return this.#holdsStore;
  }

  /**
   * Takes a place of the caller's and one of the total. Returns a function that gives both back; only its first call counts.
   * @throws RpcError, naming the limit, when none is left; then it takes nothing
   */
  take(what: Placed, quotaKey: QuotaKey): () => void {
    this.check(what, quotaKey);
    return this.add(what, quotaKey);
  }

  /** Like `take`, for something that already exists: it counts even when no place is left. */
  add(what: Placed, quotaKey: QuotaKey): () => void {
    const places = this.#places[what];
    places.add(quotaKey, 1);
    return once(() => places.add(quotaKey, -1));
  }

  /** @throws RpcError when `take` would */
  check(what: Placed, quotaKey: QuotaKey): void {
    const reached = this.#places[what].reachedBy(quotaKey);
    if (reached !== undefined) throw limitReached(reached, PLACES[what]);
  }

  /** How many places all callers have taken. */
  taken(what: Placed): number {
    return this.#places[what].total;
  }

  /** @throws RpcError when the caller may store no more */
  checkStored(quotaKey: QuotaKey): void {
    this.#storedBytes.check(quotaKey);
    if (this.#holdsStore) this.bytes.check(quotaKey);
  }

  /** Counts stored bytes of arguments and results for `keptForMs`. */
  noteStored(quotaKey: QuotaKey, bytes: number, keptForMs: number): void {
    this.#storedBytes.note(quotaKey, bytes, keptForMs);
  }

  /** How many bytes are stored in total, as far as this process knows. */
  get storedBytes(): number {
    return this.#storedBytes.bytes;
  }

  /**
   * Lets `count` requests for a server pass as fast as the caller's rate and the server's allow. `undefined`: at once; otherwise resolves
   * when they may pass.
   * @throws RpcError, HTTP 429, at once or after a wait
   */
  pass(what: Rated, quotaKey: QuotaKey, route: string, waiter: Waiter, count = 1): Promise<void> | undefined {
    const ofRoute = () =>
      what === "calls"
        ? this.#routeCalls.pass({ caller: route, isIdentified: true }, waiter, count)
        : undefined;
    const own = this.#rates[what].pass(quotaKey, waiter, count);
    return own === undefined ? ofRoute() : own.then(ofRoute);
  }

  /**
   * The poll interval at which all of a caller's tasks together stay within its rate: the more tasks, the longer. Milliseconds; 0 without
   * a rate.
   */
  pollIntervalMs(quotaKey: QuotaKey): number {
    const rate = this.#limits.perCaller.polls;
    if (rate === undefined) return 0;
    return Math.ceil((this.#places.tasks.of(quotaKey) * rate.perMs) / (rate.count * TOLD_SHARE));
  }

  /** How many requests wait to pass. */
  waiting(what: Rated): number {
    return this.#rates[what].waiting + (what === "calls" ? this.#routeCalls.waiting : 0);
  }
}
