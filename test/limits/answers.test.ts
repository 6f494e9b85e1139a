import { expect, onTestFinished, test, vi } from "vitest";
import { ANSWER_WEIGHT, Answers } from "../../src/limits/answers.ts";
import { Bytes } from "../../src/limits/bytes.ts";
import { ResultReads } from "../../src/limits/result-reads.ts";

const QUOTA_KEY = { caller: "ada", isIdentified: true };

/** Room for ten bytes of answers. */
function room(others = () => 0) {
  return new Answers({ maxBytes: () => 10 * ANSWER_WEIGHT, others });
}

/** Whether somebody still waits. */
async function waits(wait: Promise<void> | undefined): Promise<boolean> {
  if (wait === undefined) return false;
  return Promise.race([
    wait.then(() => false),
    new Promise<boolean>((resolve) => setImmediate(resolve, true)),
  ]);
}

test("answers for which there is room do not wait, and one that is alone never does", () => {
  const answers = room();
  const [one, other] = [answers.open(), answers.open()];
  expect([one.arrive(5), other.arrive(5)]).toEqual([undefined, undefined]);
  expect(answers.bytes).toBe(10 * ANSWER_WEIGHT);
  one.release();
  other.release();
  expect(answers.bytes).toBe(0);
  expect(answers.open().arrive(1_000)).toBeUndefined();
});

test("of answers that wait for each other the oldest goes on, and the next when that has gone", async () => {
  const answers = room();
  const all = [answers.open(), answers.open(), answers.open()] as const;
  for (const answer of all) void answer.arrive(3);
  const more = all.map((answer) => answer.arrive(3));
  expect(await Promise.all(more.map(waits))).toEqual([false, true, true]);
  // It is read to its end, and on its way: there is no more room than before.
  all[0].arrived();
  expect(await Promise.all(more.map(waits))).toEqual([false, false, true]);
  all[0].release();
  all[1].release();
  expect(await Promise.all(more.map(waits))).toEqual([false, false, false]);
  all[2].release();
  expect(answers.bytes).toBe(0);
});

test("what has been read and is not gone makes all wait", async () => {
  const answers = room();
  const [big, next] = [answers.open(), answers.open()];
  void big.arrive(50);
  big.arrived();
  const wait = next.arrive(1);
  expect(await waits(wait)).toBe(true);
  big.release();
  expect(await waits(wait)).toBe(false);
});

test("who is not read on for long is not waited for", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const answers = room();
  const all = [answers.open(), answers.open()] as const;
  for (const answer of all) void answer.arrive(4);
  const more = [all[0].arrive(8), all[1].arrive(8)];
  expect(await Promise.all(more.map(waits))).toEqual([false, true]);
  await vi.advanceTimersByTimeAsync(2_500);
  expect(await Promise.all(more.map(waits))).toEqual([false, false]);
});

test("an answer that nobody wants any more does not wait, and is not counted", async () => {
  const answers = room();
  const [one, other] = [answers.open(), answers.open()];
  void one.arrive(9);
  one.arrived();
  const wait = other.arrive(9);
  other.release();
  expect(await waits(wait)).toBe(false);
  one.release();
  expect([other.arrive(1_000), answers.bytes]).toEqual([undefined, 0]);
});

test("what was no part of the answer is not counted", () => {
  const answers = room();
  const answer = answers.open();
  void answer.arrive(9);
  answer.restart();
  expect(answers.bytes).toBe(0);
  void answer.arrive(2);
  expect(answers.bytes).toBe(2 * ANSWER_WEIGHT);
  answer.release();
  expect(answers.bytes).toBe(0);
});

test("an answer is held until all have let go of its request, and large requests are refused meanwhile", () => {
  const total = { bytes: 1_000_000 };
  const bytes = new Bytes({ limits: { perCaller: {}, total } as never, clock: () => 0 });
  const held = bytes.hold(QUOTA_KEY);
  held.grow(10);
  const letGo = held.share();
  void held.arrive(100_000);
  held.arrived();
  expect(bytes.answers).toBe(100_000 * ANSWER_WEIGHT);
  expect(() => bytes.hold(QUOTA_KEY).grow(150_000)).toThrow("limits.total.bytes");
  held.release();
  expect(bytes.answers).toBe(100_000 * ANSWER_WEIGHT);
  letGo();
  expect([bytes.answers, bytes.total]).toEqual([0, 0]);
  bytes.hold(QUOTA_KEY).grow(150_000);
});

test("each answer to a batch waits by itself, and is held until its own message is answered", async () => {
  const total = { bytes: 100 * ANSWER_WEIGHT };
  const bytes = new Bytes({ limits: { perCaller: {}, total } as never, clock: () => 0 });
  const held = bytes.hold(QUOTA_KEY);
  const parts = [held.part(), held.part(), held.part(), held.part()] as const;
  const letGo = parts.map((part) => part.share());
  held.release();
  const waiting = parts.map((part) => part.arrive(80));
  const areWaiting = () => Promise.all(waiting.map(waits));
  // The first that waits may go on all the same, or none ever would.
  expect(await areWaiting()).toEqual([false, false, true, true]);
  letGo[0]?.();
  expect(await areWaiting()).toEqual([false, false, true, true]);
  // Another answer of its message begins anew.
  parts[1].restart();
  expect(await areWaiting()).toEqual([false, false, false, true]);
  letGo[2]?.();
  expect(await areWaiting()).toEqual([false, false, false, false]);
  expect(bytes.answers).toBe(80 * ANSWER_WEIGHT);
  for (const release of letGo) release();
  expect([bytes.answers, bytes.total]).toEqual([0, 0]);
  expect([parts[1].arrive(1_000), bytes.answers]).toEqual([undefined, 0]);
});

test("of long results as many are read at a time as there is memory for, all in their turn", async () => {
  const reads = new ResultReads({ maxBytes: () => 2 * 1_048_576 * ANSWER_WEIGHT });
  let [running, most] = [0, 0];
  const order: number[] = [];
  const read = (number: number) =>
    reads.run(async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      reads.note(1_048_576);
      order.push(number);
      running -= 1;
      if (number === 3) throw new Error("away");
    });
  const all = await Promise.allSettled(Array.from({ length: 10 }, (_, number) => read(number)));
  expect(most).toBe(2);
  expect(order).toEqual(Array.from({ length: 10 }, (_, number) => number));
  expect(all.filter(({ status }) => status === "rejected")).toHaveLength(1);
});
