/** How much each has taken of something. Whoever has taken nothing costs nothing. */
export class Tally {
  readonly #taken = new Map<string, number>();

  /** How many have taken anything. */
  get size(): number {
    return this.#taken.size;
  }

  of(key: string): number {
    return this.#taken.get(key) ?? 0;
  }

  add(key: string, amount: number): void {
    const taken = this.of(key) + amount;
    if (taken > 0) this.#taken.set(key, taken);
    else this.#taken.delete(key);
  }
}
