import { ANSWER_WEIGHT } from "./answers.ts";

export interface ResultReadsOptions {
  /** Absent: as much as there is. */
  readonly maxBytes: number | undefined;
}

/** How long a result is taken to be as long as no longer one was read: a store does not say it before. */
const USUAL_BYTES = 1_048_576;
const MAX_AT_A_TIME = 1_024;
/** A result that was very long is forgotten after a few hundred others. */
const FADING = 0.98;

/** Reads of results, of which there are no more at a time than there is memory for: how long each is shows only when it is there. */
export class ResultReads {
  readonly #maxBytes: number;
  readonly #waiting = new Set<() => void>();
  #running = 0;
  #longest = USUAL_BYTES;

  constructor({ maxBytes = Number.POSITIVE_INFINITY }: ResultReadsOptions) {
    this.#maxBytes = maxBytes;
  }

  /** Does `read` when it is its turn; the next one has it when what `read` gives has settled. */
  async run<T>(read: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#atATime) await new Promise<void>((resolve) => void this.#waiting.add(resolve));
    else this.#running += 1;
    try {
      return await read();
    } finally {
      this.#next();
    }
  }

  /** A result was read that is so long. */
  note(bytes: number): void {
    this.#longest = Math.max(bytes, USUAL_BYTES, this.#longest * FADING);
  }

  get #atATime(): number {
    const fitting = Math.floor(this.#maxBytes / (this.#longest * ANSWER_WEIGHT));
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
