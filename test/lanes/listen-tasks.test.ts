/** What a subscription tells of tasks, whichever gateway runs their calls. */

import { expect, onTestFinished, test, vi } from "vitest";
import type { Exchange } from "../../src/lanes/lane.ts";
import { listen } from "../../src/lanes/listen.ts";
import { createLog } from "../../src/ops/log.ts";
import { TASKS_EXTENSION } from "../../src/protocol/modern.ts";
import { Quotas } from "../../src/quotas/quotas.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import { completed, newTask } from "../stores/samples.ts";
import { SharedMemory } from "../stores/shared-backend.ts";

test("every state is told once, though it is looked at again and again", async () => {
  const memory = new SharedMemory();
  onTestFinished(() => memory.close());
  const [{ store: here }, { store: there }] = [await memory.replica(), await memory.replica()];
  const engine = new TaskEngine({ store: there, log: createLog("silent") });
  onTestFinished(() => engine.close());
  const task = await here.create(newTask({ route: "r", caller: "c", statusMessage: "begun" }));
  const told: string[] = [];
  const read = vi.spyOn(there, "read");
  const leaving = new AbortController();
  const listening = listen({
    id: 1,
    caller: { key: "c", headers: {} },
    envelope: { capabilities: { extensions: { [TASKS_EXTENSION]: {} } } },
    params: { notifications: { taskIds: [task.id] } },
    route: {
      config: { name: "r" },
      engine,
      quotas: new Quotas({ total: {}, perRoute: {}, perCaller: {} }),
      upstream: {},
      pace: { turn: () => undefined, told: () => {}, turns: () => undefined },
      drain: { intervalMs: (usual: number) => usual, told: () => {} },
      stopping: new AbortController().signal,
    },
    reply: {
      gone: leaving.signal,
      open: () => {},
      keepAlive: () => {},
      drained: async () => {},
      result: () => {},
      notify: (message: unknown) => {
        if (typeof message === "string") told.push(JSON.parse(message).params.statusMessage ?? "ended");
        return true;
      },
    },
  } as unknown as Exchange);
  await vi.waitUntil(() => told.length === 1);

  for (let look = 0; look < 3; look += 1) {
    const looks = read.mock.calls.length;
    memory.publish({ kind: "missed" });
    await vi.waitUntil(() => read.mock.calls.length > looks);
  }
  const changed = await here.update(task, { statusMessage: "halfway" });
  await vi.waitUntil(() => told.includes("halfway"));
  await here.end(changed, completed({ content: [] }));
  await vi.waitUntil(() => told.includes("ended"));
  leaving.abort();
  await listening;
  expect(told).toEqual(["begun", "halfway", "ended"]);
});
