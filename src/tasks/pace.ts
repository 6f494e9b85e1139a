import { rpc } from "../protocol/errors.ts";
import { Tally } from "../quotas/counter.ts";
import type { TaskId } from "../stores/task-store.ts";
import type { Claimant } from "./engine.ts";

export interface PollPaceOptions {
  /** Calls back when the task may have changed. Returns how to stop. */
  readonly watch: (id: TaskId, changed: () => void) => () => void;
  /** Whole milliseconds that never go back. */
  readonly clock?: () => number;
  /** How long a poll may be made to wait, whatever the interval. Absent: as long as that. */
  readonly maxWaitMs?: number;
  /** How many polls may wait; absent: as many as a gateway can bear. */
  readonly max?: { readonly perCaller: number; readonly total: number };
}

/** How many polls are let through in the interval at which the client was told to poll, and how many more at once. */
const POLLS_IN_AN_INTERVAL = 10;
const BURST = 30;
/** Of how many tasks it is known who polls them how fast. */
const MAX_PACES = 20_000;
/** Of a caller as many as it may have tasks, one poll each, and some more. */
const MAX_SLOWED = { perCaller: 2_500, total: 10_000 };

interface Pace {
  /** Whose task it is: nobody else is ever told of it. */
  readonly caller: string;
  readonly intervalMs: number;
  /** When the next poll would be due, if they came as fast as they may. */
  due: number;
}

/**
 * Slows clients that poll a task much faster than they were told: an answer that comes too early waits, but neither for longer than
 * the interval nor beyond a change of the task, and is refused only where too many wait. Only the task's own caller is slowed, so that nobody else can see from how long an answer
 * takes whether there is such a task.
 */
export class PollPace {
  readonly #options: PollPaceOptions;
  readonly #clock: () => number;
  /** In the order in which they were told last. */
  readonly #paces = new Map<TaskId, Pace>();
  readonly #slowed = new Tally();
  /** How to answer those who wait. */
  readonly #waiting = new Set<() => void>();
  #isStopped = false;

  constructor(options: PollPaceOptions) {
    this.#options = options;
    this.#clock = options.clock ?? (() => Math.floor(performance.now()));
  }

  /** How many polls wait. */
  get slowed(): number {
    return this.#waiting.size;
  }

  /** Of how many tasks it is known how they are polled. */
  get size(): number {
    return this.#paces.size;
  }

  /**
   * Whether a poll may be answered: `undefined`: at once; else when it resolves.
   * @throws RpcError, HTTP 429, when too many wait
   */
  turn(id: TaskId, claimant: Claimant, waiter: { readonly gone: AbortSignal }): Promise<void> | undefined {
    const pace = this.#paces.get(id);
    if (pace === undefined || pace.caller !== claimant.caller || this.#isStopped) return undefined;
    const { intervalMs } = pace;
    const { maxWaitMs = intervalMs, max = MAX_SLOWED } = this.#options;
    const now = this.#clock();
    const gapMs = Math.max(1, Math.floor(intervalMs / POLLS_IN_AN_INTERVAL));
    const waitMs = Math.min(pace.due - (BURST - 1) * gapMs - now, intervalMs, maxWaitMs);
    const isFull = this.#slowed.of(pace.caller) >= max.perCaller || this.#waiting.size >= max.total;
    if (waitMs > 0 && isFull)
      throw rpc.limitExceeded({
        limit: "pollInterval",
        max: `${intervalMs}ms`,
        httpStatus: 429,
        retryAfterMs: intervalMs,
      });
    // Who waits for an interval has waited for all that came before.
    pace.due = Math.min(Math.max(pace.due, now) + gapMs, now + intervalMs + BURST * gapMs);
    return waitMs > 0 ? this.#wait(id, pace, waitMs, waiter.gone) : undefined;
  }

  /** Takes note of how often the caller, whose task it is, was told to poll. */
  told(id: TaskId, { caller }: Claimant, intervalMs: number): void {
    const now = this.#clock();
    const due = Math.max(now, this.#paces.get(id)?.due ?? now);
    this.#paces.delete(id);
    this.#paces.set(id, { caller, intervalMs, due });
    for (const [oldest, pace] of this.#paces) {
      // Whoever has not polled for two intervals has as many polls at once as one who never did.
      const isIdle = pace.due + 2 * pace.intervalMs < now;
      if (!isIdle && this.#paces.size <= MAX_PACES) return;
      this.#paces.delete(oldest);
    }
  }

  /** Lets everybody through: a gateway that stops waits for nobody who only waits for it. */
  stop(): void {
    this.#isStopped = true;
    for (const done of this.#waiting) done();
  }

  async #wait(id: TaskId, pace: Pace, waitMs: number, gone: AbortSignal): Promise<void> {
    this.#slowed.add(pace.caller, 1);
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
    this.#slowed.add(pace.caller, -1);
  }
}
