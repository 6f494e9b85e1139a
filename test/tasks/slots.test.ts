import { expect, test } from "vitest";
import { Slots } from "../../src/tasks/slots.ts";
import { gate } from "../support/story.ts";

test("work runs in order, as much at a time as is allowed, for each caller by itself", async () => {
  const slots = new Slots({ maxConcurrent: 2, maxQueued: 10 });
  const begun: string[] = [];
  const done = gate();
  const work = (name: string) => async () => {
    begun.push(name);
    await done.opened;
  };
  const all = ["a1", "a2", "a3", "a4", "b1"].map((name) => slots.run(name[0] ?? "", work(name)));
  await settle();
  expect(begun).toEqual(["a1", "a2", "b1"]);
  expect([slots.isFull("a"), slots.isFull("b"), slots.isFull("c")]).toEqual([true, false, false]);
  done.open();
  await Promise.all(all);
  expect(begun).toEqual(["a1", "a2", "b1", "a3", "a4"]);
  expect(slots.isFull("a")).toBe(false);
});

test("too much waiting is refused at once, and makes room again", async () => {
  const slots = new Slots({ maxConcurrent: 1, maxQueued: 1 });
  const done = gate();
  const running = slots.run("a", () => done.opened);
  const waiting = slots.run("a", async () => {});
  await expect(slots.run("a", async () => {})).rejects.toMatchObject({
    code: -32603,
    message: "Too many calls: 1 are running and 1 are waiting (maxQueued)",
  });
  await slots.run("b", async () => {});
  done.open();
  await Promise.all([running, waiting]);
  await slots.run("a", async () => {});
});

test("without a queue there is only what runs", async () => {
  const slots = new Slots({ maxConcurrent: 1, maxQueued: 0 });
  const done = gate();
  const running = slots.run("a", () => done.opened);
  await expect(slots.run("a", async () => {})).rejects.toThrow("Too many calls");
  done.open();
  await running;
});

test("what leaves the queue is never run, and gives its place away", async () => {
  const slots = new Slots({ maxConcurrent: 1, maxQueued: 1 });
  const done = gate();
  const running = slots.run("a", () => done.opened);
  const leaving = new AbortController();
  let hasRun = false;
  const left = slots.run(
    "a",
    async () => {
      hasRun = true;
    },
    leaving.signal,
  );
  leaving.abort(new Error("enough"));
  await expect(left).rejects.toThrow("enough");
  const next = slots.run("a", async () => {});
  done.open();
  await Promise.all([running, next]);
  expect(hasRun).toBe(false);
});

test("what has begun is not ended by its signal", async () => {
  const slots = new Slots({ maxConcurrent: 1, maxQueued: 1 });
  const done = gate();
  const leaving = new AbortController();
  let isDone = false;
  const running = slots.run(
    "a",
    async () => {
      await done.opened;
      isDone = true;
    },
    leaving.signal,
  );
  await settle();
  leaving.abort();
  done.open();
  await running;
  expect(isDone).toBe(true);
});

test("work that fails gives its place back", async () => {
  const slots = new Slots({ maxConcurrent: 1, maxQueued: 1 });
  await expect(slots.run("a", () => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
  await slots.run("a", async () => {});
  expect(slots.isFull("a")).toBe(false);
});

/** Lets everything happen that is about to. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
