import type { Backend, ListEntry, Spent } from "./backend.ts";
import type { StoreOperation, StoreOptions } from "./options.ts";
import { isAway, type Nudge } from "./task-store.ts";

/** A backend that says how long each operation took. */
export class TimedBackend implements Backend {
  readonly #backend: Backend;
  readonly #onOperation: NonNullable<StoreOptions["onOperation"]>;

  constructor(backend: Backend, onOperation: NonNullable<StoreOptions["onOperation"]>) {
    this.#backend = backend;
    this.#onOperation = onOperation;
  }

  get isShared(): boolean {
    return this.#backend.isShared;
  }

  get isWritable(): boolean {
    return this.#backend.isWritable ?? true;
  }

  getMany(keys: readonly string[]): Promise<readonly unknown[]> {
    return this.#timed("read", this.#backend.getMany(keys));
  }

  set(key: string, value: object, ttlMs: number, entries?: readonly ListEntry[]): Promise<void> {
    return this.#timed("write", this.#backend.set(key, value, ttlMs, entries));
  }

  claim(
    key: string,
    value: object,
    ttlMs: number,
    entries?: readonly ListEntry[],
    spent?: Spent,
  ): Promise<unknown> {
    return this.#timed("claim", this.#backend.claim(key, value, ttlMs, entries, spent));
  }

  list(list: string, after: string, limit: number): Promise<readonly string[]> {
    return this.#timed("list", this.#backend.list(list, after, limit));
  }

  listBack(list: string, before: string, limit: number): Promise<readonly string[]> {
    return this.#timed("list", this.#backend.listBack(list, before, limit));
  }

  unlist(list: string, member: string): Promise<void> {
    return this.#timed("list", this.#backend.unlist(list, member));
  }

  publish(nudge: Nudge): void {
    this.#backend.publish(nudge);
  }

  watch(listener: (nudge: Nudge) => void): () => void {
    return this.#backend.watch(listener);
  }

  close(): Promise<void> {
    return this.#backend.close();
  }

  async #timed<T>(operation: StoreOperation, result: Promise<T>): Promise<T> {
    const begunAt = performance.now();
    try {
      const value = await result;
      this.#onOperation(operation, performance.now() - begunAt, false);
      return value;
    } catch (error) {
      this.#onOperation(operation, performance.now() - begunAt, isAway(error));
      throw error;
    }
  }
}
