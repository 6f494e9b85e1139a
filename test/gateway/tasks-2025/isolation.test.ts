/** Whose tasks they are (2025-11-25, Tasks §Task Isolation and Access Control). */

import { expect, test } from "vitest";
import { byName, LegacyWire } from "../../support/legacy-wire.ts";
import { asksOnce, count, type StorySettings, story } from "../../support/story.ts";

const SETTINGS: StorySettings = { policy: { mode: "always" }, identify: byName };
const METHODS = ["tasks/get", "tasks/result", "tasks/cancel"] as const;
const UNKNOWN = { code: -32602, message: "Failed to retrieve task: no such task" };

async function told(settings: StorySettings = {}) {
  const { url, server } = await story({ "tools/call": asksOnce }, { ...SETTINGS, ...settings });
  const as = (name: string) => LegacyWire.connect(url, { headers: { "x-user": name } });
  const [ada, eve] = [await as("ada"), await as("eve")];
  const { taskId } = await ada.begin("t");
  await ada.taskThat(taskId, "input_required");
  return { as, ada, eve, server, taskId };
}

test.each(METHODS)("%s of another's task says the same as of none", async (method) => {
  const { ada, eve, taskId } = await told();
  const [foreign, unknown] = [
    await eve.send(method, { taskId }, { id: 1 }),
    await eve.send(method, { taskId: "AAAAAAAAAAAAAAAAAAAAAAAA" }, { id: 1 }),
  ];
  expect(foreign.message).toEqual({ jsonrpc: "2.0", id: 1, error: UNKNOWN });
  expect([foreign.status, foreign.text]).toEqual([unknown.status, unknown.text]);
  expect(Object.keys(foreign.headers)).toEqual(Object.keys(unknown.headers));
  expect(await ada.task(taskId)).toMatchObject({ status: "input_required" });
});

test("the same caller has its tasks in every session", async () => {
  const { as, taskId } = await told();
  const again = await as("ada");
  expect(await again.task(taskId)).toMatchObject({ status: "input_required" });
  expect(await again.result("tasks/cancel", { taskId })).toMatchObject({ status: "cancelled" });
});

test.each([
  ["nothing", {}],
  ["null", { taskId: null }],
  ["a number", { taskId: 7 }],
  ["an object", { taskId: {} }],
])("a task is not named by %s", async (_, params) => {
  const { ada, server } = await told();
  for (const method of METHODS) {
    const { status, message } = await ada.send(method, params);
    expect([status, message.error]).toEqual([
      200,
      { code: -32602, message: "Invalid params: taskId must be a string" },
    ]);
    expect(count(server, method)).toBe(0);
  }
});

test.each(["", "../etc", "task:x", "é\u0000", "x".repeat(10_000)])(
  "no task has an odd id",
  async (taskId) => {
    const { ada } = await told();
    for (const method of METHODS) expect(await ada.error(method, { taskId })).toEqual(UNKNOWN);
  },
);

test("another's answer to a question changes nothing, and is not even told so", async () => {
  const { ada, eve, server, taskId } = await told();
  const waiting = ada.open("tasks/result", { taskId });
  const { id } = await waiting.heard("elicitation/create");
  const { status, text } = await eve.respond(id, { result: { action: "accept", content: { name: "Eve" } } });
  expect([status, text]).toEqual([202, ""]);
  expect(await ada.task(taskId)).toMatchObject({ status: "input_required" });
  expect(count(server, "answer")).toBe(0);

  await ada.respond(id, { result: { action: "accept", content: { name: "Ada" } } });
  expect((await waiting.answer).message.result.content[0].text).toContain("Ada");
});

test("another's answer does not keep the client from hearing that its question is withdrawn", async () => {
  const { ada, eve, taskId } = await told();
  const waiting = ada.open("tasks/result", { taskId });
  const { id } = await waiting.heard("elicitation/create");
  await eve.respond(id, { result: { action: "accept" } });
  await ada.result("tasks/cancel", { taskId });
  expect((await waiting.heard("notifications/cancelled")).params).toEqual({ requestId: id });
});

test("another's notification takes no request back", async () => {
  const { ada, eve, taskId } = await told();
  const waiting = ada.open("tasks/result", { taskId }, { id: 1 });
  const { id } = await waiting.heard("elicitation/create");
  const headers = { "mcp-session-id": ada.sessionId };
  await eve.post({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } }, headers)
    .answer;
  await ada.respond(id, { result: { action: "decline" } });
  expect((await waiting.answer).message.id).toBe(1);
});

test("where callers are not told apart the id is the only key, in every session", async () => {
  const { url } = await story({ "tools/call": asksOnce }, { policy: { mode: "always" } });
  const [one, other] = [await LegacyWire.connect(url), await LegacyWire.connect(url)];
  const { taskId } = await one.begin("t");
  expect(await other.task(taskId)).toMatchObject({ taskId });
});
