import { expect, test } from "vitest";
import { StoreUnavailable, UnreadableValue } from "../../src/store/task-store.ts";
import { StoreWait, type StoreWaiter } from "../../src/tasks/store-wait.ts";
import { gate } from "../support/story.ts";

const LONG_MS = 60_000;

function waiter(more: Partial<StoreWaiter> = {}): () => StoreWaiter {
  const { signal: gone } = new AbortController();
  return () => ({ caller: "ada", gone, bytes: 1, ...more });
}

/** A store that is away until it is said to be back. */
function store() {
  const state = { isAway: true, tries: 0 };
  const first = gate();
  const read = async () => {
    state.tries += 1;
    if (state.isAway) {
      first.open();
      throw new StoreUnavailable("away");
    }
    return "read";
  };
  return { state, read, tried: first.opened };
}

test("whoever asks while the store is away is answered when it is back, and all of them together", async () => {
  const wait = new StoreWait({ maxWaitMs: LONG_MS });
  const { state, read } = store();
  const answers = Array.from({ length: 1_000 }, () => wait.run(read, waiter()));
  await expect.poll(() => wait.waiting).toBe(1_000);
  const { tries } = state;
  await expect.poll(() => state.tries).toBeGreaterThan(tries);
  // One of them looks for all: a thousand would keep a store from coming back.
  expect(state.tries).toBeLessThan(2_000);
  state.isAway = false;
  expect(new Set(await Promise.all(answers))).toEqual(new Set(["read"]));
  expect(wait.waiting).toBe(0);
});

test("a store that is away for too long is an error in the end, and so it is where nobody may wait", async () => {
  const { read, state } = store();
  await expect(new StoreWait({ maxWaitMs: 30 }).run(read, waiter())).rejects.toThrow(StoreUnavailable);
  const { tries } = state;
  await expect(new StoreWait({ maxWaitMs: 0 }).run(read, waiter())).rejects.toThrow(StoreUnavailable);
  expect(state.tries).toBe(tries + 1);
});

test.for([
  ["requests of a caller", { requests: 2, bytes: 100 }, { requests: 9, bytes: 100 }],
  ["requests in all", { requests: 9, bytes: 100 }, { requests: 2, bytes: 100 }],
  ["bytes of a caller", { requests: 9, bytes: 20 }, { requests: 9, bytes: 100 }],
  ["bytes in all", { requests: 9, bytes: 100 }, { requests: 9, bytes: 20 }],
] as const)("there are only so many %s that wait", async ([, perCaller, total]) => {
  const wait = new StoreWait({ maxWaitMs: LONG_MS, max: { perCaller, total } });
  const { state, read } = store();
  const both = [1, 2].map(() => wait.run(read, waiter({ bytes: 10 })));
  await expect.poll(() => wait.waiting).toBe(2);
  await expect(wait.run(read, waiter({ bytes: 10 }))).rejects.toThrow(StoreUnavailable);
  // Who has a place elsewhere needs none here.
  const stays = wait.run(read, waiter({ isEndless: true }));
  state.isAway = false;
  expect(await Promise.all([...both, stays])).toEqual(["read", "read", "read"]);
  expect(await wait.run(read, waiter({ bytes: 10 }))).toBe("read");
});

test("nothing is done for a client that has gone, and nothing is begun once the gateway stops", async () => {
  const wait = new StoreWait({ maxWaitMs: LONG_MS });
  const { state, read, tried } = store();
  const [leaving, stopping] = [new AbortController(), new AbortController()];
  const gone = wait.run(read, waiter({ gone: leaving.signal }));
  const begun = wait.run(read, waiter({ stopping: stopping.signal }));
  await tried;
  await expect.poll(() => wait.waiting).toBe(2);
  leaving.abort();
  await expect(gone).rejects.toThrow("has gone");
  stopping.abort();
  await expect(begun).rejects.toMatchObject({
    httpStatus: 503,
    message: expect.stringContaining("stopping"),
  });
  expect([wait.waiting, state.isAway]).toEqual([0, true]);
});

test("what is wrong with a request has nothing to do with the store", async () => {
  const wait = new StoreWait({ maxWaitMs: LONG_MS });
  const { state, read, tried } = store();
  const broken = wait.run(async () => {
    await read();
    throw new Error("a bug");
  }, waiter());
  await tried;
  state.isAway = false;
  await expect(broken).rejects.toThrow("a bug");
});

test("a gateway that closes lets nobody wait", async () => {
  const wait = new StoreWait({ maxWaitMs: LONG_MS });
  const { read, tried } = store();
  const waiting = [wait.run(read, waiter()), wait.run(read, waiter({ isEndless: true }))];
  await tried;
  wait.close();
  for (const each of waiting) await expect(each).rejects.toThrow(StoreUnavailable);
});

test("a value that cannot be read is told at once: the store is not away", async () => {
  const wait = new StoreWait({ maxWaitMs: LONG_MS });
  let tries = 0;
  const read = async () => {
    tries += 1;
    throw new UnreadableValue("not encrypted");
  };
  await expect(wait.run(read, waiter())).rejects.toThrow("not encrypted");
  expect(tries).toBe(1);
});
