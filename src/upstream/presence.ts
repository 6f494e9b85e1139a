import { isOfAbsent, toFailure, type UpstreamFailure } from "./failure.ts";

export interface PresenceOptions {
  /** Called when a server that was there has gone. */
  readonly onGone?: (failure: UpstreamFailure) => void;
  /** Called when it is back, with for how long it was known to be gone. */
  readonly onBack?: (afterMs: number) => void;
  /** Milliseconds since any point in time. */
  readonly now?: () => number;
}

/** Whether the server was there when the gateway last had to do with it. */
export class Presence {
  readonly #options: PresenceOptions;
  readonly #now: () => number;
  #isThere: boolean | undefined;
  #goneAt = 0;
  #returns = 0;

  constructor(options: PresenceOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** `undefined`: the gateway has not had to do with it yet. */
  get isThere(): boolean | undefined {
    return this.#isThere;
  }

  /** How often it came back after it had gone. */
  get returns(): number {
    return this.#returns;
  }

  /** Call this when the server has answered, whatever it said. */
  answered(): void {
    if (this.#isThere === true) return;
    const wasGone = this.#isThere === false;
    this.#isThere = true;
    if (!wasGone) return;
    this.#returns += 1;
    this.#options.onBack?.(this.#now() - this.#goneAt);
  }

  /** Call this with why there was no answer, or none that was of use: only some reasons say that nobody is there. */
  failed(error: unknown): void {
    const failure = toFailure(error);
    const { status, hasStarted, isReached } = failure.facts;
    const isGone = hasStarted === false || isReached === false || isOfAbsent(status);
    if (!isGone) {
      if (status !== undefined) this.answered();
      return;
    }
    if (this.#isThere === false) return;
    this.#isThere = false;
    this.#goneAt = this.#now();
    this.#options.onGone?.(failure);
  }
}
