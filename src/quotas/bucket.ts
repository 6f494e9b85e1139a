import type { RateLimit } from "../config/config.ts";

/**
 * A rate, as so many at once and then so many in the time. In whole numbers, so that nothing is gained or lost by asking often: a
 * token is as many parts as its time has milliseconds, and every millisecond brings as many parts as the time brings tokens.
 */
export class Bucket {
  readonly #limit: RateLimit;
  readonly #fullParts: number;
  /** Below zero while some have been let in who wait for their turn. */
  #parts: number;
  #at: number;

  /**
   * @param now whole milliseconds that never go back
   * @param atOnce how many may come at once; one at least
   */
  constructor(limit: RateLimit, now: number, atOnce: number = limit.count) {
    this.#limit = limit;
    this.#fullParts = atOnce * limit.perMs;
    this.#parts = this.#fullParts;
    this.#at = now;
  }

  /** In how many milliseconds there are so many, after all who have been let in before; 0: now. */
  delayMs(tokens: number, now: number): number {
    this.#fill(now);
    const missing = tokens * this.#limit.perMs - this.#parts;
    return missing <= 0 ? 0 : Math.ceil(missing / this.#limit.count);
  }

  /** Takes so many, of which some may yet have to come: whoever takes them waits for as long as `delayMs` said. */
  take(tokens: number, now: number): void {
    this.#fill(now);
    this.#parts -= tokens * this.#limit.perMs;
  }

  #fill(now: number): void {
    const { count } = this.#limit;
    // Not more milliseconds than it takes to be full, so that the product stays a safe integer.
    const elapsed = Math.min(now - this.#at, Math.ceil((this.#fullParts - this.#parts) / count));
    this.#parts = Math.min(this.#fullParts, this.#parts + Math.max(0, elapsed) * count);
    this.#at = Math.max(this.#at, now);
  }
}
