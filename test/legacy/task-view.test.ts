import { expect, test } from "vitest";
import { legacyQuestion, legacyResult, legacyTask, relatedTo } from "../../src/legacy/task-view.ts";
import type { JsonObject, JsonText } from "../../src/protocol/jsonrpc.ts";
import type { Outcome, TaskRecord } from "../../src/store/task-store.ts";
import { BORN, MINUTE_MS, TASK } from "../store/samples.ts";

const ASKING: TaskRecord = { ...TASK, inputRequests: { k: { method: "roots/list" } } };
const endedAt = BORN + 2 * MINUTE_MS;
const result = "{}" as JsonText;
const RELATED = { "io.modelcontextprotocol/related-task": { taskId: "id" } };

test("a task shows what 2025-11-25 has a name for, and nothing of ours", () => {
  expect(legacyTask({ task: TASK }, BORN + 5)).toEqual({
    taskId: "id",
    status: "working",
    statusMessage: "running",
    createdAt: "2026-07-28T00:00:00.000Z",
    lastUpdatedAt: "2026-07-28T00:00:00.005Z",
    ttl: 10 * MINUTE_MS + 5,
    pollInterval: 500,
  });
});

const OUTCOMES: [string, TaskRecord, Outcome | undefined, string, string | undefined][] = [
  ["working", TASK, undefined, "working", "running"],
  ["asking", ASKING, undefined, "input_required", "waiting for the client's input"],
  ["completed", TASK, { kind: "completed", endedAt, result }, "completed", undefined],
  [
    "completed with what its tool calls an error",
    TASK,
    { kind: "completed", endedAt, result, failure: "no paper" },
    "failed",
    "no paper",
  ],
  [
    "completed with an error without a word",
    TASK,
    { kind: "completed", endedAt, result, failure: "" },
    "failed",
    "",
  ],
  ["failed", TASK, { kind: "failed", endedAt, error: { code: 1, message: "no" } }, "failed", "no"],
  ["cancelled", TASK, { kind: "cancelled", endedAt, reason: "why" }, "cancelled", "why"],
  ["cancelled without a word", TASK, { kind: "cancelled", endedAt }, "cancelled", undefined],
  ["lost", TASK, { kind: "lost", endedAt, reason: "gone" }, "failed", "gone"],
  ["over with a question open", ASKING, { kind: "lost", endedAt, reason: "gone" }, "failed", "gone"],
];

test.each(OUTCOMES)("a task that is %s", (_, task, outcome, status, statusMessage) => {
  const view = outcome === undefined ? { task } : { task, outcome };
  const shown = legacyTask(view, endedAt);
  expect(shown.status).toBe(status);
  expect(shown.statusMessage).toBe(statusMessage);
  expect(Object.hasOwn(shown, "statusMessage")).toBe(statusMessage !== undefined);
});

test("a finished task looks the same whenever it is looked at", () => {
  const view = { task: ASKING, outcome: { kind: "completed", endedAt, result } } as const;
  const soon = legacyTask(view, endedAt);
  expect(legacyTask(view, endedAt + 5 * MINUTE_MS)).toEqual(soon);
  expect(soon).toMatchObject({ ttl: 12 * MINUTE_MS, lastUpdatedAt: "2026-07-28T00:02:00.000Z" });
});

test("the time to stay grows while the task runs, and so does the time between two looks", () => {
  expect(legacyTask({ task: TASK }, BORN + MINUTE_MS)).toMatchObject({
    ttl: 11 * MINUTE_MS,
    pollInterval: 3_000,
  });
  expect(legacyTask({ task: TASK }, BORN + 60 * MINUTE_MS)).toMatchObject({ pollInterval: 10_000 });
});

test("a clock that was set back makes no task older than its creation", () => {
  const back = { ...TASK, updatedAt: BORN - MINUTE_MS };
  expect(legacyTask({ task: back }, BORN - MINUTE_MS)).toMatchObject({
    lastUpdatedAt: "2026-07-28T00:00:00.000Z",
    ttl: 10 * MINUTE_MS,
    pollInterval: 500,
  });
});

test.each<[string, string, JsonObject]>([
  ["nothing", "{}", {}],
  ["something", '{"content":[]}', { content: [] }],
  ["meta first", '{"_meta":{"a":1},"content":[]}', { _meta: { a: 1 }, content: [] }],
  ["empty meta", '{"_meta":{},"content":[]}', { content: [] }],
  ["meta that is none", '{"_meta":7,"content":[]}', { content: [] }],
  ["meta that is null", '{"_meta":null}', {}],
  [
    "a type, then meta",
    '{"resultType":"x","_meta":{"a":1},"b":2}',
    { resultType: "x", _meta: { a: 1 }, b: 2 },
  ],
  ["a type and no meta", '{"resultType":"x","b":2}', { resultType: "x", b: 2 }],
  ["a key that begins like another", '{"_metadata":1,"resultTypes":2}', { _metadata: 1, resultTypes: 2 }],
  ["meta further down", '{"a":{"_meta":{"b":1}}}', { a: { _meta: { b: 1 } } }],
])("a result with %s says whose it is, once", (_, text, { _meta, ...rest }) => {
  const shown = legacyResult("id", text as JsonText);
  expect(JSON.parse(shown)).toEqual({ ...rest, _meta: { ...(_meta as object), ...RELATED } });
  expect(shown.split("related-task").length).toBe(2);
});

const RELATION = '"io.modelcontextprotocol/related-task":{"taskId":"id"}';

test.each([
  ['{"n":1.0,"big":12345678901234567890}', `{"_meta":{${RELATION}},"n":1.0,"big":12345678901234567890}`],
  ['{"_meta":{"n":1.0},"s":"\\u00e9"}', `{"_meta":{${RELATION},"n":1.0},"s":"\\u00e9"}`],
])("a result goes out to the letter: %s", (kept, sent) => {
  expect(legacyResult("id", kept as JsonText)).toBe(sent);
});

test("a question is asked as it was put, with its task beside what it says already", () => {
  expect(legacyQuestion({ method: "roots/list" }, "id")).toEqual({
    method: "roots/list",
    params: { _meta: RELATED },
  });
  const params = { mode: "url", elicitationId: "e", _meta: { "mcp-taskgate/key": "k", progressToken: 0 } };
  expect(legacyQuestion({ method: "elicitation/create", params }, "id")).toEqual({
    method: "elicitation/create",
    params: { ...params, _meta: { ...params._meta, ...RELATED } },
  });
});

test("another relation to a task is replaced, and nothing is changed in place", () => {
  const params = { _meta: { "io.modelcontextprotocol/related-task": { taskId: "other" }, a: 1 } };
  expect(relatedTo("id", params)).toEqual({ _meta: { a: 1, ...RELATED } });
  expect(params._meta["io.modelcontextprotocol/related-task"]).toEqual({ taskId: "other" });
});
