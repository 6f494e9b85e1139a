import { expect, test } from "vitest";
import { PollThrottle, type PollThrottleOptions } from "../../src/tasks/poll-throttle.ts";

const ADA = { route: "r", caller: "ada" };
const BOB = { route: "r", caller: "bob" };
const here = () => ({ gone: new AbortController().signal });

/** A pace, and what its task's watchers are told. */
function paced(options: Partial<PollThrottleOptions> = {}) {
  const watchers = new Set<() => void>();
  const time = { now: 0 };
  const pollThrottle = new PollThrottle({
    watch: (_, changed) => {
      watchers.add(changed);
      return () => watchers.delete(changed);
    },
    clock: () => time.now,
    ...options,
  });
  const change = () => {
    for (const changed of [...watchers]) changed();
  };
  /** How many of so many polls are let through at once. */
  const letThrough = (polls: number, caller = ADA) =>
    Array.from({ length: polls }, () => pollThrottle.admit("t", caller, here())).filter(
      (turn) => turn === undefined,
    ).length;
  return { pollThrottle, time, watchers, change, letThrough };
}

test.for([
  ["every poll of whoever was told no interval", undefined, 0, 100, 100],
  ["thirty at once", 1_000, 0, 40, 30],
  ["ten more in an interval", 1_000, 1_000, 30, 10],
  ["no more than thirty after a long time", 1_000, 60_000, 40, 30],
  ["all of them where the interval is too short to be counted", 1, 100, 30, 30],
] as const)("lets through %s", ([, intervalMs, laterMs, polls, expected]) => {
  const { pollThrottle, time, change, letThrough } = paced();
  if (intervalMs !== undefined) pollThrottle.told("t", ADA, intervalMs);
  if (laterMs > 0) expect(letThrough(30)).toBe(intervalMs === undefined ? 0 : 30);
  time.now += laterMs;
  expect(letThrough(polls)).toBe(expected);
  change();
});

test("a client that polls four times as often as it was told never waits", () => {
  const { pollThrottle, time } = paced();
  pollThrottle.told("t", ADA, 500);
  for (let poll = 0; poll < 1_000; poll += 1) {
    time.now += 125;
    expect(pollThrottle.admit("t", ADA, here())).toBeUndefined();
  }
});

test("how fast one caller polls is nothing to another", () => {
  const { pollThrottle, change, letThrough } = paced();
  pollThrottle.told("t", ADA, 1_000);
  expect(letThrough(40)).toBe(30);
  expect(letThrough(40, BOB)).toBe(40);
  change();
});

test("who waits is answered when the task changes, and when it has gone; nothing is left of either", async () => {
  const { pollThrottle, watchers, change, letThrough } = paced();
  pollThrottle.told("t", ADA, 60_000);
  letThrough(30);
  const leaving = new AbortController();
  const turns = [
    pollThrottle.admit("t", ADA, { gone: leaving.signal }),
    pollThrottle.admit("t", ADA, here()),
  ];
  expect([pollThrottle.slowed, watchers.size]).toEqual([2, 2]);
  leaving.abort();
  await turns[0];
  expect([pollThrottle.slowed, watchers.size]).toEqual([1, 1]);
  change();
  await turns[1];
  expect([pollThrottle.slowed, watchers.size]).toEqual([0, 0]);
  await expect(pollThrottle.admit("t", ADA, { gone: leaving.signal })).resolves.toBeUndefined();
});

test("nobody waits for a gateway that stops", async () => {
  const { pollThrottle, watchers, letThrough } = paced();
  pollThrottle.told("t", ADA, 60_000);
  letThrough(30);
  const waiting = pollThrottle.admit("t", ADA, here());
  pollThrottle.stop();
  await waiting;
  expect([pollThrottle.slowed, watchers.size]).toEqual([0, 0]);
  expect(letThrough(100)).toBe(100);
});

test("nobody waits for longer than the interval, whatever was asked before", async () => {
  const { pollThrottle, letThrough } = paced();
  pollThrottle.told("t", ADA, 20);
  letThrough(50);
  await pollThrottle.admit("t", ADA, here());
  expect(pollThrottle.slowed).toBeLessThanOrEqual(20);
});

test("nobody waits for longer than one answer may take, however long the interval", async () => {
  const { pollThrottle, letThrough } = paced({ maxWaitMs: 20 });
  pollThrottle.told("t", ADA, 3_600_000);
  letThrough(50);
  await pollThrottle.admit("t", ADA, here());
  await expect.poll(() => pollThrottle.slowed).toBe(0);
});

test("a task that nobody polls any more is forgotten", () => {
  const { pollThrottle, time, letThrough } = paced();
  for (let task = 0; task < 100; task += 1) pollThrottle.told(`${task}`, ADA, 1_000);
  pollThrottle.told("t", ADA, 1_000);
  expect(letThrough(30)).toBe(30);
  time.now += 2_500;
  pollThrottle.told("another", ADA, 1_000);
  // The one that was polled so often is not idle yet.
  expect(pollThrottle.size).toBe(2);
  time.now += 4_000;
  pollThrottle.told("another", ADA, 1_000);
  expect(pollThrottle.size).toBe(1);
});

test("one poll each of as many tasks as a caller may have can wait", async () => {
  const { pollThrottle, change } = paced();
  const polls = Array.from({ length: 2_000 }, (_, task) => {
    pollThrottle.told(`${task}`, ADA, 60_000);
    return Array.from({ length: 31 }, () => pollThrottle.admit(`${task}`, ADA, here()));
  });
  expect(polls.flat().filter((turn) => turn !== undefined)).toHaveLength(2_000);
  expect(pollThrottle.slowed).toBe(2_000);
  change();
  await Promise.all(polls.flat());
});

test("of those who wait there are only so many, and the others are told when to come back", async () => {
  const { pollThrottle, change, letThrough } = paced({ max: { perCaller: 32, total: 1_000 } });
  pollThrottle.told("t", ADA, 60_000);
  letThrough(30 + 32);
  expect(() => pollThrottle.admit("t", ADA, here())).toThrow(
    expect.objectContaining({
      httpStatus: 429,
      headers: { "Retry-After": "60" },
      data: { limit: "pollInterval", max: "60000ms", retryable: true, retryAfterMs: 60_000 },
    }) as Error,
  );
  change();
  await expect.poll(() => pollThrottle.slowed).toBe(0);
});
