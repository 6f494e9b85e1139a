import { ANSWER_WEIGHT } from "./answers.ts";

export interface ResultReadsOptions {
  /** How many bytes the results that are being read may take, weighed. `undefined`: any number. */
  readonly maxBytes: () => number | undefined;
}

/** The size that a result is assumed to have before it is read, unless a longer one was read: the store does not tell sizes beforehand. */
const USUAL_BYTES = 1_048_576;
const MAX_AT_A_TIME = 1_024;
/** With each further result the assumed size shrinks to this part of itself: after a few hundred reads one very long result is forgotten. */
const FADING = 0.98;

/**
 * Limits how many results are read from the store at the same time. It assumes that each is as long as the longest of late, because the
 * store sends a result as a whole, however little memory is left.
 */
export class ResultReads {
  readonly #maxBytes: () => number | undefined;
  readonly #waiting = new Set<() => void>();
  #running = 0;
  #longest = USUAL_BYTES;

  constructor({ maxBytes }: ResultReadsOptions) {
    this.#maxBytes = maxBytes;
  }

  /** Waits for a turn, calls `read`, and gives the turn to the next one when the promise that `read` returned has settled. */
  async run<T>(read: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#atATime) await new Promise<void>((resolve) => void this.#waiting.add(resolve));
    else this.#running += 1;
    try {
      return await read();
    } finally {
      this.#next();
    }
  }

  /** Takes note of the length of a result that was read. */
  note(bytes: number): void {
    this.#longest = Math.max(bytes, USUAL_BYTES, this.#longest * FADING);
  }

  get #atATime(): number {
    const maxBytes = this.#maxBytes() ?? Number.POSITIVE_INFINITY;
    const fitting = Math.floor(maxBytes / (this.#longest * ANSWER_WEIGHT));
    return Math.min(Math.max(fitting, 1), MAX_AT_A_TIME);
  }

  #next(): void {
    this.#running -= 1;
    for (const begin of this.#waiting) {
      if (this.#running >= this.#atATime) return;
      this.#waiting.delete(begin);
      this.#running += 1;
      begin();
    }
  }
}
