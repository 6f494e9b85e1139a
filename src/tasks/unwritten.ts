import { once } from "../lib/once.ts";
import type { TaskRecord } from "../store/task-store.ts";

export interface UnwrittenOptions {
  readonly maxBytes: number;
  /** Counts these bytes with everything else in memory. Returns a function that ends that. Absent: nothing else counts them. */
  readonly onWaiting?: (task: TaskRecord, bytes: number) => (() => void) | undefined;
}

/** Room for outcomes that the store has not accepted yet, in bytes, for all tasks of a process. */
export class Unwritten {
  readonly #options: UnwrittenOptions;
  #bytes = 0;

  constructor(options: UnwrittenOptions) {
    this.#options = options;
  }

  /** How much is kept now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes room for one outcome. Returns a function that gives it back, once; `undefined`: there is not enough. */
  keep(bytes: number, task?: TaskRecord): (() => void) | undefined {
    const { maxBytes, onWaiting } = this.#options;
    if (this.#bytes + bytes > maxBytes) return undefined;
    this.#bytes += bytes;
    const forget = task && onWaiting?.(task, bytes);
    return once(() => {
      this.#bytes -= bytes;
      forget?.();
    });
  }
}
