import { setTimeout as sleep } from "node:timers/promises";

export interface RoundsOptions<T> {
  readonly all: () => Iterable<T>;
  /** Must not reject. */
  readonly visit: (each: T) => Promise<void>;
  readonly pauseMs?: number;
}

/** How many are visited before a pause in a round that has time. */
export const AT_A_STRETCH = 20;
const PAUSE_MS = 50;

/**
 * Visits all of many, one after the other, now and then. A visit is a read or two of the store: without pauses, 17,000 calls that only wait keep a
 * third of a core busy, and the store with thousands of reads a second. With them a round of 2,000 takes the third of a usual lease, and a round of
 * more takes longer.
 */
export class Rounds<T> {
  readonly #options: RoundsOptions<T>;
  #round: Promise<void> | undefined;
  /** Whether another round has to follow, without pauses. */
  #isDue = false;
  /** Ends the pauses of the present round. */
  #hurry = new AbortController();
  #isClosed = false;

  constructor(options: RoundsOptions<T>) {
    this.#options = options;
  }

  /** Begins a round, unless there is one: a slow store does not get more and more reads. */
  begin(): void {
    this.#round ??= this.#goRound().finally(() => {
      this.#round = undefined;
      // Somebody hurried after the round had looked whether another has to follow.
      if (this.#isDue && !this.#isClosed) this.begin();
    });
  }

  /** Visits all as soon as can be, those that the present round has visited included. */
  hurry(): void {
    this.#hurry.abort();
    this.#isDue = true;
    this.begin();
  }

  /** Begins no more visits. Resolves when the last has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#hurry.abort();
    await this.#round;
  }

  async #goRound(): Promise<void> {
    const { all, visit, pauseMs = PAUSE_MS } = this.#options;
    if (!this.#isDue) this.#hurry = new AbortController();
    do {
      this.#isDue = false;
      const { signal } = this.#hurry;
      for (const [n, each] of [...all()].entries()) {
        if (n > 0 && n % AT_A_STRETCH === 0 && !signal.aborted)
          await sleep(pauseMs, undefined, { signal }).catch(() => {});
        if (this.#isClosed) return;
        await visit(each);
      }
    } while (this.#isDue && !this.#isClosed);
  }
}
