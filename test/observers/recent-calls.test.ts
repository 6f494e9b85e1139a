import { expect, test } from "vitest";
import { CallCounts } from "../../src/observers/calls/call-counts.ts";
import { STEP_MS, STEPS } from "../../src/observers/calls/recent-calls.ts";
import type { TaskRecord } from "../../src/store/task-store.ts";

const CALL = { method: "tools/call", params: { name: "render" } };
const NONE = { answered: 0, abandoned: 0, failed: 0, refused: 0, interim: 0 };

function counting() {
  let now = 0;
  const counts = new CallCounts({
    servers: () => [{ name: "reports", lists: () => true }],
    now: () => now,
  });
  const pass = (ms: number) => {
    now += ms;
  };
  return { counts, pass };
}

test("what became of calls is told by steps, and the last has only begun", () => {
  const { counts, pass } = counting();
  expect(counts.recent()).toHaveLength(STEPS);
  const begun = (["answered", "abandoned", "failed", "refused", "interim", "answered"] as const).map(
    (ending) => [counts.begin("reports", CALL), ending] as const,
  );
  for (const [call] of begun) call?.sent();
  pass(700);
  for (const [call, ending] of begun) call?.end(ending);
  expect(counts.recent().at(-1)).toEqual({
    calls: { answered: 2, abandoned: 1, failed: 1, refused: 1, interim: 1 },
    p50Ms: 700,
    p95Ms: 700,
    tasks: { completed: 0, tool_error: 0, failed: 0, cancelled: 0, lost: 0 },
  });
  pass(STEP_MS);
  const [before, last] = counts.recent().slice(-2);
  expect([before?.calls.answered, last?.calls]).toEqual([2, NONE]);
});

test("a quarter of an hour later nothing is left of it, not even where nothing came after", () => {
  const { counts, pass } = counting();
  counts.begin("reports", CALL)?.end("answered");
  pass((STEPS - 1) * STEP_MS);
  expect(counts.recent()[0]?.calls.answered).toBe(1);
  pass(STEP_MS);
  expect(counts.recent().map(({ calls }) => calls)).toEqual(Array.from({ length: STEPS }, () => NONE));
  counts.begin("reports", CALL)?.end("abandoned");
  expect(counts.recent().at(-1)?.calls).toEqual({ ...NONE, abandoned: 1 });
});

test("tasks are told when they end, and how long their calls took if they have a result", () => {
  const { counts } = counting();
  const task = { id: "i", route: "reports", tool: "render", createdAt: 1_000 } as TaskRecord;
  const result = "{}" as never;
  counts.observe({ kind: "ended", task, outcome: { kind: "completed", endedAt: 61_000, result } });
  counts.observe({
    kind: "ended",
    task,
    outcome: { kind: "completed", endedAt: 61_000, result, failure: "x" },
  });
  counts.observe({ kind: "ended", task, outcome: { kind: "lost", endedAt: 2_000, reason: "" } });
  expect(counts.recent().at(-1)).toMatchObject({
    calls: NONE,
    p50Ms: 60_000,
    tasks: { completed: 1, tool_error: 1, failed: 0, cancelled: 0, lost: 1 },
  });
});
