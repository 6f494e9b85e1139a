import { rpc } from "../protocol/errors.ts";

/** How many calls one caller may run on a route at the same time, and how many may wait for a slot. */
export interface SlotLimits {
  readonly maxConcurrent: number;
  readonly maxQueued: number;
}

interface Line {
  running: number;
  /** In the order of arrival; a set, so that leaving takes no longer in a long queue. */
  readonly waiting: Set<() => void>;
}

/** Gives every caller of a route the same number of slots for its calls, first come, first served. */
export class Slots {
  /** Read with each question: they may change. */
  readonly #limits: SlotLimits;
  readonly #lines = new Map<string, Line>();

  constructor(limits: SlotLimits) {
    this.#limits = limits;
  }

  /** Whether no call runs or waits. */
  get isIdle(): boolean {
    return this.#lines.size === 0;
  }

  /** Whether the caller's next call has to wait. */
  isFull(caller: string): boolean {
    return (this.#lines.get(caller)?.running ?? 0) >= this.#limits.maxConcurrent;
  }

  /** Whether the caller's next call would be refused. */
  isCrowded(caller: string): boolean {
    return this.isFull(caller) && (this.#lines.get(caller)?.waiting.size ?? 0) >= this.#limits.maxQueued;
  }

  /**
   * Calls `begin` as soon as there is a slot, but never before this method has returned. The returned function gives the slot
   * back, or leaves the queue; `begin` is not called after that. `isExpected`: the call was admitted before, so it is not
   * refused.
   * @throws -32603 when too many calls wait
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
      // A promise's reaction: each `queueMicrotask` makes an async resource of its own.
      void Promise.resolve().then(() => place === "taken" && begin());
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

  /** To be called when the limits have changed: calls may begin that wait for a slot. */
  review(): void {
    for (const [caller, line] of this.#lines) this.#admit(caller, line);
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
