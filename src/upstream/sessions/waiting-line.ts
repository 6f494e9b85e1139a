import type { Signal } from "../../lib/signal.ts";
import { toFailure, type UpstreamFailure } from "../failure.ts";

/** A waiter in a line. */
export interface Waiting<Who, Given> {
  readonly who: Who;
  admit(given: Given): void;
  refuse(failure: UpstreamFailure): void;
}

export interface Patience {
  /** How long to wait; without limit unless given. */
  readonly patienceMs?: number | undefined;
  /** Aborted, with the failure that says why, when the waiter gives up. */
  readonly signal?: Signal | undefined;
}

/** Awaits a promise with patience. @throws UpstreamFailure, made by `late`, when it takes too long */
export function patiently<T>(
  promised: Promise<T>,
  patience: Patience,
  late: () => UpstreamFailure,
): Promise<T> {
  const line = new WaitingLine<void, T>();
  const waited = line.join(undefined, patience, late);
  for (const { admit, refuse } of line) promised.then(admit, refuse);
  return waited;
}

/** The waiters for something, in the order they came. One that loses patience leaves at once, however long the line. */
export class WaitingLine<Who, Given> {
  readonly #waiting = new Set<Waiting<Who, Given>>();

  get size(): number {
    return this.#waiting.size;
  }

  [Symbol.iterator](): Iterator<Waiting<Who, Given>> {
    return this.#waiting.values();
  }

  /**
   * Joins the line. Settles when the waiter is admitted or refused, or loses patience.
   * @throws UpstreamFailure, made by `late`, when it takes too long
   */
  join(who: Who, { patienceMs, signal }: Patience, late: () => UpstreamFailure): Promise<Given> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", lose);
        this.#waiting.delete(waiting);
      };
      const waiting: Waiting<Who, Given> = {
        who,
        admit: (given) => {
          leave();
          resolve(given);
        },
        refuse: (failure) => {
          leave();
          reject(failure);
        },
      };
      const lose = () => waiting.refuse(toFailure(signal?.reason));
      const timer =
        patienceMs === undefined ? undefined : setTimeout(() => waiting.refuse(late()), patienceMs);
      signal?.addEventListener("abort", lose, { once: true });
      this.#waiting.add(waiting);
    });
  }
}
