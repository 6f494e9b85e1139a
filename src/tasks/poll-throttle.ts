import type { Signal } from "../lib/signal.ts";
import { AmountsByKey } from "../limits/counter.ts";
import { rpc } from "../protocol/errors.ts";
import type { TaskId, TaskOwner } from "../store/task-store.ts";

export interface PollThrottleOptions {
  /** Calls `changed` when the task may have changed. Returns a function that stops it. */
  readonly watch: (id: TaskId, changed: () => void) => () => void;
  /** Monotonic, in whole milliseconds. */
  readonly clock?: () => number;
  /** The longest that a poll may have to wait, whatever the interval. Absent: the interval. */
  readonly maxWaitMs?: number;
  /** How many polls may wait; absent: as many as a gateway can bear. */
  readonly max?: { readonly perCaller: number; readonly total: number };
}

/** How many polls may pass per interval that the client was given, and how many at once before that limit counts. */
const POLLS_IN_AN_INTERVAL = 10;
const BURST = 30;
/** For how many tasks the gateway remembers how fast their caller polls. */
const MAX_POLLED = 20_000;
/** Per caller one poll for each task that it may have, and some more. */
const MAX_SLOWED = { perCaller: 2_500, total: 10_000 };

interface Polled {
  /** The task's caller: nobody else ever hears of the task. */
  readonly caller: string;
  readonly intervalMs: number;
  /** When the next poll would be due if polls came as fast as they may. */
  due: number;
}

/**
 * Slows clients that poll a task much faster than the gateway told them: the answer to an early poll waits, but no longer than
 * the interval and not beyond a change of the task; the gateway refuses a poll only when too many wait. It slows only the task's
 * own caller, so that nobody else can see from the delay whether the task exists.
 */
export class PollThrottle {
  readonly #options: PollThrottleOptions;
  readonly #clock: () => number;
  /** In the order in which clients were last told an interval. */
  readonly #polled = new Map<TaskId, Polled>();
  readonly #slowed = new AmountsByKey();
  /** The functions that let the waiting polls go on. */
  readonly #waiting = new Set<() => void>();
  #isStopped = false;

  constructor(options: PollThrottleOptions) {
    this.#options = options;
    this.#clock = options.clock ?? (() => Math.floor(performance.now()));
  }

  /** How many polls wait. */
  get slowed(): number {
    return this.#waiting.size;
  }

  /** For how many tasks it remembers how they are polled. */
  get size(): number {
    return this.#polled.size;
  }

  /**
   * When to answer a poll: `undefined`: at once; else when the promise resolves.
   * @throws RpcError, HTTP 429, when too many polls wait
   */
  admit(id: TaskId, owner: TaskOwner, waiter: { readonly gone: Signal }): Promise<void> | undefined {
    const pollThrottle = this.#polled.get(id);
    if (pollThrottle === undefined || pollThrottle.caller !== owner.caller || this.#isStopped)
      return undefined;
    const { intervalMs } = pollThrottle;
    const { maxWaitMs = intervalMs, max = MAX_SLOWED } = this.#options;
    const now = this.#clock();
    const gapMs = Math.max(1, Math.floor(intervalMs / POLLS_IN_AN_INTERVAL));
    const waitMs = Math.min(pollThrottle.due - (BURST - 1) * gapMs - now, intervalMs, maxWaitMs);
    const isFull = this.#slowed.of(pollThrottle.caller) >= max.perCaller || this.#waiting.size >= max.total;
    if (waitMs > 0 && isFull)
      throw rpc.limitExceeded({
        limit: "pollInterval",
        max: `${intervalMs}ms`,
        httpStatus: 429,
        retryAfterMs: intervalMs,
      });
    // A poll that waits for a whole interval has waited for all earlier polls too.
    pollThrottle.due = Math.min(Math.max(pollThrottle.due, now) + gapMs, now + intervalMs + BURST * gapMs);
    return waitMs > 0 ? this.#wait(id, pollThrottle, waitMs, waiter.gone) : undefined;
  }

  /** Remembers the interval that the gateway told the task's own caller. */
  told(id: TaskId, { caller }: TaskOwner, intervalMs: number): void {
    const now = this.#clock();
    const due = Math.max(now, this.#polled.get(id)?.due ?? now);
    this.#polled.delete(id);
    this.#polled.set(id, { caller, intervalMs, due });
    for (const [oldest, pollThrottle] of this.#polled) {
      // After two intervals without a poll, a caller has the full burst again, as if it had never polled.
      const isIdle = pollThrottle.due + 2 * pollThrottle.intervalMs < now;
      if (!isIdle && this.#polled.size <= MAX_POLLED) return;
      this.#polled.delete(oldest);
    }
  }

  /** Lets all polls go on: a stopping gateway does not wait for clients that wait only for it. */
  stop(): void {
    this.#isStopped = true;
    for (const done of this.#waiting) done();
  }

  async #wait(id: TaskId, pollThrottle: Polled, waitMs: number, gone: Signal): Promise<void> {
    this.#slowed.add(pollThrottle.caller, 1);
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        stop();
        this.#waiting.delete(done);
        gone.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      const stop = this.#options.watch(id, done);
      this.#waiting.add(done);
      gone.addEventListener("abort", done, { once: true });
      if (gone.aborted) done();
    });
    this.#slowed.add(pollThrottle.caller, -1);
  }
}
