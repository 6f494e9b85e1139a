/**
 * A map that keeps at most `max` values, and always the `max / 2` last used ones. It has two halves: when the newer one is full, it becomes
 * the older one, and the former older one is dropped. Getting a value of the newer half writes nothing: a map that every request writes to
 * leaves more garbage than the request itself.
 */
export class Recent<Key, Value> {
  readonly #maxHalf: number;
  #newer = new Map<Key, Value>();
  #older = new Map<Key, Value>();

  /** @param max 1 or more */
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
