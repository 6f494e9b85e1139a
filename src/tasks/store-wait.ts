import type { Signal } from "../lib/signal.ts";
import type { AnswerRoom } from "../limits/answers.ts";
import { AmountsByKey } from "../limits/counter.ts";
import { rpc } from "../protocol/errors.ts";
import { isAway, type StoreUnavailable } from "../store/task-store.ts";

/** A client's request that waits for a store that is away. */
export interface StoreWaiter {
  readonly caller: string;
  /** Aborts when the client no longer waits for the answer. */
  readonly gone: Signal;
  /** Aborts when the gateway stops, for a request that must not begin anything then. */
  readonly stopping?: AbortSignal;
  /** About how many bytes of the request stay in memory meanwhile. */
  readonly bytes: number;
  /** Where what is read for it finds room until it is answered. Absent: it is not counted. */
  readonly room?: AnswerRoom | undefined;
  /** Whether it waits without limit, because it has a place of its own among the streams. Absent: no. */
  readonly isEndless?: boolean;
}

/** Says who waits; called only while the store is away. */
export type WaiterOf = () => StoreWaiter;

export interface StoreWaitOptions {
  /** How long a request may wait, in milliseconds; 0: not at all. */
  readonly maxWaitMs: number;
  /** How many requests may wait, and with how many bytes; absent: `LIMITS`. */
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
/** How often one of the waiting requests tries whether the store is back. */
const LOOK_EVERY_MS = 75;

/**
 * Requests that wait until the store is back. No stock client that follows a task survives one refused poll, and all of them
 * survive a slow answer. One request at a time tries again; as soon as one succeeds, all do.
 */
export class StoreWait {
  readonly #maxWaitMs: number;
  readonly #max: StoreWaitLimits;
  /** The functions that let each try again, the longest waiting first. */
  readonly #waiting = new Set<() => void>();
  readonly #requests = new AmountsByKey();
  readonly #bytes = new AmountsByKey();
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
   * Returns what `work` returns, and repeats `work` until the store answers: repeating it must be harmless.
   * @throws StoreUnavailable when the store was away for too long, or too many requests wait already
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

  /** As `run`, if `waiterOf` is given; else runs `work` once. */
  through<T>(waiterOf: WaiterOf | undefined, work: () => Promise<T>): Promise<T> {
    return waiterOf === undefined ? work() : this.run(work, waiterOf);
  }

  /** Ends all waits. */
  close(): void {
    this.#isClosed = true;
    this.#wakeAll();
  }

  async #retry<T>(work: () => Promise<T>, waiter: StoreWaiter, refusal: StoreUnavailable): Promise<T> {
    const deadline = waiter.isEndless ? Number.POSITIVE_INFINITY : performance.now() + this.#maxWaitMs;
    let why = refusal;
    for (;;) {
      await this.#turn(waiter, deadline);
      // Begin nothing for a client that has gone. Nobody sees this error.
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

  /** Resolves when it is time to try again, or when trying is pointless. */
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

  /** Takes a place. Returns a function that gives it back; `undefined`: there is none. */
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
