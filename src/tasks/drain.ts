import type { TaskId } from "../stores/task-store.ts";

export interface DrainOptions {
  /** As `limits.restartGap`. */
  readonly restartGapMs: number;
  /** As `limits.maxWait`. */
  readonly maxWaitMs: number;
  /** Milliseconds that never go back. */
  readonly clock?: () => number;
}

/** What it takes to close after the last answers, and to begin to listen again after the restart. */
const CLOSING_MS = 2_000;
const MAX_POLLED = 20_000;
const MAX_WAITING = 10_000;

/**
 * The end of a gateway, as those see it who poll tasks. No stock client survives a closed door; so a poll of a task that runs here
 * waits for its end, the gateway stays until the results have been fetched, and who has to be sent away is told to come back
 * when somebody else is there.
 */
export class Drain {
  readonly #options: DrainOptions;
  readonly #clock: () => number;
  readonly #over = new AbortController();
  /** Until when whoever polls a task is expected back, for those that are polled and whose end has not been fetched. */
  readonly #polled = new Map<TaskId, number>();
  #onFetched = () => {};
  #waiting = 0;
  #onAnswered = () => {};
  #deadline = Number.POSITIVE_INFINITY;

  constructor(options: DrainOptions) {
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
  }

  /** How many tasks are polled whose end has not been fetched. */
  get polled(): number {
    return this.#polled.size;
  }

  /** Aborted when nobody waits for running calls any longer. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** The calls that run have so long to end. */
  begin(timeoutMs: number): void {
    this.#deadline = this.#clock() + timeoutMs;
  }

  end(): void {
    this.#over.abort();
  }

  /** After how long a client is to ask again, where it would usually be after `usualMs`. */
  intervalMs(usualMs: number): number {
    const isSoonOver = this.#over.signal.aborted || this.#clock() + 2 * usualMs >= this.#deadline;
    return isSoonOver ? Math.max(usualMs, this.#options.restartGapMs + CLOSING_MS) : usualMs;
  }

  /** A client was told to ask for a task again after so long. */
  told(id: TaskId, intervalMs: number): void {
    const now = this.#clock();
    this.#polled.delete(id);
    this.#polled.set(id, now + 2 * intervalMs);
    for (const [oldest, until] of this.#polled) {
      // Who does not come back has its end from another gateway, or never will.
      if (until > now && this.#polled.size <= MAX_POLLED) return;
      this.#polled.delete(oldest);
    }
  }

  /** A client has how a task ended. */
  fetched(id: TaskId): void {
    if (this.#polled.delete(id)) this.#onFetched();
  }

  /** Resolves when everybody who was to come back has been here, or is not going to come. */
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

  /** Somebody waits for the end of a task that runs here. Returns how to say, once, that the wait is over. */
  attend(): () => void {
    this.#waiting += 1;
    return () => {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#onAnswered();
    };
  }

  /**
   * Resolves when nobody waits for a task that runs here: to be asked for when all of them have ended, since whoever waits learns of that a
   * little later.
   */
  async allAnswered(): Promise<void> {
    if (this.#waiting === 0) return;
    await new Promise<void>((resolve) => {
      this.#onAnswered = resolve;
    });
  }

  /**
   * Waits for the end of a task with `wait`, which is to give up when the signal that it is given aborts: when the client has gone, the drain is
   * over, or one answer may not take longer. `undefined`: too many wait already.
   */
  async wait<T>(gone: AbortSignal, wait: (until: AbortSignal) => Promise<T>): Promise<T | undefined> {
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
