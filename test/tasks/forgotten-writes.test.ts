/** What a store forgets in a failover, or has in an older form, is not forgotten by the gateways that know better. */

import { expect, onTestFinished, test, vi } from "vitest";
import { createLog } from "../../src/log/log.ts";
import { StoreUnavailable, type TaskRecord } from "../../src/store/task-store.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import { completed, newTask } from "../store/samples.ts";
import { SharedMemory } from "../store/shared-backend.ts";
import { form, gate } from "../support/story.ts";
import { CLAIMANT, running } from "./running.ts";

test("an ending that the store forgets is written again as it was by whoever has seen it", async () => {
  const { access, begin, seen, memory, elsewhere } = await running(() => undefined);
  const { id, call } = await begin();
  const task = await seen(id, () => true);
  const outcome = completed("done");
  access.isFull = true;
  await elsewhere.end(task as NonNullable<typeof task>, outcome);
  await vi.waitUntil(() => call.end !== undefined && access.refused > 0, { timeout: 60_000 });
  // A failover undoes what came last: that the record was removed, and the end.
  await memory.write(recordKey(task), { ...task });
  memory.forget(`end:${id}`);
  expect(await elsewhere.read(id)).not.toHaveProperty("outcome");
  access.isFull = false;
  await vi.waitFor(async () => expect((await elsewhere.read(id))?.outcome).toEqual(outcome), {
    timeout: 60_000,
    interval: 20,
  });
});

test("a task that has ended is not begun anew, though its time is over by the clock", async () => {
  const { begin, seen, memory, elsewhere, server } = await running(() => undefined);
  const { id, call } = await begin();
  await server.arrival("tools/call");
  const task = await seen(id, ({ statusMessage }) => statusMessage === "running");
  const hoursAgo = { ...completed("done"), endedAt: Date.now() - 5 * 3_600_000 };
  await elsewhere.end(task as NonNullable<typeof task>, hoursAgo);
  memory.publish({ kind: "missed" });
  await vi.waitUntil(() => call.end !== undefined, { timeout: 60_000 });
  expect(call.end).toMatchObject({ kind: "cancelled" });
  expect(await elsewhere.ending(id)).toEqual(hoursAgo);
});

test("an answer is taken by the gateway that asks, though an older record arrives late", async () => {
  const asks = gate();
  const answers: unknown[] = [];
  const { engine, begin, seen, memory, elsewhere } = await running(async (call) => {
    await asks.opened;
    answers.push(await call.sse().ask("elicitation/create", form("Who?", "name")));
  });
  const { id } = await begin();
  const before = await seen(id, ({ statusMessage }) => statusMessage === "running");
  asks.open();
  await seen(id, ({ inputRequests }) => inputRequests.name);
  await memory.write(recordKey(before), { ...before });
  expect((await elsewhere.read(id))?.task.inputRequests).toEqual({});
  await engine.update(id, CLAIMANT, { name: { action: "accept", content: { name: "Ada" } } });
  await vi.waitUntil(() => answers.length === 1, { timeout: 60_000 });
  expect(JSON.stringify(answers)).toContain('"name":"Ada"');
});

test("an answer is taken to what others show already, though the gateway that asks has not heard that it was written", async () => {
  const asks = gate();
  const { engine, begin, seen, elsewhere, access } = await running(
    async (call) => {
      await asks.opened;
      await call.sse().ask("elicitation/create", form("Who?", "name"));
    },
    undefined,
    { maxWaitMs: 60_000 },
  );
  const { id } = await begin();
  await seen(id, ({ statusMessage }) => statusMessage === "running");
  access.isDeaf = true;
  asks.open();
  await seen(id, ({ inputRequests }) => inputRequests.name);
  const waiter = () => ({ caller: CLAIMANT.caller, gone: new AbortController().signal, bytes: 100 });
  const before = access.refused;
  // Memory does not know yet what was written, and so cannot say that there is no such question.
  const updating = engine.update(
    id,
    CLAIMANT,
    { name: { action: "accept", content: { name: "Ada" } } },
    waiter,
  );
  await vi.waitUntil(() => access.refused > before, { timeout: 60_000 });
  access.isDeaf = false;
  await updating;
  expect((await elsewhere.read(id))?.task.inputRequests).toEqual({});
});

test("an answer stands that comes after the end of its call, while the end is not written", async () => {
  const { engine, begin, seen, memory, elsewhere, here } = await running(async (call) => {
    await call.sse().ask("elicitation/create", form("Who?", "name"));
  });
  const { id, call } = await begin();
  const asking = await seen(id, ({ inputRequests }) => inputRequests.name);
  here.end = () => Promise.reject(new StoreUnavailable("no reply"));
  call.cancel("for the test");
  // A cluster makes a write late that was given up.
  await memory.write(recordKey(asking), { ...asking, updatedAt: Number(asking?.updatedAt) - 1 });
  await engine.update(id, CLAIMANT, { name: { action: "accept", content: { name: "Ada" } } });
  expect((await elsewhere.read(id))?.task.inputRequests).toEqual({});
});

test("what a dead gateway left is looked after once the store is back, though nobody asks", async () => {
  const memory = new SharedMemory();
  onTestFinished(() => memory.close());
  const [dead, here] = [await memory.replica(), await memory.replica()];
  const task = await dead.store.create(newTask(CLAIMANT));
  await dead.store.leave();
  const engine = new TaskEngine({ store: here.store, log: createLog("silent") });
  onTestFinished(() => engine.close());
  here.access.isCut = true;
  await engine.begin();
  here.access.isCut = false;
  await vi.waitFor(
    async () => expect(await here.store.read(task.id)).toMatchObject({ outcome: { kind: "lost" } }),
    { timeout: 60_000, interval: 50 },
  );
});

function recordKey(task: TaskRecord | undefined): string {
  return task?.turn === undefined ? `task:${task?.id}` : `task:${task.id}:${task.turn}`;
}
