import { rpc } from "../protocol/errors.ts";

/** How many calls of one caller may run on a route at the same time, and how many may wait for that. */
export interface SlotLimits {
  readonly maxConcurrent: number;
  readonly maxQueued: number;
}

interface Line {
  running: number;
  /** In the order they came; whoever leaves is gone at once, however long the queue. */
  readonly waiting: Set<() => void>;
}

/** Gives every caller of a route the same number of places for its calls, first come, first served. */
export class Slots {
  readonly #limits: SlotLimits;
  readonly #lines = new Map<string, Line>();

  constructor(limits: SlotLimits) {
    this.#limits = limits;
  }

  /** Whether the next call of this caller has to wait its turn. */
  isFull(caller: string): boolean {
    return (this.#lines.get(caller)?.running ?? 0) >= this.#limits.maxConcurrent;
  }

  /** Whether another call of this caller would be refused. */
  isCrowded(caller: string): boolean {
    return this.isFull(caller) && (this.#lines.get(caller)?.waiting.size ?? 0) >= this.#limits.maxQueued;
  }

  /**
   * Calls `begin` as soon as there is a place, but never before it has returned. What it returns gives the place back, or
   * leaves the queue; `begin` is not called after that. `isExpected`: it was let in before, and is not refused.
   * @throws -32603 when too many are waiting
   */
  enter(caller: string, begin: () => void, isExpected = false): () => void {
    const line = this.#lines.get(caller) ?? { running: 0, waiting: new Set() };
    const isFree = !this.isFull(caller);
    if (!isExpected && this.isCrowded(caller)) throw rpc.tooManyCalls(line.running, line.waiting.size);
    this.#lines.set(caller, line);
    let place: "waiting" | "taken" | "left" = "waiting";
    const take = () => {
      place = "taken";
      line.running += 1;
      queueMicrotask(() => place === "taken" && begin());
    };
    if (isFree) take();
    else line.waiting.add(take);
    return () => {
      if (place === "left") return;
      if (place === "taken") line.running -= 1;
      line.waiting.delete(take);
      place = "left";
      this.#admit(caller, line);
    };
  }

  #admit(caller: string, line: Line): void {
    for (const take of line.waiting) {
      if (line.running >= this.#limits.maxConcurrent) return;
      line.waiting.delete(take);
      take();
    }
    if (line.running === 0) this.#lines.delete(caller);
  }
}
