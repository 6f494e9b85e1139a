import { expect, test } from "vitest";
import { Slots } from "../../src/calls/slots.ts";

test("calls begin in order, as many at a time as are allowed, for each caller by itself", async () => {
  const slots = new Slots({ maxConcurrent: 2, maxQueued: 10 });
  const begun: string[] = [];
  const leave = ["a1", "a2", "a3", "a4", "b1"].map((name) =>
    slots.enter(name[0] ?? "", () => void begun.push(name)),
  );
  expect(begun).toEqual([]);
  await settle();
  expect(begun).toEqual(["a1", "a2", "b1"]);
  leave[1]?.();
  await settle();
  expect(begun).toEqual(["a1", "a2", "b1", "a3"]);
  leave[0]?.();
  await settle();
  expect(begun).toEqual(["a1", "a2", "b1", "a3", "a4"]);
});

test("too many waiting is refused at once, and whoever leaves makes room again", async () => {
  const slots = new Slots({ maxConcurrent: 1, maxQueued: 1 });
  const begun: string[] = [];
  const enter = (caller: string, name: string) => slots.enter(caller, () => void begun.push(name));
  const leaveFirst = enter("a", "first");
  const leaveSecond = enter("a", "second");
  expect(() => enter("a", "third")).toThrow("Too many calls: 1 are running and 1 are waiting (maxQueued)");
  enter("b", "another caller");
  leaveSecond();
  enter("a", "fourth");
  leaveFirst();
  await settle();
  expect(begun).toEqual(["another caller", "fourth"]);
});

test("without a queue there is only what runs", () => {
  const slots = new Slots({ maxConcurrent: 1, maxQueued: 0 });
  const leave = slots.enter("a", () => {});
  expect(() => slots.enter("a", () => {})).toThrow("Too many calls");
  leave();
  slots.enter("a", () => {});
});

test("calls that wait begin when more may run, and nothing is left when all have left", async () => {
  const limits = { maxConcurrent: 1, maxQueued: 10 };
  const slots = new Slots(limits);
  const begun: string[] = [];
  const leave = ["1", "2", "3"].map((name) => slots.enter("a", () => void begun.push(name)));
  await settle();
  limits.maxConcurrent = 2;
  slots.review();
  await settle();
  expect(begun).toEqual(["1", "2"]);
  for (const each of leave) each();
  expect(slots.isIdle).toBe(true);
});

test("to leave twice gives one place back", async () => {
  const slots = new Slots({ maxConcurrent: 1, maxQueued: 2 });
  const begun: string[] = [];
  const leave = slots.enter("a", () => void begun.push("first"));
  slots.enter("a", () => void begun.push("second"));
  slots.enter("a", () => void begun.push("third"));
  await settle();
  leave();
  leave();
  await settle();
  expect(begun).toEqual(["first", "second"]);
});

test("a queue of a hundred thousand is left as quickly as it is joined", async () => {
  const slots = new Slots({ maxConcurrent: 1, maxQueued: 100_000 });
  const begun: number[] = [];
  const leave = Array.from({ length: 100_001 }, (_, n) => slots.enter("a", () => void begun.push(n)));
  await settle();
  for (const leaveOne of leave.slice(1, -1).reverse()) leaveOne();
  leave[0]?.();
  await settle();
  expect(begun).toEqual([0, 100_000]);
});

/** Lets everything happen that is about to. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test("whoever was let in before is not refused, and waits like everybody else", async () => {
  const slots = new Slots({ maxConcurrent: 1, maxQueued: 0 });
  const leave = slots.enter("ada", () => {});
  let hasBegun = false;
  slots.enter("ada", () => (hasBegun = true), true);
  expect(() => slots.enter("ada", () => {})).toThrow("Too many");
  await Promise.resolve();
  expect(hasBegun).toBe(false);
  leave();
  await Promise.resolve();
  expect(hasBegun).toBe(true);
});
