/** `tasks/cancel` (2025-11-25, Tasks §Task Cancellation). */

import { expect, test } from "vitest";
import { LegacyWire } from "../../support/legacy-wire.ts";
import type { Script } from "../../support/scripted-server.ts";
import { count, expectCancelled, gate, story } from "../../support/story.ts";

const ALWAYS = { policy: { mode: "always" } } as const;

async function told(script: Script) {
  const { url, server } = await story({ "tools/call": script }, ALWAYS);
  return { url, server, user: await LegacyWire.connect(url) };
}

test("the answer is the task, already cancelled, and the server hears of it under its own id", async () => {
  const { user, server } = await told(() => undefined);
  const { taskId, createdAt } = await user.begin("t");
  const call = await server.arrival("tools/call");
  const cancelled = await user.result("tasks/cancel", { taskId });
  expect(cancelled).toEqual({
    taskId,
    status: "cancelled",
    statusMessage: "Cancelled by the client",
    createdAt,
    lastUpdatedAt: expect.any(String),
    ttl: expect.any(Number),
    pollInterval: 50,
  });
  await expectCancelled(server, call);
  expect(await user.task(taskId)).toEqual(cancelled);
});

test("a cancelled task stays cancelled when the result comes all the same", async () => {
  const answered = gate();
  const { user, server } = await told(async (call) => {
    const stream = call.sse();
    await call.cancelled;
    stream.event(call.answer({ content: [{ type: "text", text: "too late" }] }));
    stream.end();
    answered.open();
  });
  const { taskId } = await user.begin("t");
  const call = await server.arrival("tools/call");
  const cancelled = await user.result("tasks/cancel", { taskId });
  await answered.opened;
  await call.closed;
  expect(await user.task(taskId)).toEqual(cancelled);
  expect(await user.error("tasks/result", { taskId })).toEqual({
    code: -32603,
    message: "The task was cancelled: Cancelled by the client",
  });
});

test("whoever waits for the result is told that there is none", async () => {
  const { user, server } = await told(() => undefined);
  const { taskId } = await user.begin("t");
  await server.arrival("tools/call");
  const waiting = [user.open("tasks/result", { taskId }), user.open("tasks/result", { taskId })];
  await user.result("tasks/cancel", { taskId });
  for (const { answer } of waiting)
    expect((await answer).message.error.message).toBe("The task was cancelled: Cancelled by the client");
});

test.each([
  ["completed", (call) => call.text("done")],
  ["failed", (call) => call.error(-32000, "no")],
  ["failed", (call) => call.json({ content: [], isError: true })],
] as [string, Script][])("a task that has %s cannot be cancelled any more", async (status, script) => {
  const { user, server } = await told(script);
  const { taskId } = await user.begin("t");
  const ended = await user.taskThat(taskId, status);
  expect(await user.error("tasks/cancel", { taskId })).toEqual({
    code: -32602,
    message: `Cannot cancel task: already in terminal status '${status}'`,
  });
  expect(await user.task(taskId)).toEqual(ended);
  expect(count(server, "notifications/cancelled")).toBe(0);
});

test("a task that has been cancelled cannot be cancelled again, and the server hears of it once", async () => {
  const { user, server } = await told(() => undefined);
  const { taskId } = await user.begin("t");
  await user.result("tasks/cancel", { taskId });
  expect(await user.error("tasks/cancel", { taskId })).toEqual({
    code: -32602,
    message: "Cannot cancel task: already in terminal status 'cancelled'",
  });
  await user.result("ping");
  expect(count(server, "notifications/cancelled")).toBe(1);
});

test("a task that waits for an answer can be cancelled, and the server is not left waiting", async () => {
  const asked = gate<unknown>();
  const { user } = await told(async (call) => {
    asked.open(await call.sse().ask("roots/list"));
  });
  const { taskId } = await user.begin("t");
  await user.taskThat(taskId, "input_required");
  const waiting = user.open("tasks/result", { taskId });
  const question = await waiting.heard("roots/list");
  expect(await user.result("tasks/cancel", { taskId })).toMatchObject({ status: "cancelled" });
  expect(await asked.opened).toMatchObject({ error: { code: -32603 } });
  // The client need not go on asking its user.
  const { before } = await waiting.answer;
  expect(before).toContainEqual({
    jsonrpc: "2.0",
    method: "notifications/cancelled",
    params: { requestId: question.id },
  });
});

test("what the server asks after that is refused, and nothing is left of it", async () => {
  const asked = gate<unknown>();
  const { user } = await told(async (call) => {
    const stream = call.sse();
    await call.cancelled;
    asked.open(await stream.ask("elicitation/create", { message: "Really?", _meta: { progressToken: 1 } }));
  });
  const { taskId } = await user.begin("t");
  await user.result("tasks/cancel", { taskId });
  expect(await asked.opened).toMatchObject({ error: { code: expect.any(Number) } });
  expect(await user.task(taskId)).toMatchObject({ status: "cancelled" });
});

test("a task that is in the queue is cancelled without having been sent", async () => {
  const { url, server } = await story(
    { "tools/call": () => undefined },
    { ...ALWAYS, server: { maxConcurrent: 1 } },
  );
  const user = await LegacyWire.connect(url);
  await user.begin("running");
  const queued = await user.begin("queued");
  expect(await user.task(queued.taskId)).toMatchObject({ status: "working", statusMessage: "queued" });
  expect(await user.result("tasks/cancel", queued)).toMatchObject({ status: "cancelled" });
  await user.result("ping");
  expect([count(server, "tools/call"), count(server, "notifications/cancelled")]).toEqual([1, 0]);
});

test("a client that takes back the call of its task (2025-11-25, Cancellation: not for tasks) has not cancelled it", async () => {
  const { user, server } = await told(() => undefined);
  const { task } = await user.result("tools/call", { name: "t", arguments: {}, task: {} }, { id: "mine" });
  const call = await server.arrival("tools/call");
  await user.notify("notifications/cancelled", { requestId: "mine", reason: "AbortError" });
  call.text("done");
  expect(await user.result("tasks/result", { taskId: task.taskId })).toMatchObject({
    content: [{ type: "text", text: "done" }],
  });
});
