/** What a subscription tells of tasks, whichever gateway runs their calls. */

import { expect, onTestFinished, test, vi } from "vitest";
import { Quotas } from "../../src/limits/quotas.ts";
import { createLog } from "../../src/log/log.ts";
import { listener } from "../../src/modern/listen.ts";
import { TASKS_EXTENSION } from "../../src/protocol/modern.ts";
import { Admission } from "../../src/requests/admission.ts";
import type { Exchange, Services } from "../../src/requests/request.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import { completed, newTask } from "../store/samples.ts";
import { SharedMemory } from "../store/shared-backend.ts";

/** Somebody listens to a task that runs at one gateway, at another one. */
async function listening() {
  const memory = new SharedMemory();
  onTestFinished(() => memory.close());
  const [{ store: here }, { store: there }] = [await memory.replica(), await memory.replica()];
  const engine = new TaskEngine({ store: there, log: createLog("silent") });
  onTestFinished(() => engine.close());
  const task = await here.create(newTask({ route: "r", caller: "c", statusMessage: "begun" }));
  const told: string[] = [];
  const read = vi.spyOn(there, "read");
  const leaving = new AbortController();
  const services = {
    engine,
    quotas: new Quotas({ total: {}, perCaller: {} }),
    pollThrottle: { admit: () => undefined, told: () => {} },
    drain: { intervalMs: (usual: number) => usual, told: () => {} },
    stopping: new AbortController().signal,
  } as unknown as Services;
  const over = listener(
    services,
    new Admission(services),
  )({
    id: 1,
    caller: { key: "c", headers: {} },
    owner: { route: "r", caller: "c" },
    quotaKey: { caller: "c", isIdentified: false },
    envelope: { capabilities: { extensions: { [TASKS_EXTENSION]: {} } } },
    params: { notifications: { taskIds: [task.id] } },
    route: {
      leaving: new AbortController().signal,
      config: { name: "r" },
      upstream: {},
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
  return { memory, here, task, told, read, leave: () => leaving.abort(), over };
}

test("every state is told once, though it is looked at again and again", async () => {
  const { memory, here, task, told, read, leave, over } = await listening();
  for (let look = 0; look < 3; look += 1) {
    const looks = read.mock.calls.length;
    memory.publish({ kind: "missed" });
    await vi.waitUntil(() => read.mock.calls.length > looks);
  }
  const changed = await here.update(task, { statusMessage: "halfway" });
  await vi.waitUntil(() => told.includes("halfway"));
  await here.end(changed, completed({ content: [] }));
  await vi.waitUntil(() => told.includes("ended"));
  leave();
  await over;
  expect(told).toEqual(["begun", "halfway", "ended"]);
});

test("a subscription ends when a task is gone for long enough, and says which", async () => {
  const { memory, task, told, read, over } = await listening();
  const looks = read.mock.calls.length;
  memory.forget(`task:${task.id}`);
  memory.publish({ kind: "missed" });
  await vi.waitUntil(() => read.mock.calls.length > looks);
  const { now } = performance;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now.call(performance) + 60_000);
  onTestFinished(() => clock.mockRestore());
  await expect(over).rejects.toMatchObject({ code: -32602, data: { taskIds: [task.id] } });
  expect(told).toEqual(["begun"]);
});
