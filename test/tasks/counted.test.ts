/** What the tasks of a process take of their callers' shares, apart from what requests take. */

import { expect, onTestFinished, test } from "vitest";
import type { Call } from "../../src/calls/call.ts";
import { Quotas } from "../../src/limits/quotas.ts";
import { createLog } from "../../src/log/log.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import { newTask } from "../store/samples.ts";
import { SharedMemory } from "../store/shared-backend.ts";
import { heldCall } from "../support/idle-call.ts";

const TASK = newTask({ route: "r", caller: "c", isListed: true });
const RECIPE = { method: "tools/call", params: { name: "t" }, headers: {} };

test("a task that is taken over has a place while it runs, and its end is stored, both in its caller's name", async () => {
  const memory = new SharedMemory();
  onTestFinished(() => memory.close());
  const quotas = new Quotas({ total: {}, perCaller: { tasks: 1, storedBytes: 20 } });
  const [dead, alive] = [await memory.replica(), await memory.replica()];
  const calls: Call[] = [];
  const revive = () => {
    const call = heldCall({ storedCall: RECIPE });
    calls.push(call);
    return { call, maxResultBytes: 1_000 };
  };
  const engine = new TaskEngine({ store: alive.store, log: createLog("silent"), revive, quotas });
  onTestFinished(() => engine.close());
  const { id } = await dead.store.create({ ...TASK, isUnsent: true, storedCall: RECIPE });
  await dead.store.leave();
  await engine.begin();
  const [call] = calls;
  const owner = { route: "r", caller: "c", isIdentified: true };
  expect(() => quotas.take("tasks", owner)).toThrow("limits.perCaller.tasks");
  quotas.checkStored(owner);

  call?.cancel("not needed");
  await engine.settled();
  expect(quotas.taken("tasks")).toBe(0);
  expect(() => quotas.checkStored(owner)).toThrow("one caller's share of limits.total.storedBytes");
  expect((await engine.get(id, owner)).outcome).toMatchObject({ kind: "cancelled" });
});
