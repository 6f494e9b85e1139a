import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import { taskName } from "../log/task-name.ts";
import { throttled } from "../log/throttled.ts";
import { type Idempotency, isAway, type Outcome, type TaskId, type TaskStore } from "../store/task-store.ts";

export interface WithdrawalsOptions {
  readonly store: TaskStore;
  readonly log: Logger;
  readonly clock: () => number;
}

const MAX_WITHDRAWALS = 10_000;
const RETRY_MS = 400;
const REASON = "The call was refused: the task store had not said that there is a task";

/**
 * Tasks whose creation the gateway refused to their clients, and which the store may have all the same. Their records say that
 * the call is unsent, so the gateway ends them as soon as the store answers, before another replica sends what was refused.
 */
export class Withdrawals {
  readonly #options: WithdrawalsOptions;
  /** With the creation that was refused, where others may create a task with the same id. */
  readonly #refused = new Map<TaskId, Idempotency | undefined>();
  readonly #closed = new AbortController();
  #working: Promise<void> | undefined;

  constructor(options: WithdrawalsOptions) {
    this.#options = options;
  }

  get isFull(): boolean {
    return this.#refused.size >= MAX_WITHDRAWALS;
  }

  has(id: TaskId): boolean {
    return this.#refused.has(id);
  }

  /** Ends the task, if it exists. */
  add(id: TaskId, creation?: Idempotency): void {
    this.#refused.set(id, creation);
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  /** For a client that asks again for what was refused: does not end the task, and returns the creation to go on with. */
  takeBack(id: TaskId, fingerprint: string): Idempotency | undefined {
    const creation = this.#refused.get(id);
    if (creation?.fingerprint !== fingerprint) return undefined;
    this.#refused.delete(id);
    return creation;
  }

  /** Tries once more, as long as the store answers. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#working;
    await this.#walk();
  }

  async #work(): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted && !(await this.#walk()))
      await sleep(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
  }

  /** Returns whether the store has answered for all of them. */
  async #walk(): Promise<boolean> {
    for (const [id, creation] of this.#refused) {
      try {
        await this.#withdraw(id, creation);
      } catch (err) {
        if (isAway(err)) return false;
        throttled(this.#options.log).say(
          "warn",
          { err, task: taskName(id) },
          "could not end a refused task in the store",
        );
      }
      this.#refused.delete(id);
    }
    return true;
  }

  async #withdraw(id: TaskId, creation: Idempotency | undefined): Promise<void> {
    const { store, clock } = this.#options;
    const view = await store.read(id);
    if (view === undefined || view.outcome !== undefined) return;
    // Another request with the same idempotency key may have been luckier, or this one by now.
    if (creation !== undefined && view.task.idempotency?.creation !== creation.creation) return;
    if (!this.#refused.has(id)) return;
    const outcome: Outcome = { kind: "cancelled", endedAt: clock(), reason: REASON };
    await store.end(view.task, outcome);
  }
}
