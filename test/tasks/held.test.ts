import { expect, onTestFinished, test, vi } from "vitest";
import { HeldCalls } from "../../src/tasks/held.ts";
import { heldCall } from "../support/idle-call.ts";

const IDENTITY = {
  route: "r",
  caller: "c",
  method: "tools/call",
  params: { name: "t", arguments: { n: 1 } },
};
const MINUTE = 60_000;
const refused = { code: -32602 };

/** Calls that wait, on a clock that the test sets. */
function holding() {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  onTestFinished(() => void vi.useRealTimers());
  const held = new HeldCalls();
  onTestFinished(() => held.close());
  return held;
}

test("a state finds the call that it was made for, every round of it", async () => {
  const held = holding();
  const call = heldCall();
  const states = [await held.hold(call, IDENTITY), await held.hold(call, IDENTITY)];
  expect(new Set(states).size).toBe(2);
  for (const state of states) expect(await held.resume(state, IDENTITY)).toEqual({ call });
});

test.each([
  ["another route", { route: "other" }],
  ["another caller", { caller: "other" }],
  ["another method", { method: "prompts/get" }],
  ["other params", { params: { name: "t", arguments: { n: 2 } } }],
])("a state is refused for %s", async (_, change) => {
  const held = holding();
  const state = await held.hold(heldCall(), IDENTITY);
  await expect(held.resume(state, { ...IDENTITY, ...change })).rejects.toMatchObject(refused);
});

test("a state of another process is refused", async () => {
  const held = holding();
  const call = heldCall();
  const state = await held.hold(call, IDENTITY);
  const other = new HeldCalls();
  onTestFinished(() => other.close());
  await other.hold(call, IDENTITY);
  await expect(other.resume(state, IDENTITY)).rejects.toMatchObject(refused);
});

test("a call that nobody comes back for is cancelled, and its state has expired", async () => {
  const held = holding();
  const call = heldCall();
  const state = await held.hold(call, IDENTITY);
  await vi.advanceTimersByTimeAsync(9 * MINUTE);
  expect(await held.resume(state, IDENTITY)).toEqual({ call });
  expect(call.end).toBeUndefined();
  await vi.advanceTimersByTimeAsync(2 * MINUTE);
  expect(call.end).toEqual({ kind: "cancelled", reason: "the client did not come back with an answer" });
  await expect(held.resume(state, IDENTITY)).rejects.toMatchObject(refused);
});

test("every round gives the client the same time again", async () => {
  const held = holding();
  const call = heldCall();
  const first = await held.hold(call, IDENTITY);
  await vi.advanceTimersByTimeAsync(9 * MINUTE);
  const second = await held.hold(call, IDENTITY);
  await vi.advanceTimersByTimeAsync(9 * MINUTE);
  expect(call.end).toBeUndefined();
  await expect(held.resume(first, IDENTITY)).rejects.toMatchObject(refused);
  expect(await held.resume(second, IDENTITY)).toEqual({ call });
});

test("what has ended is kept for a minute, for a client that lost the answer", async () => {
  const held = holding();
  const call = heldCall();
  const state = await held.hold(call, IDENTITY);
  call.cancel("for the test");
  await vi.advanceTimersByTimeAsync(0.9 * MINUTE);
  expect(await held.resume(state, IDENTITY)).toMatchObject({ call: { end: { reason: "for the test" } } });
  await vi.advanceTimersByTimeAsync(0.2 * MINUTE);
  await expect(held.resume(state, IDENTITY)).rejects.toMatchObject(refused);
});

test("a call that became a task is found as such, and is not cancelled when it is forgotten", async () => {
  const held = holding();
  const call = heldCall();
  const state = await held.hold(call, IDENTITY);
  held.becomes(call, "task");
  expect(await held.resume(state, IDENTITY)).toEqual({ taskId: "task" });
  await vi.advanceTimersByTimeAsync(2 * MINUTE);
  await expect(held.resume(state, IDENTITY)).rejects.toMatchObject(refused);
  expect(call.end).toBeUndefined();
});

test("of what has ended only the newest thousand are kept", async () => {
  const held = holding();
  const states: string[] = [];
  for (let n = 0; n < 1_001; n += 1) {
    const call = heldCall();
    states.push(await held.hold(call, IDENTITY));
    call.cancel("for the test");
  }
  const [oldest = "", second = ""] = states;
  await expect(held.resume(oldest, IDENTITY)).rejects.toMatchObject(refused);
  await expect(held.resume(second, IDENTITY)).resolves.toBeDefined();
});

test("closing cancels what waits, but no task, and leaves no timer behind", async () => {
  const held = holding();
  const [waits, task] = [heldCall(), heldCall()];
  await held.hold(waits, IDENTITY);
  await held.hold(task, IDENTITY);
  held.becomes(task, "task");
  held.close();
  expect(waits.end).toMatchObject({ kind: "cancelled" });
  expect(task.end).toBeUndefined();
  expect(vi.getTimerCount()).toBe(0);
});
