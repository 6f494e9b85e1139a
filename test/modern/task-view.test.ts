import { expect, test } from "vitest";
import { modernDetailedTask, modernTask } from "../../src/modern/task-view.ts";
import type { JsonText } from "../../src/protocol/jsonrpc.ts";
import type { Outcome, TaskRecord } from "../../src/store/task-store.ts";
import { BORN, MINUTE_MS, TASK } from "../store/samples.ts";

const ASKING: TaskRecord = { ...TASK, inputRequests: { k: { method: "roots/list" } } };
const endedAt = BORN + 2 * MINUTE_MS;
const result = '{"content":[],"x":1}' as JsonText;
const completed: Outcome = { kind: "completed", endedAt, result };

test("a task shows what every state has, and nothing of ours", () => {
  expect(JSON.parse(modernTask({ task: TASK }, BORN + 5, {}))).toEqual({
    taskId: "id",
    status: "working",
    statusMessage: "running",
    createdAt: "2026-07-28T00:00:00.000Z",
    lastUpdatedAt: "2026-07-28T00:00:00.005Z",
    ttlMs: 10 * MINUTE_MS + 5,
    pollIntervalMs: 500,
  });
});

const OUTCOMES: [string, TaskRecord, Outcome | undefined, object][] = [
  ["working", TASK, undefined, { status: "working", statusMessage: "running" }],
  ["asking", ASKING, undefined, { status: "input_required", inputRequests: { k: { method: "roots/list" } } }],
  [
    "completed",
    TASK,
    completed,
    { status: "completed", result: { resultType: "complete", content: [], x: 1 } },
  ],
  [
    "completed with an empty result",
    TASK,
    { ...completed, result: "{}" as JsonText },
    { status: "completed", result: { resultType: "complete" } },
  ],
  [
    "completed with a result that says its own type",
    TASK,
    { ...completed, result: '{"resultType":"odd","a":1}' as JsonText },
    { status: "completed", result: { resultType: "odd", a: 1 } },
  ],
  [
    "failed",
    TASK,
    { kind: "failed", endedAt, error: { code: -32000, message: "no", data: [1] } },
    { status: "failed", statusMessage: "no", error: { code: -32000, message: "no", data: [1] } },
  ],
  [
    "failed with a code that is reserved now",
    TASK,
    { kind: "failed", endedAt, error: { code: -32042, message: "no" } },
    {
      status: "failed",
      error: { code: -32603, message: "no", data: { upstream: { code: -32042, message: "no" } } },
    },
  ],
  [
    "failed with a code of the gateway's",
    TASK,
    { kind: "failed", endedAt, error: { code: -32021, message: "no" }, isOurs: true },
    { status: "failed", error: { code: -32021, message: "no" } },
  ],
  [
    "cancelled",
    TASK,
    { kind: "cancelled", endedAt, reason: "why" },
    { status: "cancelled", statusMessage: "why" },
  ],
  [
    "lost",
    TASK,
    { kind: "lost", endedAt, reason: "gone" },
    { status: "failed", statusMessage: "gone", error: { code: -32603, message: "gone" } },
  ],
];

test.each(OUTCOMES)("a task that is %s", (_, task, outcome, expected) => {
  const view = outcome === undefined ? { task } : { task, outcome };
  const shown = JSON.parse(modernDetailedTask(view, endedAt, { resultType: "complete" }));
  expect(shown).toMatchObject({ resultType: "complete", ...expected });
  const own = ["result", "error", "inputRequests"].filter((key) => key in shown);
  expect(own).toEqual(
    Object.keys(expected).filter((key) => ["result", "error", "inputRequests"].includes(key)),
  );
});

test("a finished task looks the same whenever it is looked at", () => {
  const view = { task: ASKING, outcome: completed };
  const soon = modernDetailedTask(view, endedAt, {});
  expect(modernDetailedTask(view, endedAt + 5 * MINUTE_MS, {})).toBe(soon);
  expect(JSON.parse(soon)).toMatchObject({
    ttlMs: 12 * MINUTE_MS,
    lastUpdatedAt: new Date(endedAt).toISOString(),
  });
});

test("a result goes out to the letter", () => {
  const large = `{"n":1.0,"big":12345678901234567890,"s":"\\u00e9"}` as JsonText;
  const shown = modernDetailedTask({ task: TASK, outcome: { ...completed, result: large } }, endedAt, {});
  expect(shown).toContain(`"result":{"resultType":"complete",${large.slice(1)}`);
});

test.each([
  [0, 500],
  [9_999, 500],
  [20_000, 1_000],
  [MINUTE_MS, 3_000],
  [60 * MINUTE_MS, 10_000],
])("after %i ms the client is told to wait %i ms", (age, pollIntervalMs) => {
  expect(JSON.parse(modernTask({ task: TASK }, BORN + age, {}))).toMatchObject({
    pollIntervalMs,
    ttlMs: age + 10 * MINUTE_MS,
  });
});

test("a poll interval above the maximum stays as it was set", () => {
  const terms = { ...TASK.terms, pollIntervalMs: 20_000 };
  expect(JSON.parse(modernTask({ task: { ...TASK, terms } }, BORN + 60 * MINUTE_MS, {}))).toMatchObject({
    pollIntervalMs: 20_000,
  });
});

test("a clock that was set back makes no task older than its creation", () => {
  const back = { ...TASK, updatedAt: BORN - MINUTE_MS };
  expect(JSON.parse(modernTask({ task: back }, BORN - MINUTE_MS, {}))).toMatchObject({
    lastUpdatedAt: "2026-07-28T00:00:00.000Z",
    ttlMs: 10 * MINUTE_MS,
    pollIntervalMs: 500,
  });
  expect(modernTask({ task: back }, BORN, {})).toContain('"ttlMs":600000');
});
