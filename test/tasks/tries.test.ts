import { expect, test, vi } from "vitest";
import { StoreUnavailable } from "../../src/store/task-store.ts";
import { AT_A_TIME, Tries } from "../../src/tasks/tries.ts";

const never = new AbortController().signal;
const away = () => Promise.reject(new StoreUnavailable("away"));

/** A try that ends when it is told to. */
function held() {
  let begun = 0;
  const ends: ((error?: Error) => void)[] = [];
  const work = () => {
    begun += 1;
    return new Promise<void>((resolve, reject) => {
      ends.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  };
  return { work, ends, begun: () => begun };
}

function begin(tries: Tries, work: () => Promise<void>, count: number, signal = never) {
  return Array.from({ length: count }, () => {
    const running = tries.run(work, signal);
    running.catch(() => {});
    return running;
  });
}

test("so many are tried at a time, and the next when one has ended", async () => {
  const tries = new Tries();
  const { work, ends, begun } = held();
  const all = begin(tries, work, AT_A_TIME + 2);
  expect(begun()).toBe(AT_A_TIME);
  ends[0]?.();
  await vi.waitUntil(() => begun() === AT_A_TIME + 1);
  ends[1]?.();
  await vi.waitUntil(() => begun() === AT_A_TIME + 2);
  for (const end of ends) end();
  await Promise.all(all);
  // Each place was given back once.
  begin(tries, work, AT_A_TIME + 1);
  expect(begun()).toBe(2 * AT_A_TIME + 2);
});

test("they go in the order in which they came", async () => {
  const tries = new Tries();
  const { work, ends } = held();
  begin(tries, work, AT_A_TIME);
  const order: number[] = [];
  const waiting = [0, 1, 2].map((n) => tries.run(async () => void order.push(n), never));
  ends[0]?.();
  await Promise.all(waiting);
  expect(order).toEqual([0, 1, 2]);
});

test("while the store is away nobody waits for a turn", async () => {
  const tries = new Tries();
  const { work, ends, begun } = held();
  const all = begin(tries, work, AT_A_TIME + 3);
  ends[0]?.(new StoreUnavailable("away"));
  // Those that waited, and one that comes now.
  const refused = await Promise.allSettled(all.slice(AT_A_TIME));
  expect(refused.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  // Its place is free only when the loop has turned.
  await new Promise(setImmediate);
  begin(tries, work, 1);
  expect(begun()).toBe(AT_A_TIME + 1);
  await expect(tries.run(async () => {}, never)).rejects.toThrow("away");
  // It is back: they wait again.
  ends[1]?.();
  await all[1];
  begin(tries, work, 1);
  await vi.waitUntil(() => begun() === AT_A_TIME + 2);
  let isThere = false;
  const last = tries.run(async () => {
    isThere = true;
  }, never);
  expect(isThere).toBe(false);
  ends[2]?.();
  await last;
});

test("an error that says nothing of the store is only that of its try", async () => {
  const tries = new Tries();
  const { work, ends } = held();
  const all = begin(tries, work, AT_A_TIME + 1);
  ends[0]?.(new Error("too long"));
  await expect(all[0]).rejects.toThrow("too long");
  await vi.waitUntil(() => ends.length === AT_A_TIME + 1);
  ends[AT_A_TIME]?.();
  await all[AT_A_TIME];
});

test("who gives up does not wait for a turn, and leaves no gap", async () => {
  const tries = new Tries();
  const { work, ends, begun } = held();
  begin(tries, work, AT_A_TIME);
  const gone = new AbortController();
  const [left] = begin(tries, work, 1, gone.signal);
  const [stays] = begin(tries, work, 1);
  gone.abort();
  await expect(left).rejects.toThrow("the gateway is stopping");
  await expect(tries.run(work, AbortSignal.abort())).rejects.toThrow("the gateway is stopping");
  ends[0]?.();
  await vi.waitUntil(() => begun() === AT_A_TIME + 1);
  ends[AT_A_TIME]?.();
  await stays;
});

test("between tries that fail at once the process hears of other things", async () => {
  const tries = new Tries();
  let isOver = false;
  let turns = 0;
  const count = () => {
    turns += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const { work, ends } = held();
  begin(tries, work, AT_A_TIME - 1);
  for (let n = 0; n < 20; n += 1) {
    await expect(tries.run(away, never)).rejects.toThrow("away");
    // The place is free only when the loop has turned.
    await expect(tries.run(away, never)).rejects.toThrow("away");
    await new Promise(setImmediate);
  }
  isOver = true;
  expect(turns).toBeGreaterThanOrEqual(20);
  for (const end of ends) end();
});

test("a few try again as soon as one alone would, and many less often", () => {
  const tries = new Tries();
  expect(tries.spread(100)).toBe(100);
  const over = Array.from({ length: 15_000 }, () => tries.retrying());
  expect(tries.spread(100)).toBe(7_500);
  for (const end of over) {
    end();
    end();
  }
  expect(tries.spread(100)).toBe(100);
});
