import { onTestFinished, vi } from "vitest";
import type { EventsConfig } from "../../src/config/config.ts";
import { createLog } from "../../src/log/log.ts";
import type { NewTask, TaskOwner } from "../../src/store/task-store.ts";
import type { TriedOutcome } from "../../src/webhooks/courier.ts";
import { ClientSubscriptions } from "../../src/webhooks/subscriptions/client-subscriptions.ts";
import { newTask } from "../store/samples.ts";
import { SharedMemory } from "../store/shared-backend.ts";
import { EVENTS } from "./callback.ts";

export const ADA: TaskOwner = { route: "reports", caller: "user:ada" };

/** Replicas on one store that grant subscriptions, by a clock that the test moves. */
export async function subscribed(events: Partial<EventsConfig> = {}) {
  const memory = new SharedMemory();
  onTestFinished(() => memory.close());
  let now = Date.now();
  const clock = () => now;
  const tried: TriedOutcome[] = [];
  const all: ClientSubscriptions[] = [];
  const wakes = new Set<() => void>();
  const replica = async () => {
    const { store, access } = await memory.replica({ clock, hasSubscriptions: true });
    const telling = new ClientSubscriptions({
      config: { ...EVENTS, ...events },
      store,
      secret: await store.secret(),
      clock,
      log: createLog("silent"),
      version: "0.0.0",
      onTried: (outcome) => void tried.push(outcome),
    });
    all.push(telling);
    // A nudge that is missed makes whoever is there look what is due.
    wakes.add(() => memory.publish({ kind: "missed" }));
    onTestFinished(() => telling.close(Promise.resolve()));
    const subscribe = (params: object, owner = ADA) =>
      telling.subscribe(owner, { ...params }, async (id) => store.read(id, owner));
    /** A task from its creation to its end, of which only the store knows. */
    const endTask = async (more: Partial<NewTask> = {}) => {
      const task = await store.create(newTask({ ...ADA, isListed: true, ...more }));
      await store.end(task, { kind: "completed", endedAt: clock(), result: "{}" as never });
      return task.id;
    };
    return { store, access, telling, subscribe, endTask };
  };
  return {
    memory,
    replica,
    tried,
    clock,
    pass: (ms: number) => {
      now += ms;
      for (const wake of wakes) wake();
    },
    untilTried: (count: number) =>
      vi.waitUntil(() => tried.length >= count, { timeout: 60_000, interval: 5 }),
  };
}
