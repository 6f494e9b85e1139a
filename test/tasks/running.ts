import { expect, onTestFinished, vi } from "vitest";
import type { Call } from "../../src/calls/call.ts";
import { Slots } from "../../src/calls/slots.ts";
import { createLog } from "../../src/log/log.ts";
import type { StoredCall, TaskId } from "../../src/store/task-store.ts";
import { TaskEngine, type TaskEngineOptions } from "../../src/tasks/engine.ts";
import { newTask } from "../store/samples.ts";
import { SharedMemory } from "../store/shared-backend.ts";
import { half } from "../support/call-halves.ts";
import type { Exchange } from "../support/scripted-exchange.ts";
import { startScriptedServer } from "../support/scripted-server.ts";

export const CLAIMANT = { route: "r", caller: "ada" };
const TASK = newTask(CLAIMANT);
const RECIPE: StoredCall = { method: "tools/call", params: { name: "job" }, headers: {} };
const MAX_BYTES = 10_000;

/** A task whose call runs, and another gateway that looks at the same store. */
export async function running(
  serve: (call: Exchange) => void | Promise<void>,
  limits = { maxConcurrent: 4 },
  settings: Partial<TaskEngineOptions> = {},
) {
  const server = await startScriptedServer({ "tools/call": serve });
  onTestFinished(server.close);
  const memory = new SharedMemory();
  onTestFinished(() => memory.close());
  const [here, there] = [await memory.replica(), await memory.replica()];
  const slots = new Slots({ maxQueued: 10, ...limits });
  const { call } = half(server.url, { slots });
  const engine = new TaskEngine({ store: here.store, log: createLog("silent"), ...settings });
  onTestFinished(() => engine.close());
  return {
    server,
    slots,
    memory,
    engine,
    here: here.store,
    elsewhere: there.store,
    access: here.access,
    begin: async (settings: Parameters<typeof call>[0] = {}) => {
      const begun: Call = call({ storedCall: RECIPE, ...settings }).call.start();
      const { id } = await engine.createTask(begun, TASK, MAX_BYTES);
      return { id, call: begun };
    },
    /** What others see of the task, once it is so. */
    seen: (
      id: TaskId,
      is: (task: NonNullable<Awaited<ReturnType<typeof there.store.read>>>["task"]) => unknown,
    ) =>
      vi.waitFor(
        async () => {
          const view = await there.store.read(id);
          expect(view && is(view.task)).toBeTruthy();
          return view?.task;
        },
        { timeout: 60_000, interval: 20 },
      ),
  };
}
