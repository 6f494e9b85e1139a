import { expect, onTestFinished, test } from "vitest";
import { startGateway } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { configFor } from "../support/gateway.ts";
import { ModernClient } from "../support/modern-client.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { count, expectCancelled, gate, type Story, story, textOf, textResult } from "../support/story.ts";

const ALWAYS = { policy: { mode: "always" } } as const;
const LONG = { "tools/call": () => undefined } as const;

test("a call that outlasts the window becomes a task, whose handle is flat and known at once", async () => {
  const done = gate();
  const { user } = await story({
    "tools/call": async (call) => {
      await done.opened;
      call.json({ content: [], isError: true, "x-unknown": { deep: [1, null] } });
    },
  });
  const handle = await user.callTool("t");
  expect(handle).toEqual({
    resultType: "task",
    taskId: expect.stringMatching(/^[\w-]{22,}$/),
    status: "working",
    statusMessage: "running",
    createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
    lastUpdatedAt: expect.any(String),
    ttlMs: expect.any(Number),
    pollIntervalMs: 50,
    _meta: { "io.modelcontextprotocol/serverInfo": { name: "scripted", version: "1.0.0" } },
  });
  expect(await user.task(handle.taskId)).toMatchObject({ resultType: "complete", status: "working" });
  done.open();
  const task = await user.settled(handle.taskId);
  expect(task).toMatchObject({ status: "completed", createdAt: handle.createdAt });
  expect(task).not.toHaveProperty("statusMessage");
  // A tool that failed has completed, and what it said is kept to the letter.
  expect(task.result).toEqual({
    resultType: "complete",
    content: [],
    isError: true,
    "x-unknown": { deep: [1, null] },
  });
  expect(await user.task(task.taskId)).toEqual(task);
});

test("an error of the server's makes the task fail with it", async () => {
  const { user } = await story(
    { "tools/call": (call) => call.error(-32001, "out of paper", { data: { tray: 2 } }) },
    { tools: [{ match: "task", mode: "always" }] },
  );
  const { taskId } = await user.callTool("task");
  expect(await user.settled(taskId)).toMatchObject({
    status: "failed",
    statusMessage: "out of paper",
    error: { code: -32001, message: "out of paper", data: { tray: 2 } },
  });
});

test("a client that hangs up before the handle cancels the call", async () => {
  const { user, server } = await story(LONG, { policy: { waitForMs: 60_000 } });
  const leaving = new AbortController();
  const pending = user.callTool("t", {}, { signal: leaving.signal });
  const call = await server.arrival("tools/call");
  leaving.abort();
  await expect(pending).rejects.toThrow();
  await expectCancelled(server, call);
  await call.closed;
});

test("a client that hangs up after the handle does not, and the result is kept for it", async () => {
  const done = gate();
  const { user, server } = await story({
    "tools/call": async (call) => {
      await done.opened;
      call.text("kept");
    },
  });
  const response = await user.open("tools/call", { name: "t" });
  const { result } = JSON.parse(await response.body.text());
  response.body.destroy();
  await user.task(result.taskId);
  done.open();
  expect(textOf((await user.settled(result.taskId)).result)).toBe("kept");
  expect(count(server, "notifications/cancelled")).toBe(0);
});

test("cancelling ends the task at once and for ever, and tells the server", async () => {
  const { user, server } = await story(LONG, ALWAYS);
  const { taskId } = await user.callTool("t");
  const call = await server.arrival("tools/call");
  expect(call.message.id).toBeTruthy();
  const acknowledged = await user.result("tasks/cancel", { taskId });
  expect(Object.keys(acknowledged).sort()).toEqual(["_meta", "resultType"]);
  const cancelled = await user.task(taskId);
  expect(cancelled).toMatchObject({ status: "cancelled", statusMessage: "Cancelled by the client" });
  await expectCancelled(server, call);
  call.json(textResult("too late"));
  await call.closed;
  await user.result("tasks/cancel", { taskId });
  await user.result("tasks/update", { taskId, inputResponses: { any: {} } });
  expect(await user.task(taskId)).toEqual(cancelled);
});

test("cancelling a finished task is acknowledged and changes nothing", async () => {
  const { user, server } = await story({ "tools/call": (call) => call.text("done") }, ALWAYS);
  const { taskId } = await user.callTool("t");
  const task = await user.settled(taskId);
  expect(await user.result("tasks/cancel", { taskId })).toMatchObject({ resultType: "complete" });
  expect(await user.task(taskId)).toEqual(task);
  expect(count(server, "notifications/cancelled")).toBe(0);
});

test("a task that runs too long is cancelled at the server and says why it failed", async () => {
  const { user, server } = await story(LONG, { policy: { mode: "always", maxRuntimeMs: 1_500 } });
  const { taskId } = await user.callTool("t");
  const call = await server.arrival("tools/call");
  const task = await user.settled(taskId);
  expect(task).toMatchObject({ status: "failed", error: { code: -32603 } });
  expect(task.error.message).toContain("maxRuntime (1500 ms)");
  await expectCancelled(server, call);
});

test("a direct call that runs too long is cancelled as well", async () => {
  const { user, server } = await story(LONG, { policy: { mode: "never", maxRuntimeMs: 1_500 } });
  const { message } = await user.send("tools/call", { name: "t" });
  expect(message.error.message).toContain("maxRuntime (1500 ms)");
  await expectCancelled(server, await server.arrival("tools/call"));
});

test("a task belongs to its route: to another it is as unknown as one that never was", async () => {
  const server = await startScriptedServer(LONG);
  onTestFinished(server.close);
  const config = configFor({ upstream: server.url, ...ALWAYS });
  const [first] = config.servers;
  if (first === undefined) throw new Error("there is a server");
  const second = { ...first, name: "second", path: "/second/mcp", aliases: [] };
  const gateway = await startGateway({ ...config, servers: [first, second] }, { log: createLog("silent") });
  onTestFinished(() => gateway.close());
  const [here, there] = gateway.routes.map(({ url }) => new ModernClient(new URL(url)));
  const taskId = (await here?.callTool("t"))?.taskId;
  expect((await here?.task(taskId))?.status).toBe("working");

  for (const method of ["tasks/get", "tasks/cancel", "tasks/update"]) {
    const params = { inputResponses: {} };
    const foreign = await there?.send(method, { taskId, ...params }, { id: 1 });
    const unknown = await there?.send(method, { taskId: "never-was", ...params }, { id: 1 });
    expect(foreign).toMatchObject({ status: 200, message: { error: { code: -32602 } } });
    expect(foreign?.text).toBe(unknown?.text);
  }
  expect((await here?.task(taskId))?.status).toBe("working");
});

test("a gateway that stops writes its running tasks down as lost, and tells the server", async () => {
  const told: Story = await story(LONG, ALWAYS);
  await told.user.callTool("t");
  const call = await told.server.arrival("tools/call");
  await told.gateway.close();
  await expectCancelled(told.server, call);
});

test("a call whose client hangs up while its session opens is never sent", async () => {
  const ready = gate();
  let handshakes = 0;
  const { user, server } = await story({
    initialize: async (call) => {
      handshakes += 1;
      if (handshakes === 3) await ready.opened;
      call.json({ protocolVersion: "2025-06-18", capabilities: {}, serverInfo: {} });
    },
  });
  const leaving = new AbortController();
  const pending = user.callTool("t", {}, { signal: leaving.signal });
  await server.arrival("initialize", 3);
  leaving.abort();
  await expect(pending).rejects.toThrow();
  // By the time these are answered, the gateway has noticed.
  for (let n = 0; n < 3; n += 1) await user.result("tools/list");
  ready.open();
  await server.arrival("DELETE");
  expect(count(server, "tools/call")).toBe(0);
});
