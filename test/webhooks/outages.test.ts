/** What becomes of order, and of what is kept, while receivers do not take events. */

import { expect, test } from "vitest";
import type { Outcome } from "../../src/store/task-store.ts";
import { newTask } from "../store/samples.ts";
import { startReceiver } from "./receiver.ts";
import { told } from "./replicas.ts";

test("what happens to a task within a millisecond is told in order", async () => {
  const receiver = await startReceiver();
  const { replica, clock } = await told([receiver.webhook({ events: ["created", "progress", "completed"] })]);
  const { telling, store } = await replica();
  const task = await store.create(newTask());
  const moved = await store.update(task, { statusMessage: "half of it" });
  await store.end(moved, { kind: "completed", endedAt: clock(), result: "{}" } as Outcome);
  telling.begin();
  await receiver.until(() => receiver.received.length === 3);
  expect(receiver.types()).toEqual(["task.created", "task.progress", "task.completed"]);
});
