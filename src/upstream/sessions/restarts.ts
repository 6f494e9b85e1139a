import { toFailure, UpstreamFailure } from "../failure.ts";

const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 30_000;

interface FailedStart {
  readonly failure: UpstreamFailure;
  readonly pauseMs: number;
  readonly until: number;
}

/**
 * Starts a server's processes, with a pause after a failed start that doubles with each failure in a row. Requests during the pause fail
 * with the reason of the last failure.
 */
export class Restarts {
  readonly #now: () => number;
  #failed: FailedStart | undefined;
  #failures = 0;

  /** @param now in milliseconds; only differences count */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** @throws UpstreamFailure in the pause after a start that has failed */
  check(): void {
    const leftMs = (this.#failed?.until ?? 0) - this.#now();
    if (this.#failed === undefined || leftMs <= 0) return;
    const { failure } = this.#failed;
    const message = `${failure.message}; it will not be started again for another ${(leftMs / 1_000).toFixed(1)} s`;
    throw new UpstreamFailure(message, { ...failure.facts, mayHaveRun: false });
  }

  /** Runs `start`, unless there is a pause. @throws UpstreamFailure, and whatever `start` throws */
  async attempt<T>(start: () => Promise<T>): Promise<T> {
    this.check();
    const before = this.#failures;
    try {
      const started = await start();
      this.#failed = undefined;
      return started;
    } catch (error) {
      // Of several concurrent starts, only the first failure counts.
      if (this.#failures === before) this.#note(toFailure(error));
      throw error;
    }
  }

  #note(failure: UpstreamFailure): void {
    if (failure.facts.hasStarted !== false) return;
    const last = this.#failed;
    const pauseMs = last === undefined ? FIRST_PAUSE_MS : Math.min(2 * last.pauseMs, MAX_PAUSE_MS);
    this.#failures += 1;
    this.#failed = { failure, pauseMs, until: this.#now() + pauseMs };
  }
}
