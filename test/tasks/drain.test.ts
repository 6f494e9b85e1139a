import { expect, test } from "vitest";
import { Drain } from "../../src/tasks/drain.ts";

function drained({ restartGapMs = 5_000, maxWaitMs = 45_000 } = {}) {
  const time = { now: 0 };
  return { time, drain: new Drain({ restartGapMs, maxWaitMs, clock: () => time.now }) };
}

test.for([
  ["as usual while there is time", 10_000, 0, 500, 500],
  ["longer than the restart where the drain is over by then", 10_000, 9_500, 500, 7_000],
  ["longer than the restart where the drain has no time", 0, 0, 500, 7_000],
  ["as usual where that is longer still", 1_000, 900, 60_000, 60_000],
] as const)("clients are told to come back %s", ([, timeoutMs, now, usualMs, expected]) => {
  const { drain, time } = drained();
  expect(drain.intervalMs(usualMs)).toBe(usualMs);
  drain.begin(timeoutMs);
  time.now = now;
  expect(drain.intervalMs(usualMs)).toBe(expected);
});

test("all have fetched what there is when the last one has", async () => {
  const { drain } = drained();
  for (const id of ["a", "b"]) drain.told(id, 60_000);
  let isOver = false;
  const over = drain.allFetched().then(() => {
    isOver = true;
  });
  drain.fetched("a");
  await Promise.resolve();
  expect(isOver).toBe(false);
  drain.fetched("b");
  await over;
});

test.for([
  ["nobody polls", []],
  ["they were to come back twice", [100]],
] as const)("nobody is waited for where %s", async ([, told]) => {
  const { drain, time } = drained();
  for (const intervalMs of told) drain.told("a", intervalMs);
  time.now = 200;
  await drain.allFetched();
});

test("nobody is waited for once the drain is over", async () => {
  const { drain } = drained();
  drain.told("a", 60_000);
  const over = drain.allFetched();
  drain.end();
  await over;
});

test.for(["gone", "over", "late"] as const)(
  "a poll waits until its client or its time has gone: %s",
  async (why) => {
    const { drain } = drained({ maxWaitMs: why === "late" ? 1 : 60_000 });
    const client = new AbortController();
    const wait = drain.wait(
      client.signal,
      (until) =>
        new Promise((resolve) => {
          if (until.aborted) resolve("given up");
          until.addEventListener("abort", () => resolve("given up"));
        }),
    );
    if (why === "gone") client.abort();
    if (why === "over") drain.end();
    expect(await wait).toBe("given up");
  },
);

test("a task whose client does not come back is forgotten", () => {
  const { drain, time } = drained();
  for (let task = 0; task < 100; task += 1) drain.told(`${task}`, 500);
  expect(drain.polled).toBe(100);
  time.now = 1_000;
  drain.told("another", 500);
  expect(drain.polled).toBe(1);
});

test("no more tasks are remembered than there is room for", async () => {
  const { drain } = drained();
  for (let task = 0; task < 50_000; task += 1) drain.told(`${task}`, 60_000);
  const over = drain.allFetched();
  for (let task = 30_000; task < 50_000; task += 1) drain.fetched(`${task}`);
  await over;
});
