import { setTimeout as sleep } from "node:timers/promises";
import type { LimitsConfig, RateLimit } from "../config/config.ts";
import { Recent } from "../ops/recent.ts";
import { type RpcError, rpc } from "../protocol/errors.ts";
import { Bucket } from "./bucket.ts";
import { keyWithin, type Party, SCOPES, type Scope } from "./party.ts";
import { tooOften } from "./refusal.ts";
import { Tally } from "./tally.ts";

/** What has a rate: calls of tools, and requests about tasks. */
export type Rated = "calls" | "polls";

export interface RatesOptions {
  readonly limits: Pick<LimitsConfig, Scope>;
  /** Whole milliseconds that never go back. */
  readonly clock: () => number;
  /** How long a request may be made to wait before it is let through, or refused. */
  readonly patienceMs: number;
  /** Whether one that would have to wait for longer is let through all the same, and never refused. Absent: no. */
  readonly isLenient?: boolean;
}

interface ScopedRate {
  readonly scope: Scope;
  readonly rate: RateLimit;
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
 * Lets requests of one kind through no faster than the rate of any scope allows. One that comes a little too fast waits its turn,
 * and one that is to be refused waits as well, so that a client which sends the next one as soon as it has an answer is slowed down
 * and keeps nobody busy; but only so many wait. Where it is lenient, none is refused but for want of room to wait: what is let through
 * early is as much as can wait, in the time that it may wait.
 */
export class Rates {
  readonly #what: Rated;
  readonly #options: RatesOptions;
  readonly #limits: readonly ScopedRate[];
  readonly #buckets: Readonly<Record<Scope, Recent<string, Bucket>>>;
  readonly #waiting = new Tally();

  constructor(what: Rated, options: RatesOptions) {
    this.#what = what;
    this.#options = options;
    this.#limits = SCOPES.flatMap((scope) => {
      const rate = options.limits[scope][what];
      return rate === undefined ? [] : [{ scope, rate }];
    });
    this.#buckets = {
      perCaller: new Recent(MAX_CALLERS),
      perRoute: new Recent(MAX_CALLERS),
      total: new Recent(1),
    };
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.of(EVERYBODY);
  }

  /**
   * Lets so many requests through together, in all scopes or in none. `undefined`: at once; else resolves when it is their turn.
   * @throws RpcError, HTTP 429, at once or after a while
   */
  pass(party: Party, waiter: Waiter, count = 1): Promise<void> | undefined {
    if (this.#limits.length === 0) return undefined;
    const { clock, patienceMs, isLenient = false } = this.#options;
    const now = clock();
    const buckets: Bucket[] = [];
    let delayMs = 0;
    let tightest: ScopedRate | undefined;
    for (const limit of this.#limits) {
      const key = keyWithin(limit.scope, party);
      if (key === undefined) continue;
      const bucket = this.#bucket(limit.scope, key, limit.rate, now);
      const ms = bucket.delayMs(count, now);
      if (ms > delayMs) [delayMs, tightest] = [ms, limit];
      buckets.push(bucket);
    }
    if (tightest !== undefined && !this.#hasRoom(party))
      throw tooOften(tightest.scope, this.#what, tightest.rate, delayMs);
    if (tightest !== undefined && delayMs > patienceMs) {
      if (isLenient) return this.#wait(party, waiter, { ms: patienceMs, count });
      const refusal = tooOften(tightest.scope, this.#what, tightest.rate, delayMs);
      // Not all for as long: they would come back together, again and again.
      const ms = Math.ceil(patienceMs * (1 - Math.random() / 2));
      return this.#wait(party, waiter, { ms, count, refusal });
    }
    for (const bucket of buckets) bucket.take(count, now);
    return tightest && this.#wait(party, waiter, { ms: delayMs, count });
  }

  #bucket(scope: Scope, key: string, rate: RateLimit, now: number): Bucket {
    const known = this.#buckets[scope].get(key);
    if (known !== undefined) return known;
    const bucket = new Bucket(rate, now, Math.max(1, Math.floor(rate.count * AT_ONCE)));
    this.#buckets[scope].set(key, bucket);
    return bucket;
  }

  #hasRoom({ caller }: Party): boolean {
    const max = MAX_WAITING[this.#options.isLenient ? "lenient" : "strict"];
    return this.#waiting.of(EVERYBODY) < max.total && this.#waiting.of(waitingAs(caller)) < max.perCaller;
  }

  async #wait({ caller }: Party, { gone }: Waiter, { ms, count, refusal }: Waiting): Promise<void> {
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
