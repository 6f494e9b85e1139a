import { rpc } from "../protocol/errors.ts";
import { Tally } from "../quotas/counter.ts";
import { StoreUnavailable, UnreadableValue } from "../stores/task-store.ts";

/** A client's request that waits for a store which is away. */
export interface StoreWaiter {
  readonly caller: string;
  /** Aborted when nobody waits for the answer any more. */
  readonly gone: AbortSignal;
  /** Aborted when the gateway stops, where the request must not begin anything then. */
  readonly stopping?: AbortSignal;
  /** How much of the request stays in memory meanwhile, more or less. */
  readonly bytes: number;
  /** Whether it waits for as long as it takes, because it has a place of its own among the streams. Absent: no. */
  readonly isEndless?: boolean;
}

/** Says who waits, once somebody has to: a store that answers need not know. */
export type WaiterOf = () => StoreWaiter;

export interface StoreWaitOptions {
  /** How long a request waits; 0: not at all. Milliseconds. */
  readonly maxWaitMs: number;
  /** How many may wait, and with how many bytes; absent: as many as a gateway can bear. */
  readonly max?: StoreWaitLimits;
}

export interface StoreWaitLimits {
  readonly perCaller: { readonly requests: number; readonly bytes: number };
  readonly total: { readonly requests: number; readonly bytes: number };
}

/** One caller may poll as many tasks as it may have, one request each, and leaves room for others. */
const LIMITS: StoreWaitLimits = {
  perCaller: { requests: 2_500, bytes: 16 * 1_048_576 },
  total: { requests: 10_000, bytes: 64 * 1_048_576 },
};
/** How often one of those who wait looks whether the store is back. */
const LOOK_EVERY_MS = 75;

/**
 * Requests that wait until the store is back. No stock client that follows a task survives one poll that is refused, and all of them
 * survive one whose answer takes its time. One request at a time tries again; as soon as one succeeds, all do.
 */
export class StoreWait {
  readonly #maxWaitMs: number;
  readonly #max: StoreWaitLimits;
  /** How to have each try again, those first that have waited longest for it. */
  readonly #waiting = new Set<() => void>();
  readonly #requests = new Tally();
  readonly #bytes = new Tally();
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor({ maxWaitMs, max = LIMITS }: StoreWaitOptions) {
    this.#maxWaitMs = maxWaitMs;
    this.#max = max;
  }

  /** How many requests wait. */
  get waiting(): number {
    return this.#requests.of(EVERYBODY);
  }

  /**
   * Gives what `work` gives, which is done again until the store answers. Whatever is done has to be harmless when it is repeated.
   * @throws StoreUnavailable when it was away for too long, or too many wait already
   */
  async run<T>(work: () => Promise<T>, waiterOf: WaiterOf): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!isAway(error)) throw error;
      const waiter = waiterOf();
      const leave = this.#enter(waiter);
      if (leave === undefined) throw error;
      return this.#retry(work, waiter, error).finally(leave);
    }
  }

  /** As `run`, if there is somebody who waits. */
  through<T>(waiterOf: WaiterOf | undefined, work: () => Promise<T>): Promise<T> {
    return waiterOf === undefined ? work() : this.run(work, waiterOf);
  }

  /** Nobody waits any longer. */
  close(): void {
    this.#isClosed = true;
    this.#wakeAll();
  }

  async #retry<T>(work: () => Promise<T>, waiter: StoreWaiter, refusal: StoreUnavailable): Promise<T> {
    const deadline = waiter.isEndless ? Number.POSITIVE_INFINITY : performance.now() + this.#maxWaitMs;
    let why = refusal;
    for (;;) {
      await this.#turn(waiter, deadline);
      // Nothing is to be begun for a client that has gone. Nobody hears of it.
      if (waiter.gone.aborted) throw rpc.internal("The client has gone");
      if (waiter.stopping?.aborted) throw rpc.stopping();
      if (this.#isClosed || performance.now() >= deadline) throw why;
      try {
        const result = await work();
        this.#wakeAll();
        return result;
      } catch (error) {
        if (!isAway(error)) throw error;
        why = error;
      }
    }
  }

  /** Resolves when it is time to try again, or when there is no point any more. */
  #turn({ gone, stopping }: StoreWaiter, deadline: number): Promise<void> {
    const signals = stopping === undefined ? [gone] : [gone, stopping];
    if (this.#isClosed || signals.some(({ aborted }) => aborted)) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(late);
        this.#waiting.delete(wake);
        for (const signal of signals) signal.removeEventListener("abort", wake);
        resolve();
      };
      const late = Number.isFinite(deadline) ? setTimeout(wake, deadline - performance.now()) : undefined;
      for (const signal of signals) signal.addEventListener("abort", wake, { once: true });
      this.#waiting.add(wake);
      this.#look();
    });
  }

  #look(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      const [next] = this.#waiting;
      next?.();
      if (this.#waiting.size > 0) this.#look();
    }, LOOK_EVERY_MS);
  }

  #wakeAll(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Takes a place. Returns how to give it back; `undefined`: there is none. */
  #enter({ caller, bytes, isEndless = false }: StoreWaiter): (() => void) | undefined {
    if (isEndless) return () => {};
    const { perCaller, total } = this.#max;
    const key = `:${caller}`;
    const hasRoom =
      this.#maxWaitMs > 0 &&
      this.#requests.of(EVERYBODY) < total.requests &&
      this.#requests.of(key) < perCaller.requests &&
      this.#bytes.of(EVERYBODY) + bytes <= total.bytes &&
      this.#bytes.of(key) + bytes <= perCaller.bytes;
    if (!hasRoom) return undefined;
    const add = (sign: 1 | -1) => {
      for (const each of [EVERYBODY, key]) {
        this.#requests.add(each, sign);
        this.#bytes.add(each, sign * bytes);
      }
    };
    add(1);
    return () => add(-1);
  }
}

const EVERYBODY = "";

/** Whether it may be otherwise the next time. */
function isAway(error: unknown): error is StoreUnavailable {
  return error instanceof StoreUnavailable && !(error instanceof UnreadableValue);
}
