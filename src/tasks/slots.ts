import PQueue from "p-queue";
import { rpc } from "../protocol/errors.ts";

/** How many calls of one caller may run on a route at the same time, and how many may wait for that. */
export interface SlotLimits {
  readonly maxConcurrent: number;
  readonly maxQueued: number;
}

/** Gives every caller of a route the same number of places for its calls, first come, first served. */
export class Slots {
  readonly #limits: SlotLimits;
  readonly #queues = new Map<string, PQueue>();

  constructor(limits: SlotLimits) {
    this.#limits = limits;
  }

  /** Whether another call would have to wait. */
  isFull(caller: string): boolean {
    return (this.#queues.get(caller)?.pending ?? 0) >= this.#limits.maxConcurrent;
  }

  /**
   * Runs `work` when there is a place for it. `signal` takes it out of the queue; it does not end what has begun.
   * @throws -32603 at once when too many are waiting; the reason of `signal`
   */
  async run(caller: string, work: () => Promise<void>, signal?: AbortSignal): Promise<void> {
    const { maxConcurrent, maxQueued } = this.#limits;
    const queue = this.#queues.get(caller) ?? new PQueue({ concurrency: maxConcurrent });
    if (this.isFull(caller) && queue.size >= maxQueued) {
      throw rpc.internal(
        `Too many calls: ${queue.pending} are running and ${queue.size} are waiting (maxQueued)`,
      );
    }
    this.#queues.set(caller, queue);
    try {
      await (signal === undefined ? queue.add(work) : addAbortable(queue, work, signal));
    } finally {
      // What has just finished still counts as pending here.
      if (queue.size === 0 && queue.pending <= 1) queueMicrotask(() => this.#forgetIdle(caller, queue));
    }
  }

  #forgetIdle(caller: string, queue: PQueue): void {
    if (queue.size === 0 && queue.pending === 0 && this.#queues.get(caller) === queue)
      this.#queues.delete(caller);
  }
}

/** The queue's own signal would also give the place away of what is running. */
async function addAbortable(queue: PQueue, work: () => Promise<void>, signal: AbortSignal): Promise<void> {
  const waiting = new AbortController();
  const leave = () => waiting.abort(signal.reason);
  signal.addEventListener("abort", leave, { once: true });
  const begin = () => {
    signal.removeEventListener("abort", leave);
    return work();
  };
  await queue.add(begin, { signal: waiting.signal });
}
