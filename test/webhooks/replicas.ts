import { onTestFinished, vi } from "vitest";
import type { WebhookConfig } from "../../src/config/config.ts";
import { createLog } from "../../src/log/log.ts";
import type { NewTask, Outcome } from "../../src/store/task-store.ts";
import type { TriedOutcome } from "../../src/webhooks/courier.ts";
import { subscribersOf, Webhooks } from "../../src/webhooks/webhooks.ts";
import { newTask } from "../store/samples.ts";
import { SharedMemory } from "../store/shared-backend.ts";

/** Replicas on one store that tell these receivers, by a clock that the test moves. */
export async function told(webhooks: readonly WebhookConfig[]) {
  const memory = new SharedMemory();
  onTestFinished(() => memory.close());
  let now = Date.now();
  const clock = () => now;
  const tried: TriedOutcome[] = [];
  const all: Webhooks[] = [];
  /** Another gateway; its clock may be wrong. */
  const replica = async ({ aheadMs = 0 } = {}) => {
    const clock = () => now + aheadMs;
    const { store, access } = await memory.replica({ clock, subscribers: subscribersOf(webhooks) });
    const telling = new Webhooks({
      webhooks,
      store,
      clock,
      log: createLog("silent"),
      nameOf: (caller) => caller,
      version: "0.0.0",
      onTried: (_, outcome) => void tried.push(outcome),
    });
    all.push(telling);
    onTestFinished(() => telling.close(Promise.resolve()));
    /** A task from its creation to its end, of which only the store knows. */
    const endTask = async (more: Partial<NewTask> = {}, id?: string) => {
      const task = await store.create(newTask(more), id);
      await store.end(task, { kind: "completed", endedAt: clock(), result: "{}" } as Outcome);
      return task.id;
    };
    return { store, access, telling, endTask };
  };
  return {
    memory,
    replica,
    tried,
    clock,
    /** Lets time pass, and whoever is there look what is due. */
    pass: (ms: number) => {
      now += ms;
      for (const telling of all) telling.wake();
    },
    untilTried: (count: number) =>
      vi.waitUntil(() => tried.length >= count, { timeout: 60_000, interval: 5 }),
  };
}
