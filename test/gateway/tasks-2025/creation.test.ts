/** `tools/call` with `task` (2025-11-25, Tasks §Creating Tasks, §Tool-Level Negotiation). */

import { expect, test } from "vitest";
import { LegacyWire } from "../../support/legacy-wire.ts";
import { count, gate, type StorySettings, story } from "../../support/story.ts";

const SILENT = { "tools/call": () => undefined } as const;
const CALL = { name: "t", arguments: {}, task: {} };

async function told(settings: StorySettings = {}) {
  const { url, server } = await story(SILENT, settings);
  return { server, user: await LegacyWire.connect(url) };
}

test("the handle is a task in an envelope, without the result of anything", async () => {
  const { user } = await told();
  const { message, headers, status } = await user.send("tools/call", CALL, { id: "mine" });
  expect([status, headers["content-type"]]).toEqual([200, "application/json"]);
  expect(message).toEqual({
    jsonrpc: "2.0",
    id: "mine",
    result: {
      task: {
        taskId: expect.stringMatching(/^[\w-]{22,}$/),
        status: "working",
        statusMessage: expect.any(String),
        createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        lastUpdatedAt: expect.stringMatching(/Z$/),
        ttl: 3_600_000,
        pollInterval: 50,
      },
    },
  });
});

test("the policy's word for the model comes along", async () => {
  const { user } = await told({ policy: { immediateResponse: "It is being printed." } });
  const { _meta } = await user.result("tools/call", CALL);
  expect(_meta).toEqual({ "io.modelcontextprotocol/model-immediate-response": "It is being printed." });
});

test.each(["auto", "always", "required"] as const)(
  "a tool of mode %s can be called as a task",
  async (mode) => {
    const { user, server } = await told({ policy: { mode } });
    const { taskId } = await user.begin("t");
    expect(await user.task(taskId)).toMatchObject({ taskId, status: "working" });
    await server.arrival("tools/call");
  },
);

test("a call that ends while the handle is on its way is a task all the same", async () => {
  const { url } = await story({ "tools/call": (call) => call.text("quick") });
  const user = await LegacyWire.connect(url);
  const task = await user.begin("t");
  expect(task.status).toBe("working");
  expect(await user.taskThat(task.taskId, "completed")).not.toHaveProperty("statusMessage");
});

test("the task is known when its handle arrives, and to whoever asks without waiting for it", async () => {
  const { user } = await told({ policy: { mode: "always" } });
  const { taskId } = await user.begin("t");
  const asked = await Promise.all([user.task(taskId), user.task(taskId)]);
  expect(asked.map((task) => task.taskId)).toEqual([taskId, taskId]);
});

test("no two tasks have one id", async () => {
  const { user } = await told({ policy: { mode: "always" } });
  const tasks = await Promise.all(Array.from({ length: 20 }, () => user.begin("t")));
  expect(new Set(tasks.map(({ taskId }) => taskId)).size).toBe(20);
});

test("a tool that must not be a task is refused, and the server not asked", async () => {
  const { user, server } = await told({ policy: { mode: "never" } });
  const { status, message } = await user.send("tools/call", CALL);
  expect([status, message.error]).toEqual([
    200,
    { code: -32601, message: '"t" cannot be called as a task (taskSupport is forbidden)' },
  ]);
  expect(count(server, "tools/call")).toBe(0);
});

test("a tool that must be a task is refused without, and the server not asked", async () => {
  const { user, server } = await told({ policy: { mode: "required" } });
  const { status, message } = await user.send("tools/call", { name: "t" });
  expect([status, message.error]).toEqual([
    200,
    {
      code: -32601,
      message: '"t" must be called as a task: params.task is missing (taskSupport is required)',
    },
  ]);
  expect(count(server, "tools/call")).toBe(0);
});

test.each([
  ["task is null", { ...CALL, task: null }, "task must be an object"],
  ["task is a boolean", { ...CALL, task: true }, "task must be an object"],
  ["task is a list", { ...CALL, task: [] }, "task must be an object"],
  ["there is no name", { task: {} }, "name must be a string"],
  ["the name is a number", { ...CALL, name: 1 }, "name must be a string"],
  ["arguments are a list", { ...CALL, arguments: [] }, "arguments must be an object"],
  ["arguments are a text", { ...CALL, arguments: "{}" }, "arguments must be an object"],
  ["arguments are null", { ...CALL, arguments: null }, "arguments must be an object"],
])("nothing is begun when %s", async (_, params, detail) => {
  const { user, server } = await told();
  const { status, message } = await user.send("tools/call", params, { id: 7 });
  expect(status).toBe(200);
  expect(message).toEqual({
    jsonrpc: "2.0",
    id: 7,
    error: { code: -32602, message: `Invalid params: ${detail}` },
  });
  expect(count(server, "tools/call")).toBe(0);
});

test("params that are no object are refused", async () => {
  const { user, server } = await told();
  const { message } = await user.post({ jsonrpc: "2.0", id: 1, method: "tasks/get", params: ["id"] }).answer;
  expect(message.error.code).toBe(-32602);
  expect(count(server, "tasks/get")).toBe(0);
});

test("a tool that the server does not know makes a task that fails with the server's word", async () => {
  const { url } = await story({ "tools/call": (call) => call.error(-32602, "Unknown tool: t") });
  const user = await LegacyWire.connect(url);
  const { taskId } = await user.begin("t");
  expect(await user.taskThat(taskId, "failed")).toMatchObject({ statusMessage: "Unknown tool: t" });
  expect(await user.error("tasks/result", { taskId })).toEqual({ code: -32602, message: "Unknown tool: t" });
});

test("sessions of an older revision are not looked at for tasks", async () => {
  const { url, server } = await story({ "tools/call": (call) => call.json({ got: call.message.params }) });
  const user = await LegacyWire.connect(url, { version: "2025-06-18" });
  expect(await user.result("tools/call", CALL)).toEqual({ got: CALL });
  expect(await user.error("tasks/get", { taskId: "x" })).toMatchObject({
    message: "no script for tasks/get",
  });
  expect(count(server, "tasks/get")).toBe(1);
});

test("a client that hangs up before the handle cancels nothing", async () => {
  const done = gate();
  const { url, server } = await story(
    {
      "tools/call": async (call) => {
        await done.opened;
        call.text("done");
      },
    },
    { policy: { waitForMs: 60_000 } },
  );
  const user = await LegacyWire.connect(url);
  const leaving = user.open("tools/call", CALL);
  const call = await server.arrival("tools/call");
  leaving.leave();
  await leaving.over();
  await user.result("ping");
  expect(count(server, "notifications/cancelled")).toBe(0);
  done.open();
  await call.closed;
  expect(count(server, "notifications/cancelled")).toBe(0);
});
