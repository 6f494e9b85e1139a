import { expect, test } from "vitest";
import { FairShares } from "../../src/upstream/sessions/fair-shares.ts";

/** Takes for a caller, and says in `served` when it is its turn. */
function shares(max: number) {
  const fair = new FairShares({ max, setting: `maxSessions: ${max}` });
  const served: string[] = [];
  const backs: (() => void)[] = [];
  const take = (caller: string, signal?: AbortSignal, isIdentified = true) =>
    fair.take({ caller, isIdentified }, { signal }).then((back) => {
      served.push(caller);
      backs.push(back);
    });
  return { fair, served, backs, take };
}

const turns = () => new Promise((resolve) => setImmediate(resolve));

test.each([
  { max: 1, ada: 1, bob: 0 },
  { max: 2, ada: 1, bob: 0 },
  { max: 3, ada: 1, bob: 1 },
  { max: 4, ada: 2, bob: 1 },
  { max: 8, ada: 5, bob: 1 },
])(
  "of $max sessions one caller gets $ada for calls, and another has $bob left",
  async ({ max, ada, bob }) => {
    const { served, take } = shares(max);
    for (let count = 0; count < 10; count += 1) take("ada").catch(() => {});
    await turns();
    for (let count = 0; count < 10; count += 1) take("bob").catch(() => {});
    await turns();
    expect(served.filter((caller) => caller === "ada")).toHaveLength(ada);
    expect(served.filter((caller) => caller === "bob")).toHaveLength(bob);
  },
);

test("callers that are not told apart have all sessions for calls, until somebody comes who is", async () => {
  const { served, backs, take } = shares(8);
  for (let count = 0; count < 10; count += 1) take("anybody", undefined, false).catch(() => {});
  await turns();
  expect(served).toHaveLength(7);
  take("ada").catch(() => {});
  for (let count = 0; count < 3; count += 1) {
    backs[count]?.();
    await turns();
  }
  expect(served.slice(7)).toEqual(["ada"]);
});

test("those who wait are served in turns, however many calls one of them has", async () => {
  const { served, backs, take } = shares(2);
  for (let count = 0; count < 500; count += 1) take("ada").catch(() => {});
  for (const caller of ["bob", "cleo", "bob"]) take(caller).catch(() => {});
  await turns();
  for (let count = 0; count < 5; count += 1) {
    backs.at(-1)?.();
    await turns();
  }
  expect(served).toEqual(["ada", "ada", "bob", "cleo", "ada", "bob"]);
});

test("one who has left is passed over, and one caller's too many are refused", async () => {
  const { served, backs, take } = shares(1);
  await take("ada");
  const gone = new AbortController();
  const left = expect(take("bob", gone.signal)).rejects.toThrow("left");
  take("cleo").catch(() => {});
  gone.abort(new Error("left"));
  await left;
  for (let count = 0; count < 1_000; count += 1) take("ada").catch(() => {});
  await expect(take("ada")).rejects.toMatchObject({ facts: { status: 503, mayHaveRun: false } });
  backs[0]?.();
  await turns();
  expect(served).toEqual(["ada", "cleo"]);
});

test("nobody waits for what is closed", async () => {
  const { fair, take } = shares(1);
  await take("ada");
  const waiting = expect(take("bob")).rejects.toThrow("stopping");
  fair.close();
  await waiting;
  await expect(take("cleo")).rejects.toThrow("stopping");
});
