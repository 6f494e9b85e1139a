import type { Nudge } from "./task-store.ts";

/** Those in this process who want to hear of changes. */
export class Watchers {
  readonly #listeners = new Set<(nudge: Nudge) => void>();

  /** Returns how to stop. */
  add(listener: (nudge: Nudge) => void): () => void {
    // Its own function for every call, so that one listener given twice is stopped once at a time.
    const registered = (nudge: Nudge) => listener(nudge);
    this.#listeners.add(registered);
    return () => this.#listeners.delete(registered);
  }

  tell(nudge: Nudge): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(nudge);
      } catch (error) {
        // Neither the other listeners nor the write that is already durable may suffer from it.
        process.emitWarning(error instanceof Error ? error : String(error));
      }
    }
  }

  clear(): void {
    this.#listeners.clear();
  }
}
