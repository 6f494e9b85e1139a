import type { RateLimit } from "../config/config.ts";
import { Recent } from "../lib/recent.ts";
import type { Signal } from "../lib/signal.ts";
import { type RpcError, rpc } from "../protocol/errors.ts";
import { Bucket } from "./bucket.ts";
import { AmountsByKey, type QuotaKey } from "./counter.ts";
import { tooOften } from "./refusal.ts";

/** What has a rate: tool calls, and requests about tasks. */
export type Rated = "calls" | "polls";

export interface RatesOptions {
  /** Per key: a caller, or a server. `undefined`: no limit. */
  readonly rate: () => RateLimit | undefined;
  /** Whole milliseconds that never go back. */
  readonly clock: () => number;
  /** How long a request may wait before it passes or is refused. */
  readonly patienceMs: number;
  /** Whether a request that would have to wait for longer passes after `patienceMs` instead of being refused. Absent: no. */
  readonly isLenient?: boolean;
}

/**
 * Burst as a fraction of the rate. A burst of one caller delays all others: a full burst made their slowest answers 7× slower, one fifth
 * made them 1.25× slower.
 */
const AT_ONCE = 1 / 5;
/** How many callers' buckets are kept. A caller whose bucket is dropped starts with a full one. */
const MAX_CALLERS = 10_000;
/** Bounded, because the bodies of waiting requests are in memory. */
const MAX_WAITING = {
  strict: { perCaller: 256, total: 4_096 },
  /** Polls are small, and a caller may have one under way for each of its tasks. */
  lenient: { perCaller: 2_500, total: 10_000 },
};

/** The client behind a waiting request. */
export interface Waiter {
  /** Aborts when the client no longer waits for the answer. */
  readonly gone: Signal;
}

/**
 * Lets requests of one kind pass no faster than the rate of their caller. A request that comes a little too fast waits for its turn. One
 * that will be refused waits as well, to slow down clients that send the next request as soon as they have an answer. The number of
 * waiting requests is bounded. A lenient rate refuses requests only when no more may wait: it lets as many pass early as may wait,
 * per `patienceMs`.
 */
export class Rates {
  readonly #limit: string;
  readonly #options: RatesOptions;
  readonly #buckets = new Recent<string, Bucket>(MAX_CALLERS);
  readonly #waiting = new AmountsByKey();

  /** @param limit the setting with the rate, for refusals */
  constructor(limit: string, options: RatesOptions) {
    this.#limit = limit;
    this.#options = options;
  }

  /** How many requests wait. */
  get waiting(): number {
    return this.#waiting.of(EVERYBODY);
  }

  /**
   * Lets `count` requests pass together. `undefined`: at once; otherwise resolves when they may pass.
   * @throws RpcError, HTTP 429, at once or after a wait
   */
  pass({ caller, isIdentified }: QuotaKey, waiter: Waiter, count: number): Promise<void> | undefined {
    const { clock, patienceMs, isLenient = false } = this.#options;
    const rate = this.#options.rate();
    if (rate === undefined || !isIdentified) return undefined;
    const now = clock();
    const bucket = this.#bucket(caller, rate, now);
    const delayMs = bucket.delayMs(count, now);
    if (delayMs > 0 && !this.#hasRoom(caller)) throw tooOften(this.#limit, rate, delayMs);
    if (delayMs > patienceMs) {
      if (isLenient) return this.#wait(caller, waiter, { ms: patienceMs, count });
      const refusal = tooOften(this.#limit, rate, delayMs);
      // With jitter: refused clients would otherwise come back together, again and again.
      const ms = Math.ceil(patienceMs * (1 - Math.random() / 2));
      return this.#wait(caller, waiter, { ms, count, refusal });
    }
    bucket.take(count, now);
    return delayMs === 0 ? undefined : this.#wait(caller, waiter, { ms: delayMs, count });
  }

  #bucket(caller: string, rate: RateLimit, now: number): Bucket {
    const known = this.#buckets.get(caller);
    if (known?.isFor(rate)) return known;
    const bucket = new Bucket(rate, now, Math.max(1, Math.floor(rate.count * AT_ONCE)));
    this.#buckets.set(caller, bucket);
    return bucket;
  }

  #hasRoom(caller: string): boolean {
    const max = MAX_WAITING[this.#options.isLenient ? "lenient" : "strict"];
    return this.#waiting.of(EVERYBODY) < max.total && this.#waiting.of(waitingAs(caller)) < max.perCaller;
  }

  async #wait(caller: string, { gone }: Waiter, { ms, count, refusal }: Waiting): Promise<void> {
    const keys = [EVERYBODY, waitingAs(caller)];
    for (const key of keys) this.#waiting.add(key, count);
    try {
      await timeOrGone(ms, gone);
    } finally {
      for (const key of keys) this.#waiting.add(key, -count);
    }
    // The gateway starts nothing for a client that has gone; nobody gets this error.
    if (gone.aborted) throw rpc.internal("The client has gone");
    if (refusal !== undefined) throw refusal;
  }
}

interface Waiting {
  readonly ms: number;
  /** How many requests wait together. */
  readonly count: number;
  /** The error after the wait; absent: the requests pass. */
  readonly refusal?: RpcError;
}

/** Resolves after so many milliseconds, or as soon as the client has gone. */
function timeOrGone(ms: number, gone: Signal): Promise<void> {
  return new Promise((resolve) => {
    const over = () => {
      clearTimeout(timer);
      gone.removeEventListener("abort", over);
      resolve();
    };
    const timer = setTimeout(over, gone.aborted ? 0 : ms);
    gone.addEventListener("abort", over, { once: true });
  });
}

const EVERYBODY = "";

function waitingAs(caller: string): string {
  return `:${caller}`;
}
