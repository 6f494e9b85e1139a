import type { Signal } from "../lib/signal.ts";
import type { TaskId } from "../store/task-store.ts";

export interface DrainOptions {
  /** As `limits.restartGap`. */
  readonly restartGapMs: number;
  /** As `limits.maxWait`. */
  readonly maxWaitMs: number;
  /** Monotonic, in milliseconds. */
  readonly clock?: () => number;
}

/** How long it takes to close after the last answers, and to listen again after the restart. */
const CLOSING_MS = 2_000;
const MAX_POLLED = 20_000;
const MAX_WAITING = 10_000;

/**
 * How clients that poll tasks see the end of a gateway. No stock client survives a refused connection; so a poll of a task that
 * runs here waits for the task's end, the gateway stays until clients have fetched the results, and it tells a client that it
 * must send away to come back when a gateway is there again.
 */
export class Drain {
  readonly #options: DrainOptions;
  readonly #clock: () => number;
  readonly #over = new AbortController();
  /** Until when a client should have polled a task again, for tasks that clients poll and whose outcome none has fetched. */
  readonly #polled = new Map<TaskId, number>();
  #onFetched = () => {};
  #waiting = 0;
  #onAnswered = () => {};
  #deadline = Number.POSITIVE_INFINITY;

  constructor(options: DrainOptions) {
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
  }

  /** How many tasks are polled whose outcome no client has fetched. */
  get polled(): number {
    return this.#polled.size;
  }

  /** Aborted when the gateway no longer waits for running calls. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Running calls have `timeoutMs` to end. */
  begin(timeoutMs: number): void {
    this.#deadline = this.#clock() + timeoutMs;
  }

  end(): void {
    this.#over.abort();
  }

  /** How long a client should wait before it polls again: `usualMs`, or past the restart when the gateway is about to stop. */
  intervalMs(usualMs: number): number {
    const isSoonOver = this.#over.signal.aborted || this.#clock() + 2 * usualMs >= this.#deadline;
    return isSoonOver ? Math.max(usualMs, this.#options.restartGapMs + CLOSING_MS) : usualMs;
  }

  /** The gateway told a client to poll the task again after `intervalMs`. */
  told(id: TaskId, intervalMs: number): void {
    const now = this.#clock();
    this.#polled.delete(id);
    this.#polled.set(id, now + 2 * intervalMs);
    for (const [oldest, until] of this.#polled) {
      // A client that does not come back gets the outcome from another gateway, or never.
      if (until > now && this.#polled.size <= MAX_POLLED) return;
      this.#polled.delete(oldest);
    }
  }

  /** A client has fetched the task's outcome. */
  fetched(id: TaskId): void {
    if (this.#polled.delete(id)) this.#onFetched();
  }

  /** Resolves when every client that should come back has done so or is overdue, or when the drain is over. */
  async allFetched(): Promise<void> {
    for (;;) {
      const now = this.#clock();
      for (const [id, until] of this.#polled) if (until <= now) this.#polled.delete(id);
      if (this.#polled.size === 0 || this.#over.signal.aborted) return;
      let last = now;
      for (const until of this.#polled.values()) last = Math.max(last, until);
      await this.#lastFetched(last - now);
    }
  }

  /** A request waits for the end of a task that runs here. Returns the function to call, once, when the wait is over. */
  attend(): () => void {
    this.#waiting += 1;
    return () => {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#onAnswered();
    };
  }

  /**
   * Resolves when no request waits for a task that runs here. Call it when all those tasks have ended: the requests learn of that
   * a little later.
   */
  async allAnswered(): Promise<void> {
    if (this.#waiting === 0) return;
    await new Promise<void>((resolve) => {
      this.#onAnswered = resolve;
    });
  }

  /**
   * Runs `wait` for the end of a task. The signal that `wait` gets aborts when the client has gone, the drain is over, or
   * `maxWaitMs` have passed; `wait` must give up then. `undefined`: too many requests wait already.
   */
  async wait<T>(gone: Signal, wait: (until: AbortSignal) => Promise<T>): Promise<T | undefined> {
    if (this.#waiting >= MAX_WAITING) return undefined;
    const until = new AbortController();
    const stop = () => until.abort();
    const late = setTimeout(stop, this.#options.maxWaitMs);
    const signals = [gone, this.#over.signal];
    for (const signal of signals) signal.addEventListener("abort", stop, { once: true });
    if (signals.some(({ aborted }) => aborted)) stop();
    const answered = this.attend();
    try {
      return await wait(until.signal);
    } finally {
      answered();
      clearTimeout(late);
      for (const signal of signals) signal.removeEventListener("abort", stop);
    }
  }

  #lastFetched(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#over.signal.removeEventListener("abort", done);
        this.#onFetched = () => {};
        resolve();
      };
      const timer = setTimeout(done, withinMs);
      this.#onFetched = () => {
        if (this.#polled.size === 0) done();
      };
      this.#over.signal.addEventListener("abort", done, { once: true });
    });
  }
}
