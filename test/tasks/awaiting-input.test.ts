import { expect, onTestFinished, test, vi } from "vitest";
import { createLog } from "../../src/log/log.ts";
import { openMemoryStore } from "../../src/store/memory.ts";
import { CallsAwaitingInput } from "../../src/tasks/awaiting-input.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import { newTask } from "../store/samples.ts";
import { heldCall } from "../support/idle-call.ts";

const TASK = newTask({ route: "r", caller: "c" });
const IDENTITY = {
  route: "r",
  caller: "c",
  method: "tools/call",
  params: { name: "t", arguments: { n: 1 } },
};
const MINUTE = 60_000;
const MAX_BYTES = 1_000;
const refused = { code: -32602 };

/** Calls that wait, on a clock that the test sets. */
async function holding() {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] });
  const store = await openMemoryStore("memory:");
  const engine = new TaskEngine({ store, log: createLog("silent") });
  const held = new CallsAwaitingInput(engine);
  onTestFinished(async () => {
    held.close();
    await engine.close();
    await store.close();
    vi.useRealTimers();
  });
  const hold = (call = heldCall()) =>
    held.hold(call, IDENTITY, TASK, { maxResultBytes: MAX_BYTES, round: 1 });
  return { held, engine, hold, resume: (state: unknown) => held.resume(state, IDENTITY) };
}

test("a state finds the call that it was made for, every round of it", async () => {
  const { hold, resume, engine } = await holding();
  const call = heldCall();
  const states = [await hold(call), await hold(call)];
  expect(new Set(states).size).toBe(2);
  for (const state of states) expect(engine.callOf((await resume(state)).task.id)).toBe(call);
});

test.each([
  ["another route", { route: "other" }],
  ["another caller", { caller: "other" }],
  ["another method", { method: "prompts/get" }],
  ["other params", { params: { name: "t", arguments: { n: 2 } } }],
])("a state is refused for %s", async (_, change) => {
  const { hold, held } = await holding();
  const state = await hold();
  await expect(held.resume(state, { ...IDENTITY, ...change })).rejects.toMatchObject(refused);
});

test.each([
  ["nothing", undefined],
  ["no text", 7],
  ["another text", "something else"],
  ["a server's own", "taskgate.but not really"],
  ["of a task that there is not", `taskgate.${"A".repeat(24)}.AAAAAAAA.${"A".repeat(43)}`],
])("a state is refused that is %s", async (_, state) => {
  const { held, resume } = await holding();
  await expect(resume(state)).rejects.toMatchObject(refused);
  expect(await held.isOurs(state)).toBe(false);
});

test.each([
  ["signature", /.$/],
  ["round", /(?<=\.[\w-]{24}\.)./],
])("a state whose %s was changed is refused", async (_, part) => {
  const { hold, resume } = await holding();
  const state = await hold();
  const tampered = state.replace(part, (letter) => (letter === "A" ? "E" : "A"));
  await expect(resume(tampered)).rejects.toMatchObject(refused);
  await expect(resume(state)).resolves.toBeDefined();
});

test("a state of one call does for no other", async () => {
  const { hold, resume } = await holding();
  const [one, other] = [await hold(), await hold()];
  const mixed = [...one.split(".").slice(0, 2), ...other.split(".").slice(2)].join(".");
  await expect(resume(mixed)).rejects.toMatchObject(refused);
});

test("a task that was never held has no rounds", async () => {
  const { engine, hold, resume } = await holding();
  const { id } = await engine.createTask(heldCall(), TASK, MAX_BYTES);
  const state = (await hold()).split(".").with(1, id).join(".");
  await expect(resume(state)).rejects.toMatchObject(refused);
});

test("a call that nobody comes back for is cancelled, and its state goes with its record", async () => {
  const { hold, resume } = await holding();
  const call = heldCall();
  const state = await hold(call);
  await vi.advanceTimersByTimeAsync(9 * MINUTE);
  expect((await resume(state)).outcome).toBeUndefined();
  expect(call.end).toBeUndefined();
  await vi.advanceTimersByTimeAsync(2 * MINUTE);
  expect(call.end).toEqual({ kind: "cancelled", reason: "the client did not come back with an answer" });
  expect((await resume(state)).outcome).toMatchObject({ kind: "cancelled" });
  await vi.advanceTimersByTimeAsync(TASK.terms.ttlMs);
  await expect(resume(state)).rejects.toMatchObject(refused);
});

test("every round gives the client the same time again", async () => {
  const { hold } = await holding();
  const call = heldCall();
  await hold(call);
  await vi.advanceTimersByTimeAsync(9 * MINUTE);
  await hold(call);
  await vi.advanceTimersByTimeAsync(9 * MINUTE);
  expect(call.end).toBeUndefined();
});

test("a call that is answered is not waited for, until it asks again", async () => {
  const { hold } = await holding();
  const call = heldCall({ capabilities: { roots: {} } });
  const asking = { respond: async () => undefined } as never;
  call.onRequest({ jsonrpc: "2.0", id: 1, method: "roots/list" }, asking);
  await hold(call);
  const [key = ""] = Object.keys(call.inputRequests);
  call.takeAnswers(new Map([[key, { result: { roots: [] } }]]));
  await vi.advanceTimersByTimeAsync(11 * MINUTE);
  expect(call.end).toBeUndefined();

  call.onRequest({ jsonrpc: "2.0", id: 2, method: "roots/list" }, asking);
  await vi.advanceTimersByTimeAsync(11 * MINUTE);
  expect(call.end).toMatchObject({ kind: "cancelled" });
});

test("a call of which the client knows as a task is waited for as long as it runs", async () => {
  const { hold, resume, engine } = await holding();
  const call = heldCall();
  const { task } = await resume(await hold(call));
  await engine.tell(task);
  await vi.advanceTimersByTimeAsync(11 * MINUTE);
  expect(call.end).toBeUndefined();
});

test("closing leaves no timer behind", async () => {
  const { hold, held, engine } = await holding();
  await hold();
  held.close();
  await engine.close();
  expect(vi.getTimerCount()).toBe(0);
});
