import type { UpstreamFailure } from "./failure.ts";

/** Somebody in a line. */
export interface Waiting<Who, Given> {
  readonly who: Who;
  admit(given: Given): void;
  refuse(failure: UpstreamFailure): void;
}

export interface Patience {
  /** How long one waits, if it is not for as long as it takes. */
  readonly patienceMs?: number | undefined;
  /** Aborted, with the failure that says why, when one does not want it any more. */
  readonly signal?: AbortSignal | undefined;
}

/** What is promised, unless one loses patience before. @throws UpstreamFailure, made by `late` when it took too long */
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

/** Those who wait for something, in the order they came. Whoever loses patience is gone at once, however long the line. */
export class WaitingLine<Who, Given> {
  readonly #waiting = new Set<Waiting<Who, Given>>();

  get size(): number {
    return this.#waiting.size;
  }

  [Symbol.iterator](): Iterator<Waiting<Who, Given>> {
    return this.#waiting.values();
  }

  /**
   * Settles when somebody admits or refuses them, or they lose patience.
   * @throws UpstreamFailure, made by `late` when it took too long
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
      const lose = () => waiting.refuse(signal?.reason);
      const timer =
        patienceMs === undefined ? undefined : setTimeout(() => waiting.refuse(late()), patienceMs);
      signal?.addEventListener("abort", lose, { once: true });
      this.#waiting.add(waiting);
    });
  }
}
