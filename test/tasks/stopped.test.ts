/** How the tasks end whose calls still run when the gateway stops. */

import { expect, onTestFinished, test, vi } from "vitest";
import { createLog } from "../../src/log/log.ts";
import { StoreUnavailable } from "../../src/store/task-store.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import { newTask } from "../store/samples.ts";
import { SharedMemory } from "../store/shared-backend.ts";
import { heldCall } from "../support/idle-call.ts";

test.each([
  ["takes it", 0],
  ["takes only the last try", 1],
])("a call that nobody can go on with is lost, and not cancelled, when the store %s", async (_, refusals) => {
  const memory = new SharedMemory();
  onTestFinished(() => memory.close());
  const [here, there] = [await memory.replica(), await memory.replica()];
  const engine = new TaskEngine({ store: here.store, log: createLog("silent") });
  const { id } = await engine.createTask(heldCall(), newTask({ route: "r", caller: "c" }), 1_000);
  const end = vi.spyOn(here.store, "end");
  for (let n = 0; n < refusals; n += 1) end.mockRejectedValueOnce(new StoreUnavailable("away"));

  await engine.close();

  expect(end).toHaveBeenCalledTimes(refusals + 1);
  expect((await there.store.read(id))?.outcome?.kind).toBe("lost");
});
