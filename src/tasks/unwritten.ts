import { once } from "../ops/once.ts";
import type { TaskRecord } from "../stores/task-store.ts";

export interface UnwrittenOptions {
  readonly maxBytes: number;
  /** Counts it with all the rest that is held in memory. Returns how to say that it has gone. Absent: it is counted nowhere else. */
  readonly onWaiting?: (task: TaskRecord, bytes: number) => (() => void) | undefined;
}

/** Room for what has ended and could not be written down yet, in bytes, for all tasks of a process. */
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

  /** Takes room for one outcome. Returns how to give it back, of which only the first time counts; `undefined`: there is not so much. */
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
