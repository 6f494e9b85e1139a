/** What an operator reads of tasks when a gateway dies, or the store is away. */

import { expect, onTestFinished, test, vi } from "vitest";
import { createLog } from "../../src/log/log.ts";
import { lines } from "../../src/observers/lines.ts";
import type { TaskRecord } from "../../src/store/task-store.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import { newTask } from "../store/samples.ts";
import { SharedMemory } from "../store/shared-backend.ts";
import { heldCall } from "../support/idle-call.ts";
import type { Json } from "../support/modern-client.ts";
import { form, gate } from "../support/story.ts";
import { CLAIMANT, running } from "./running.ts";

const RECIPE = { method: "tools/call", params: { name: "job" }, headers: {} };

function listened() {
  const lines: Json[] = [];
  const log = createLog("info", { write: (line) => void lines.push(JSON.parse(line)) });
  /** Settles when it has been said. Its level: 30 is information, 40 a warning, 50 an error. */
  const said = async (text: string | RegExp) => {
    const isSo = ({ msg }: Json) => (typeof text === "string" ? msg === text : text.test(msg));
    return (await vi.waitUntil(() => lines.find(isSo), { timeout: 60_000 })).level;
  };
  return { log, said };
}

/** A task whose server answers when `answer` is opened, and what its gateway says. */
async function answering(maxUnwrittenBytes = 1_000) {
  const { log, said } = listened();
  const answer = gate();
  const story = await running(
    async (call) => {
      await answer.opened;
      call.text("x".repeat(100));
    },
    { maxConcurrent: 1 },
    { log, maxUnwrittenBytes },
  );
  const outcome = (id: string) =>
    vi.waitUntil(async () => (await story.elsewhere.read(id))?.outcome, { timeout: 60_000, interval: 20 });
  return { ...story, said, answer, outcome };
}

test("whoever goes on with a call says so", async () => {
  const { log, said } = listened();
  const memory = new SharedMemory();
  onTestFinished(() => memory.close());
  const [dead, { store }] = [await memory.replica(), await memory.replica()];
  await dead.store.create(newTask({ ...CLAIMANT, isUnsent: true, storedCall: RECIPE }));
  await dead.store.leave();
  const engine = new TaskEngine({
    store,
    log,
    report: lines({ log, nameOf: (caller) => caller }),
    revive: () => ({ call: heldCall({ storedCall: RECIPE }), maxResultBytes: 1_000 }),
  });
  onTestFinished(() => engine.close());
  await engine.begin();
  expect(await said("render: taken over from a gateway that stopped")).toBe(30);
});

test("whoever finds a task that nobody can go on with says so", async () => {
  const { log, said } = listened();
  const memory = new SharedMemory();
  onTestFinished(() => memory.close());
  const [dead, { store }] = [await memory.replica(), await memory.replica()];
  await dead.store.create(newTask(CLAIMANT));
  await dead.store.leave();
  const report = lines({ log, nameOf: (caller) => caller });
  const engine = new TaskEngine({ store, log, report });
  onTestFinished(() => engine.close());
  await engine.begin();
  expect(await said(/^render: lost after \d.* The gateway that ran the call stopped/)).toBe(40);
});

test("whoever loses a task to another gateway says why", async () => {
  const { begin, elsewhere, memory, said } = await answering();
  const { id, call } = await begin();
  const { task } = (await elsewhere.read(id)) as { task: TaskRecord };
  await elsewhere.takeOver(task);
  memory.publish({ kind: "missed" });
  expect(
    await said("another gateway took over a task of this one, which was silent for longer than store.lease"),
  ).toBe(40);
  expect(call.end).toEqual({ kind: "handedOff" });
});

test("a store that has lost a running task has it again", async () => {
  const { begin, elsewhere, memory, said } = await answering();
  const { id } = await begin();
  memory.forget(`task:${id}`);
  expect(await elsewhere.read(id)).toBeUndefined();
  memory.publish({ kind: "missed" });
  expect(await said("the store had lost a running task; wrote it again")).toBe(40);
  expect(await elsewhere.read(id)).toMatchObject({ task: { id } });
});

test("a question that could not be written is tried again", async () => {
  const { log, said } = listened();
  const asks = gate();
  const { begin, access, server } = await running(
    async (call) => {
      await asks.opened;
      await call.sse().ask("elicitation/create", form("Who?", "name"));
    },
    { maxConcurrent: 1 },
    { log },
  );
  await begin();
  await server.arrival("tools/call");
  access.isFull = true;
  asks.open();
  expect(await said("could not write a task's state; trying again")).toBe(40);
});

test("a call whose turn comes waits for the store", async () => {
  const { begin, slots, seen, access, server, said } = await answering();
  const leave = slots.enter("ada", () => undefined);
  const { id } = await begin();
  await seen(id, ({ isUnsent }) => isUnsent);
  access.isFull = true;
  leave();
  expect(await said("could not claim a call before sending it; trying again")).toBe(50);
  expect(await seen(id, ({ statusMessage }) => statusMessage === "queued")).toBeDefined();
  expect(server.received.filter(({ method }) => method === "tools/call")).toEqual([]);
});

test("a result that the store does not take is kept", async () => {
  const { begin, access, answer, server, said, outcome } = await answering();
  const { id } = await begin();
  await server.arrival("tools/call");
  access.isFull = true;
  answer.open();
  expect(await said("could not write a task's outcome; trying again")).toBe(50);
  access.isFull = false;
  expect(await outcome(id)).toMatchObject({ kind: "completed" });
});

test("a result for which there is no room is a failure that says so", async () => {
  const { begin, access, answer, server, said, outcome } = await answering(10);
  const { id } = await begin();
  await server.arrival("tools/call");
  access.isFull = true;
  answer.open();
  await said("could not write a task's outcome; trying again");
  access.isFull = false;
  expect(await outcome(id)).toMatchObject({
    kind: "lost",
    reason: expect.stringContaining("maxUnwritten"),
  });
});

test("a gateway that stops while the store is away says what was not written", async () => {
  const { begin, access, answer, server, said, engine } = await answering();
  await begin();
  await server.arrival("tools/call");
  access.isFull = true;
  answer.open();
  await said("could not write a task's outcome; trying again");
  const tries = access.refused;
  await engine.close();
  expect(await said("could not write a task's outcome")).toBe(50);
  expect(access.refused).toBeGreaterThan(tries);
});
