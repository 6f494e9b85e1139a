import { setTimeout as sleep } from "node:timers/promises";
import { isAway, StoreUnavailable } from "../store/task-store.ts";

/** So many are under way at a time: enough to keep a store busy, and few enough that each has its answer long before its deadline. */
export const AT_A_TIME = 256;
/** All that try again together do so at most this often in a millisecond. */
const RETRIES_A_MS = 2;

interface Waiter {
  readonly go: () => void;
  readonly giveUp: (error: unknown) => void;
}

/**
 * The writes that tasks of this process must get through to the store, however often they try. When 15,000 calls end together and each
 * writes at once, all are late for their deadlines and try again, and with that alone the process is busy from then on: so few are tried at a
 * time, the others wait in the order in which they came, and many that try again do so less often.
 */
export class Tries {
  readonly #waiting = new Set<Waiter>();
  #underWay = 0;
  #retrying = 0;
  /** Why the last try failed, if the store was away. */
  #failure: unknown;

  /**
   * Runs a try when its turn comes. While tries fail because the store is away, it rejects in place of waiting, as the try would, so that whoever
   * waits counts what it keeps meanwhile.
   * @throws StoreUnavailable when the signal aborts before its turn has come
   */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    if (this.#underWay >= AT_A_TIME) await this.#turn(signal);
    else this.#underWay += 1;
    try {
      const done = await work();
      this.#failure = undefined;
      this.#next();
      return done;
    } catch (error) {
      if (isAway(error)) this.#fail(error);
      // Not at once: tries that fail one after the other would keep the process from hearing that the store is back.
      setImmediate(() => this.#next());
      throw error;
    }
  }

  /** How long to wait before another try, for one that would wait for `delayMs` if it were alone. */
  spread(delayMs: number): number {
    return Math.max(delayMs, this.#retrying / RETRIES_A_MS);
  }

  /** Counts one that is to try again. Returns a function that ends that. */
  retrying(): () => void {
    this.#retrying += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#retrying -= 1;
    };
  }

  /** Waits before another try, until the signal aborts at the latest. */
  async pause(delayMs: number, signal: AbortSignal): Promise<void> {
    const over = this.retrying();
    await sleep(this.spread(delayMs), undefined, { signal }).catch(() => {});
    over();
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      const leave = () => {
        this.#waiting.delete(waiter);
        reject(new StoreUnavailable("the gateway is stopping"));
      };
      const settled = (settle: () => void) => {
        signal.removeEventListener("abort", leave);
        this.#waiting.delete(waiter);
        settle();
      };
      const waiter: Waiter = {
        go: () => settled(resolve),
        giveUp: (error) => settled(() => reject(error)),
      };
      if (signal.aborted) return leave();
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.add(waiter);
    });
  }

  /** Hands the place of a try that has ended to the one that has waited longest. */
  #next(): void {
    const [first] = this.#waiting;
    if (first === undefined) this.#underWay -= 1;
    else first.go();
  }

  #fail(error: unknown): void {
    this.#failure = error;
    for (const waiter of [...this.#waiting]) waiter.giveUp(error);
  }
}
