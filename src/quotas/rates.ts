import { setTimeout as sleep } from "node:timers/promises";
import type { RateLimit } from "../config/config.ts";
import { Recent } from "../ops/recent.ts";
import { type RpcError, rpc } from "../protocol/errors.ts";
import { Bucket } from "./bucket.ts";
import { type Party, Tally } from "./counter.ts";
import { tooOften } from "./refusal.ts";

/** What has a rate: calls of tools, and requests about tasks. */
export type Rated = "calls" | "polls";

export interface RatesOptions {
  /** Of each caller. Absent: as often as it likes. */
  readonly rate: RateLimit | undefined;
  /** Whole milliseconds that never go back. */
  readonly clock: () => number;
  /** How long a request may be made to wait before it is let through, or refused. */
  readonly patienceMs: number;
  /** Whether one that would have to wait for longer is let through all the same, and never refused. Absent: no. */
  readonly isLenient?: boolean;
}

/**
 * What part of a rate may come at once; the rest of it waits its turn. What one caller does in one moment keeps all others waiting for
 * as long: with all of it at once the slowest of their answers took seven times as long, with a fifth a quarter longer.
 */
const AT_ONCE = 1 / 5;
/** Whose buckets are kept: those of a caller that is forgotten are full again. */
const MAX_CALLERS = 10_000;
/** Requests that wait have their bodies in memory. */
const MAX_WAITING = {
  strict: { perCaller: 256, total: 4_096 },
  /** Polls are small, and a caller may have one under way for each of its tasks. */
  lenient: { perCaller: 2_500, total: 10_000 },
};

/** Whoever waits. */
export interface Waiter {
  /** Aborted when nobody waits for the answer any more. */
  readonly gone: AbortSignal;
}

/**
 * Lets requests of one kind through no faster than the rate of their caller allows. One that comes a little too fast waits its turn,
 * and one that is to be refused waits as well, so that a client which sends the next one as soon as it has an answer is slowed down
 * and keeps nobody busy; but only so many wait. Where it is lenient, none is refused but for want of room to wait: what is let through
 * early is as much as can wait, in the time that it may wait.
 */
export class Rates {
  readonly #what: Rated;
  readonly #options: RatesOptions;
  readonly #buckets = new Recent<string, Bucket>(MAX_CALLERS);
  readonly #waiting = new Tally();

  constructor(what: Rated, options: RatesOptions) {
    this.#what = what;
    this.#options = options;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.of(EVERYBODY);
  }

  /**
   * Lets so many requests through together. `undefined`: at once; else resolves when it is their turn.
   * @throws RpcError, HTTP 429, at once or after a while
   */
  pass({ caller, isIdentified }: Party, waiter: Waiter, count = 1): Promise<void> | undefined {
    const { clock, rate, patienceMs, isLenient = false } = this.#options;
    if (rate === undefined || !isIdentified) return undefined;
    const now = clock();
    const bucket = this.#bucket(caller, rate, now);
    const delayMs = bucket.delayMs(count, now);
    if (delayMs > 0 && !this.#hasRoom(caller)) throw tooOften(this.#what, rate, delayMs);
    if (delayMs > patienceMs) {
      if (isLenient) return this.#wait(caller, waiter, { ms: patienceMs, count });
      const refusal = tooOften(this.#what, rate, delayMs);
      // Not all for as long: they would come back together, again and again.
      const ms = Math.ceil(patienceMs * (1 - Math.random() / 2));
      return this.#wait(caller, waiter, { ms, count, refusal });
    }
    bucket.take(count, now);
    return delayMs === 0 ? undefined : this.#wait(caller, waiter, { ms: delayMs, count });
  }

  #bucket(caller: string, rate: RateLimit, now: number): Bucket {
    const known = this.#buckets.get(caller);
    if (known !== undefined) return known;
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
      await sleep(ms, undefined, { signal: gone }).catch(() => {});
    } finally {
      for (const key of keys) this.#waiting.add(key, -count);
    }
    // Nothing is to be begun for a client that has gone. Nobody hears of it.
    if (gone.aborted) throw rpc.internal("The client has gone");
    if (refusal !== undefined) throw refusal;
  }
}

interface Waiting {
  readonly ms: number;
  /** How many requests wait together. */
  readonly count: number;
  /** What comes of it; absent: they are let through. */
  readonly refusal?: RpcError;
}

const EVERYBODY = "";

function waitingAs(caller: string): string {
  return `:${caller}`;
}
