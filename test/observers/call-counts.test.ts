import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CallCounts, HOUR_MS } from "../../src/observers/calls/call-counts.ts";
import { Durations } from "../../src/observers/calls/durations.ts";
import type { Outcome, TaskRecord } from "../../src/store/task-store.ts";

const DAY_MS = 24 * HOUR_MS;

describe("durations", () => {
  test("are told to within an eighth, from a millisecond to a day", () => {
    const duration = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: DAY_MS }));
    fc.assert(
      fc.property(
        fc.array(duration, { minLength: 1, maxLength: 60 }),
        fc.constantFrom(0.5, 0.95, 1),
        (all, share) => {
          const durations = new Durations();
          for (const ms of all) durations.observe(ms);
          const sorted = all.toSorted((one, other) => one - other);
          const exact = sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
          const told = durations.quantile(share);
          expect(told).toBeGreaterThanOrEqual(exact * 0.8 - 1);
          expect(told).toBeLessThanOrEqual(exact * 1.25 + 1);
          expect(durations.maxMs).toBe(sorted.at(-1));
        },
      ),
    );
  });

  test("that are all the same are told exactly", () => {
    const durations = new Durations();
    for (let n = 0; n < 100; n += 1) durations.observe(41_000);
    expect([0.5, 0.95].map((share) => durations.quantile(share))).toEqual([41_000, 41_000]);
    expect([1_000, 30_000, 60_000].map((ms) => durations.above(ms))).toEqual([100, 100, 0]);
  });

  test("of nothing, of less than nothing and of more than a day have a place", () => {
    const durations = new Durations();
    expect(durations.quantile(0.5)).toBe(0);
    for (const ms of [0, -1, 0.4, 3 * DAY_MS, Number.POSITIVE_INFINITY]) durations.observe(ms);
    expect(durations.count).toBe(5);
    expect(durations.above(DAY_MS / 2)).toBe(2);
  });
});

const call = (name: unknown) => ({ method: "tools/call", params: { name } });

/** Counts with a clock that only the test moves. */
function counting(listed: readonly string[] = ["render"]) {
  let now = 1_000;
  const servers = [
    {
      name: "reports",
      lists: (tool: string) => listed.includes(tool),
    },
  ];
  const counts = new CallCounts({ servers: () => servers, now: () => now });
  const pass = (ms: number) => {
    now += ms;
  };
  const counted = (hours?: number) =>
    Object.fromEntries(
      (counts.count(hours).servers.get("reports") ?? []).map(({ tool, answered, abandoned }) => [
        tool,
        [answered.count, abandoned.count],
      ]),
    );
  /** A call that is sent at once. */
  const begin = (name: unknown) => {
    const begun = counts.begin("reports", call(name));
    begun?.sent();
    return begun;
  };
  return { counts, begin, pass, counted };
}

test("a call counts once, by how it ended first", () => {
  const { counts, begin, pass, counted } = counting();
  const begun = (["answered", "abandoned", "failed", "refused", "interim"] as const).map(
    (ending) => [begin("render"), ending] as const,
  );
  pass(41_000);
  for (const [one, ending] of begun) {
    one?.end(ending);
    one?.end("answered");
  }
  expect(counted()).toEqual({ render: [1, 1] });
  const [{ answered, abandoned } = { answered: new Durations(), abandoned: new Durations() }] =
    counts.count().servers.get("reports") ?? [];
  expect([answered.maxMs, abandoned.maxMs]).toEqual([41_000, 41_000]);
});

test("a call counts from when it is sent, and not if it never was", () => {
  const { counts, pass, counted } = counting();
  const begun = Array.from({ length: 4 }, () => counts.begin("reports", call("render")));
  pass(30_000);
  for (const one of begun.slice(0, 2)) one?.sent();
  pass(40);
  for (const [n, one] of begun.entries()) one?.end(n % 2 === 0 ? "answered" : "abandoned");
  expect(counted()).toEqual({ render: [1, 1] });
  const [render] = counts.count().servers.get("reports") ?? [];
  expect([render?.answered.maxMs, render?.abandoned.maxMs]).toEqual([40, 40]);
});

test("the oldest call at a server is the one that was sent first of those that are not over", () => {
  const { counts, begin, pass } = counting();
  const queued = counts.begin("reports", call("render"));
  expect(counts.oldestMs("reports")).toBeUndefined();
  const first = begin("render");
  pass(1_000);
  const second = begin("render");
  pass(100);
  expect([counts.oldestMs("reports"), counts.oldestMs("nobody")]).toEqual([1_100, undefined]);
  first?.sent();
  expect(counts.oldestMs("reports")).toBe(100);
  for (const one of [first, second, queued]) one?.end("interim");
  queued?.sent();
  expect(counts.oldestMs("reports")).toBeUndefined();
});

test("only calls count, of servers that there are", () => {
  const { counts } = counting();
  for (const message of [{ method: "tools/list" }, [call("render")], null, undefined, "tools/call"])
    expect(counts.begin("reports", message)).toBeUndefined();
  expect(counts.begin("nobody", call("render"))).toBeUndefined();
});

test("a tool has a name of its own if the server lists it, 200 at most", () => {
  const listed = Array.from({ length: 300 }, (_, n) => `tool-${n}`);
  const { begin, counted } = counting(listed);
  for (const name of [...listed, "made up", 7, undefined]) begin(name)?.end("answered");
  const all = counted();
  expect(Object.keys(all)).toHaveLength(201);
  expect(all._other).toEqual([103, 0]);
});

test("what was counted is told by the hour for a day, and all of it since the start", () => {
  const { counts, begin, pass, counted } = counting();
  const end = (count: number) => {
    for (let n = 0; n < count; n += 1) begin("render")?.end("answered");
  };
  end(1);
  pass(2.5 * HOUR_MS);
  end(10);
  expect([1, 2, undefined].map((hours) => counted(hours).render?.[0])).toEqual([10, 11, 11]);
  expect(counts.count(1).sinceMs).toBe(1.5 * HOUR_MS);
  expect(counts.count(2).sinceMs).toBe(2.5 * HOUR_MS);
  expect(counts.count(24).sinceMs).toBe(2.5 * HOUR_MS);
  pass(22 * HOUR_MS);
  end(100);
  expect([1, 21, 22, 24, undefined].map((hours) => counted(hours).render?.[0])).toEqual([
    100, 100, 110, 111, 111,
  ]);
  expect(counts.count(24).sinceMs).toBe(24.5 * HOUR_MS);
  pass(40 * HOUR_MS);
  expect([24, undefined].map((hours) => counted(hours).render?.[0])).toEqual([0, 111]);
  // The ring has gone round: an hour of the day before does not come back.
  end(1_000);
  expect([24, undefined].map((hours) => counted(hours).render?.[0])).toEqual([1_000, 1_111]);
});

test("a call that became a task counts when that has its result, from when it was sent", () => {
  const { counts, counted } = counting();
  const task = { id: "i", route: "reports", tool: "render", createdAt: 50_000 } as TaskRecord;
  const sent = [{ at: 5_000, what: "sent" }] as const;
  const ended = (record: TaskRecord, outcome: Outcome) =>
    counts.observe({ kind: "ended", task: record, outcome });
  const completed: Outcome = { kind: "completed", endedAt: 65_000, result: "{}" as never };
  ended({ ...task, story: sent }, completed);
  ended(task, { ...completed, failure: "the tool says so" });
  expect(counted()).toEqual({ render: [2, 0] });
  const [render] = counts.count().servers.get("reports") ?? [];
  expect([render?.answered.quantile(0.1), render?.answered.maxMs]).toEqual([15_000, 60_000]);

  const again = [
    { at: 52_000, what: "sent" },
    { at: 64_000, what: "sent" },
  ] as const;
  ended({ ...task, tool: "queued", story: [again[0]] }, completed);
  ended({ ...task, tool: "made again", story: again }, completed);
  const others = counts.count().servers.get("reports")?.[1];
  expect([others?.answered.quantile(0.1), others?.answered.maxMs]).toEqual([1_000, 13_000]);
  expect(counted()).toEqual({ render: [2, 0], _other: [2, 0] });

  ended({ ...task, story: [...sent, { at: 6_000, what: "asked", count: 1 }] }, completed);
  ended(task, { kind: "cancelled", endedAt: 65_000 });
  ended(task, { kind: "lost", endedAt: 65_000, reason: "" });
  expect(counted()).toEqual({ render: [2, 0], _other: [2, 0] });
});
