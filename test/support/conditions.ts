/** For what never becomes true; a busy machine takes its time for everything else. */
const PATIENCE_MS = 60_000;

/** Waits for things to become true without polling: whoever changes something calls `check`. */
export class Conditions {
  readonly #waiting = new Set<() => void>();
  readonly #describe: () => string;
  readonly #patienceMs: number;

  /** `describe` says what the world looks like, for the message of a wait that was in vain. */
  constructor(describe: () => string, patienceMs = PATIENCE_MS) {
    this.#describe = describe;
    this.#patienceMs = patienceMs;
  }

  check(): void {
    for (const look of this.#waiting) look();
  }

  /** What `find` finds, as soon as it finds something. After its patience (a minute) it rejects, naming what it waited for. */
  found<T>(find: () => T | undefined, what: string): Promise<T> {
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
      };
      const look = (): void => {
        const thing = find();
        if (thing === undefined) return;
        stop();
        resolve(thing);
      };
      const timer = setTimeout(() => {
        stop();
        reject(new Error(`waited ${this.#patienceMs / 1000} s in vain for ${what}; ${this.#describe()}`));
      }, this.#patienceMs);
      this.#waiting.add(look);
      look();
    });
  }
}
