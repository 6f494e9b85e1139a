import type { RateLimit } from "../config/config.ts";

/**
 * A token bucket: `atOnce` requests at once, then the rate. It counts in whole numbers, so that frequent questions lose or gain nothing: a
 * token is `perMs` parts, and every millisecond adds `count` parts.
 */
export class Bucket {
  readonly #limit: RateLimit;
  readonly #fullParts: number;
  /** Negative while requests that took tokens in advance still wait. */
  #parts: number;
  #at: number;

  /**
   * @param now whole milliseconds that never go back
   * @param atOnce how many requests may come at once; 1 or more
   */
  constructor(limit: RateLimit, now: number, atOnce: number = limit.count) {
    this.#limit = limit;
    this.#fullParts = atOnce * limit.perMs;
    this.#parts = this.#fullParts;
    this.#at = now;
  }

  isFor({ count, perMs }: RateLimit): boolean {
    return count === this.#limit.count && perMs === this.#limit.perMs;
  }

  /** In how many milliseconds the bucket will have so many tokens, after those already taken in advance; 0: now. */
  delayMs(tokens: number, now: number): number {
    this.#fill(now);
    const missing = tokens * this.#limit.perMs - this.#parts;
    return missing <= 0 ? 0 : Math.ceil(missing / this.#limit.count);
  }

  /** Takes so many tokens, some possibly in advance: the caller must wait for as long as `delayMs` said. */
  take(tokens: number, now: number): void {
    this.#fill(now);
    this.#parts -= tokens * this.#limit.perMs;
  }

  #fill(now: number): void {
    const { count } = this.#limit;
    // At most the milliseconds until the bucket is full, so that the product stays a safe integer.
    const elapsed = Math.min(now - this.#at, Math.ceil((this.#fullParts - this.#parts) / count));
    this.#parts = Math.min(this.#fullParts, this.#parts + Math.max(0, elapsed) * count);
    this.#at = Math.max(this.#at, now);
  }
}
