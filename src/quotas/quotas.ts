import type { LimitsConfig } from "../config/config.ts";
import { once } from "../ops/once.ts";
import { Bytes } from "./bytes.ts";
import { Counter, type Party, type Scope } from "./counter.ts";
import { Ledger } from "./ledger.ts";
import { type Rated, Rates, type Waiter } from "./rates.ts";
import { limitReached } from "./refusal.ts";

export interface QuotasOptions {
  /** Whole milliseconds that never go back. */
  readonly clock?: () => number;
  /** How long a request that comes too fast may be made to wait. */
  readonly patienceMs?: number;
  /**
   * How long a poll may be made to wait instead: then it is not refused, because clients give a task up at the first refusal. Absent, or less
   * than what others wait: polls are as other requests.
   */
  readonly maxWaitMs?: number;
  /** How much of the memory of this process the task store takes: that is held as well. Absent: none. */
  readonly storeBytes?: () => number;
}

const PATIENCE_MS = 1_000;
/** How much of the rate for polls is told to clients: the rest is for answers, cancellations and clocks that run fast. */
const TOLD_SHARE = 0.8;

/** What has places that are taken and given back, and the setting that says how many there are. */
const PLACES = {
  tasks: "tasks",
  /** Calls that wait for their turn. */
  queued: "tasks",
  /** Calls that wait for their client to come back with answers. */
  held: "tasks",
  streams: "streams",
  sessions: "sessions",
} as const;

export type Placed = keyof typeof PLACES;

/** What callers and all together may use at one time, and how fast: nobody's share is used up by somebody else. */
export class Quotas {
  readonly #places: Readonly<Record<Placed, Counter>>;
  readonly #rates: Readonly<Record<Rated, Rates>>;
  readonly #ledger: Ledger;
  readonly #holdsStore: boolean;
  readonly #limits: Pick<LimitsConfig, Scope>;
  /** What is held in memory of requests and answers. */
  readonly bytes: Bytes;

  constructor(limits: Pick<LimitsConfig, Scope>, options: QuotasOptions = {}) {
    const { clock = () => Math.floor(performance.now()), patienceMs = PATIENCE_MS, maxWaitMs = 0 } = options;
    const isLenient = maxWaitMs >= patienceMs;
    this.#limits = limits;
    const { perCaller, total } = limits;
    const places = (setting: (typeof PLACES)[Placed]) =>
      new Counter({ perCaller: perCaller[setting], total: total[setting] });
    this.#places = {
      tasks: places(PLACES.tasks),
      queued: places(PLACES.queued),
      held: places(PLACES.held),
      streams: places(PLACES.streams),
      sessions: places(PLACES.sessions),
    };
    this.#rates = {
      calls: new Rates("calls", { rate: perCaller.calls, clock, patienceMs }),
      polls: new Rates("polls", {
        rate: perCaller.polls,
        clock,
        patienceMs: isLenient ? maxWaitMs : patienceMs,
        isLenient,
      }),
    };
    this.#ledger = new Ledger({ limits, clock });
    this.bytes = new Bytes({ limits, clock, stored: options.storeBytes });
    this.#holdsStore = options.storeBytes !== undefined;
  }

  /**
   * Takes a place of the party's, and one of all. Returns how to give it back, of which only the first time counts.
   * @throws RpcError when there is none left, naming the limit; then nothing was taken
   */
  take(what: Placed, party: Party): () => void {
    this.check(what, party);
    return this.add(what, party);
  }

  /** The same for what is there already, and is counted whether or not there is a place left. */
  add(what: Placed, party: Party): () => void {
    const places = this.#places[what];
    places.add(party, 1);
    return once(() => places.add(party, -1));
  }

  /** @throws RpcError when `take` would */
  check(what: Placed, party: Party): void {
    const reached = this.#places[what].reachedBy(party);
    if (reached !== undefined) throw limitReached(reached, PLACES[what]);
  }

  /** How many places are taken in all. */
  taken(what: Placed): number {
    return this.#places[what].total;
  }

  /** @throws RpcError when no more may be stored */
  checkStored(party: Party): void {
    this.#ledger.check(party);
    if (this.#holdsStore) this.bytes.check(party);
  }

  /** Counts what was stored of arguments and results, for as long as it is kept. */
  noteStored(party: Party, bytes: number, keptForMs: number): void {
    this.#ledger.note(party, bytes, keptForMs);
  }

  /** How many bytes are stored in all, as far as is known. */
  get storedBytes(): number {
    return this.#ledger.bytes;
  }

  /**
   * Lets so many requests through as fast as the caller's rate allows. `undefined`: at once; else resolves when it is their turn.
   * @throws RpcError, HTTP 429, at once or after a while
   */
  pass(what: Rated, party: Party, waiter: Waiter, count = 1): Promise<void> | undefined {
    return this.#rates[what].pass(party, waiter, count);
  }

  /**
   * How often each of a party's tasks may be polled so that all of them together keep within the rate; the more tasks there are, the
   * less often. Milliseconds.
   */
  pollIntervalMs(party: Party): number {
    const rate = this.#limits.perCaller.polls;
    if (rate === undefined) return 0;
    return Math.ceil((this.#places.tasks.of(party) * rate.perMs) / (rate.count * TOLD_SHARE));
  }

  /** How many requests wait to be let through. */
  waiting(what: Rated): number {
    return this.#rates[what].waiting;
  }
}
