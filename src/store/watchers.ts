import type { Nudge } from "./task-store.ts";

/** The listeners for nudges in this process. */
export class Watchers {
  readonly #listeners = new Set<(nudge: Nudge) => void>();

  /** Returns a function that removes the listener. */
  add(listener: (nudge: Nudge) => void): () => void {
    // One function per call, so that a listener that was added twice is removed once at a time.
    const registered = (nudge: Nudge) => listener(nudge);
    this.#listeners.add(registered);
    return () => this.#listeners.delete(registered);
  }

  tell(nudge: Nudge): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(nudge);
      } catch (error) {
        // A fault of one listener must not harm the other listeners, nor fail the write, which is already durable.
        process.emitWarning(error instanceof Error ? error : String(error));
      }
    }
  }

  clear(): void {
    this.#listeners.clear();
  }
}
