/** What a client hears of its task without asking (2025-11-25, Tasks §Task Status Notification, §Task Progress Notifications). */

import { expect, test } from "vitest";
import { LegacyWire, relatedTask } from "../../support/legacy-wire.ts";
import { form, gate, story } from "../../support/story.ts";

const ALWAYS = { policy: { mode: "always" } } as const;

/** A task that says something when it is told to, asks, and ends. */
async function talking() {
  const [spoken, done] = [gate(), gate()];
  const { url, server } = await story(
    {
      "tools/call": async (call) => {
        const stream = call.sse();
        const { progressToken } = (call.message.params?._meta ?? {}) as { progressToken?: unknown };
        await spoken.opened;
        stream.notify("notifications/progress", { progressToken, progress: 1, total: 2, message: "half" });
        stream.notify("notifications/progress", { progressToken: "another's", progress: 9 });
        stream.notify("notifications/message", {
          level: "info",
          logger: "l",
          data: { a: 1 },
          _meta: { b: 2 },
        });
        stream.notify("notifications/x/unknown", { c: 3 });
        await done.opened;
        await stream.ask("roots/list", undefined, 0);
        stream.event(call.answer({ content: [] }));
        stream.end();
      },
    },
    ALWAYS,
  );
  const user = await LegacyWire.connect(url);
  return { url, server, user, speak: () => spoken.open(), end: () => done.open() };
}

test("each change of its status is told on the session's stream, whole, and without what says whose it is", async () => {
  const { user, speak, end } = await talking();
  const stream = await user.listen();
  const { taskId, createdAt } = await user.begin("t");
  speak();
  end();
  const { id } = await stream.heard("roots/list");
  await user.respond(id, { result: { roots: [] } });
  await user.result("tasks/result", { taskId });
  const last = await stream.next(({ params }) => params?.status === "completed", "the end");
  expect(last).toEqual({
    jsonrpc: "2.0",
    method: "notifications/tasks/status",
    params: {
      taskId,
      status: "completed",
      createdAt,
      lastUpdatedAt: expect.any(String),
      ttl: expect.any(Number),
      pollInterval: 50,
    },
  });
  expect(last.params).toEqual(await user.task(taskId));
  const told = stream.messages.filter(({ method }) => method === "notifications/tasks/status");
  const statuses = told.map(({ params }) => params.status);
  // What changes twice before anybody has looked is told once.
  expect(["input_required,working,completed", "input_required,completed"]).toContain(statuses.join());
});

test.each([
  ["failed", { isError: true, content: [{ type: "text", text: "no paper" }] }, "no paper"],
  ["completed", { content: [] }, undefined],
])("a task that has %s is told so", async (status, result, statusMessage) => {
  const { url } = await story({ "tools/call": (call) => call.json(result) }, ALWAYS);
  const user = await LegacyWire.connect(url);
  const stream = await user.listen();
  const { taskId } = await user.begin("t");
  const { params } = await stream.heard("notifications/tasks/status");
  expect(params).toMatchObject({ taskId, status });
  expect(params.statusMessage).toBe(statusMessage);
});

test("a task that is cancelled in another session is told on the session's stream", async () => {
  const { url, user } = await talking();
  const other = await LegacyWire.connect(url);
  const [stream, others] = [await user.listen(), await other.listen()];
  const { taskId } = await user.begin("t");
  const cancelled = await other.result("tasks/cancel", { taskId });
  expect((await stream.heard("notifications/tasks/status")).params).toEqual(cancelled);
  await other.result("ping");
  expect(others.messages).toEqual([]);
});

test("progress comes under the client's token, and says which task it is of", async () => {
  const { user, speak } = await talking();
  const stream = await user.listen();
  const { taskId } = await user.begin("t", { _meta: { progressToken: 0 } });
  speak();
  const progress = await stream.heard("notifications/progress");
  expect(progress).toEqual({
    jsonrpc: "2.0",
    method: "notifications/progress",
    params: {
      progressToken: 0,
      progress: 1,
      total: 2,
      message: "half",
      _meta: { "io.modelcontextprotocol/related-task": { taskId } },
    },
  });
  await user.taskWhen(taskId, ({ statusMessage }) => statusMessage === "half (1 of 2)");
  // What has another token is not this task's.
  await stream.heard("notifications/x/unknown");
  expect(stream.messages.filter(({ method }) => method === "notifications/progress").length).toBe(1);
});

test("a client that wants none hears none, and the task says how far it is all the same", async () => {
  const { user, speak } = await talking();
  const stream = await user.listen();
  const { taskId } = await user.begin("t");
  speak();
  await stream.heard("notifications/x/unknown");
  await user.taskWhen(taskId, ({ statusMessage }) => statusMessage === "half (1 of 2)");
  expect(stream.messages.map(({ method }) => method)).not.toContain("notifications/progress");
});

test("what else the server says in the course of the call comes with the task it belongs to", async () => {
  const { user, speak } = await talking();
  const stream = await user.listen();
  const { taskId } = await user.begin("t");
  speak();
  const message = await stream.heard("notifications/message");
  expect(message.params).toEqual({
    level: "info",
    logger: "l",
    data: { a: 1 },
    _meta: { b: 2, "io.modelcontextprotocol/related-task": { taskId } },
  });
  expect((await stream.heard("notifications/x/unknown")).params).toMatchObject({ c: 3 });
});

test("where the result is waited for all of it comes there, but for the status", async () => {
  const { user, speak, end } = await talking();
  const stream = await user.listen();
  const { taskId } = await user.begin("t", { _meta: { progressToken: "p" } });
  const waiting = user.open("tasks/result", { taskId });
  await user.task(taskId);
  speak();
  await waiting.heard("notifications/x/unknown");
  end();
  const { id } = await waiting.heard("roots/list");
  await user.respond(id, { result: { roots: [] } });
  const { before } = await waiting.answer;
  expect(before.map(({ method }) => method)).toEqual([
    "notifications/progress",
    "notifications/message",
    "notifications/x/unknown",
    "roots/list",
  ]);
  for (const message of before) expect(relatedTask(message)).toEqual({ taskId });
  await stream.next(({ params }) => params?.status === "completed", "the end");
  expect(new Set(stream.messages.map(({ method }) => method))).toEqual(
    new Set(["notifications/tasks/status"]),
  );
});

test("with no stream open nothing is told, and nothing is lost", async () => {
  const { user, speak, end } = await talking();
  const { taskId } = await user.begin("t", { _meta: { progressToken: 1 } });
  speak();
  await user.taskWhen(taskId, ({ statusMessage }) => statusMessage === "half (1 of 2)");
  end();
  await user.taskThat(taskId, "input_required");
  const stream = await user.listen();
  const { id } = await stream.heard("roots/list");
  expect(stream.messages.map(({ method }) => method)).not.toContain("notifications/progress");
  await user.respond(id, { result: { roots: [] } });
  expect((await user.result("tasks/result", { taskId })).content).toEqual([]);
});

test("a client that leaves its stream and listens again hears what comes then", async () => {
  const { url } = await story(
    {
      "tools/call": async (call) => {
        const stream = call.sse();
        await stream.ask("elicitation/create", form("Who?"));
        stream.event(call.answer({ content: [] }));
        stream.end();
      },
    },
    ALWAYS,
  );
  const user = await LegacyWire.connect(url);
  const first = await user.listen();
  const { taskId } = await user.begin("t");
  const { id } = await first.heard("elicitation/create");
  first.leave();
  await first.over();
  const second = await user.listen();
  await second.heard("elicitation/create");
  await user.respond(id, { result: { action: "accept" } });
  await second.next(({ params }) => params?.status === "completed", "the end");
  expect(await user.task(taskId)).toMatchObject({ status: "completed" });
});
