/** One change of one key; a `text` of `undefined` removes the key. */
export interface Write {
  readonly key: string;
  readonly text: string | undefined;
}

/**
 * Gathers the writes that arrive while others are on their way to the disk, and commits them together: the disk syncs once for all of
 * them, and one thread of Node's small pool waits for it, not all four.
 *
 * Commits writes in the order of the calls, and those of one call all or none.
 */
export class GroupCommit {
  readonly #commit: (writes: readonly Write[]) => Promise<void>;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;

  /** `commit` must make all writes durable or none. */
  constructor(commit: (writes: readonly Write[]) => Promise<void>) {
    this.#commit = commit;
  }

  /**
   * Resolves once these writes are durable and all earlier ones are settled. Rejects with the reason of `commit`. An empty array waits
   * for the earlier writes.
   */
  write(writes: readonly Write[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ writes, resolve, reject });
      this.#running ??= this.#drain();
    });
  }

  async #drain(): Promise<void> {
    // The first group, too, takes all calls of one turn of the event loop.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const group = this.#nextGroup();
      try {
        await this.#commit(group.flatMap(({ writes }) => writes));
        for (const { resolve } of group) resolve();
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#running = undefined;
  }

  #nextGroup(): Waiting[] {
    let characters = 0;
    const end = this.#waiting.findIndex(({ writes }, index) => {
      for (const { text } of writes) characters += text?.length ?? 0;
      return index > 0 && (index >= MAX_CALLS || characters > MAX_CHARACTERS);
    });
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : end);
  }
}

interface Waiting {
  readonly writes: readonly Write[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Bounds of one group, so that a large one does not delay the rest or double its memory. One call always fits. */
const MAX_CALLS = 1_000;
const MAX_CHARACTERS = 8_000_000;
