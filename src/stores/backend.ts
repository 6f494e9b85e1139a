import type { Nudge } from "./task-store.ts";

/**
 * What a task store needs of a key-value store. Single keys only, no transactions and no scripts, so that one process's
 * map, a directory on disk and any server that can set a key if it is absent all qualify.
 *
 * Values are plain objects that survive JSON. Every `ttlMs` is a positive integer, counted from the write; a key may outlive it,
 * never the other way round. Every method rejects with `StoreUnavailable`, also after `close`, and then nothing is known.
 */
export interface Backend {
  /** One round trip. Answers in the order of the keys; `undefined` where there is nothing. */
  getMany(keys: readonly string[]): Promise<readonly unknown[]>;
  /** Resolves once the value is durable. For keys with one writer. */
  set(key: string, value: object, ttlMs: number): Promise<void>;
  /**
   * Sets the key if it is absent and resolves, once that is durable, with what stands: `value` or what was there before.
   * Repeating it is harmless, so a lost reply is too.
   */
  claim(key: string, value: object, ttlMs: number): Promise<unknown>;
  /** Tells every watcher, in this process and in any other on the same store. Best effort. */
  publish(nudge: Nudge): void;
  /** Returns how to stop. */
  watch(listener: (nudge: Nudge) => void): () => void;
  /** Lets what has begun finish, then refuses everything. */
  close(): Promise<void>;
}
