/** What can be seen of a gateway that is about to stop, and clients that go on asking it. */

import { Conditions } from "./conditions.ts";
import type { Answer, Json, ModernClient } from "./modern-client.ts";

/** What a gateway refuses that is about to stop. */
export const STOPPING = {
  status: 503,
  headers: { "retry-after": "1", connection: "close" },
  message: { error: { code: -32603, data: { retryable: true } } },
};

/** Settles when the gateway is about to stop: from then on every answer is the last on its connection. */
export async function draining(user: ModernClient): Promise<void> {
  for (const deadline = performance.now() + 60_000; performance.now() < deadline; ) {
    const { headers } = await user.send("tasks/get", { taskId: "none" });
    if (headers.connection === "close") return;
  }
  throw new Error("the gateway goes on as if nothing had been said");
}

/** Asks for a task again and again, without a pause, until nobody answers. */
export class Poller {
  readonly answers: Answer[] = [];
  /** Why the last poll had no answer. */
  readonly over: Promise<NodeJS.ErrnoException>;
  readonly #conditions = new Conditions(() => `${this.answers.length} polls were answered`);

  constructor(user: ModernClient, taskId: string) {
    this.over = this.#poll(user, taskId);
  }

  /** Settles when so many more polls have been answered. */
  async more(count: number): Promise<void> {
    const enough = this.answers.length + count;
    await this.#conditions.found(
      () => (this.answers.length >= enough ? true : undefined),
      `${count} more polls to be answered`,
    );
  }

  /** What was told, without repetitions; an answer that is no task is itself. */
  get told(): Json[] {
    const all = this.answers.map(({ message }) => message?.result?.status ?? message);
    return all.filter((told, at) => told !== all[at - 1]);
  }

  async #poll(user: ModernClient, taskId: string): Promise<NodeJS.ErrnoException> {
    for (;;) {
      try {
        this.answers.push(await user.send("tasks/get", { taskId }));
        this.#conditions.check();
      } catch (error) {
        return error as NodeJS.ErrnoException;
      }
    }
  }
}
