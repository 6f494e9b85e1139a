/**
 * The values that were set or asked for last, so many and no more. Those that were wanted since half of them came are certainly there; of
 * the others whole halves are forgotten at once. To ask for one of the newer half changes nothing: a map that is written to with
 * every request leaves more behind for the garbage collector than the request itself.
 */
export class Recent<Key, Value> {
  readonly #maxHalf: number;
  #newer = new Map<Key, Value>();
  #older = new Map<Key, Value>();

  /** @param max one at least */
  constructor(max: number) {
    this.#maxHalf = Math.max(1, Math.floor(max / 2));
  }

  get size(): number {
    return this.#newer.size + this.#older.size;
  }

  get(key: Key): Value | undefined {
    const value = this.#newer.get(key);
    if (value !== undefined) return value;
    const old = this.#older.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: Key, value: Value): void {
    this.#older.delete(key);
    this.#newer.set(key, value);
    if (this.#newer.size <= this.#maxHalf) return;
    this.#newer.delete(key);
    this.#older = this.#newer;
    this.#newer = new Map([[key, value]]);
  }

  delete(key: Key): void {
    this.#newer.delete(key);
    this.#older.delete(key);
  }
}
