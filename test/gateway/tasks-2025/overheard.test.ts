/** What a server says on the session's own stream in the course of a task: many ask there, and name no call. */

import { expect, test } from "vitest";
import type { EventStream } from "../../support/event-stream.ts";
import { LegacyWire, relatedTask } from "../../support/legacy-wire.ts";
import { count, form, gate, story } from "../../support/story.ts";

const SETTINGS = {
  policy: { mode: "always" },
  tools: [{ match: "plain", mode: "never" }],
} as const;

/** A session that listens, and the server's end of its stream. Calls are answered when `done` is opened. */
async function listening() {
  const done = gate();
  const { url, server } = await story(
    {
      "tools/call": async (call) => {
        await done.opened;
        call.text("done");
      },
    },
    SETTINGS,
  );
  const user = await LegacyWire.connect(url);
  const stream = await user.listen();
  const from = await server.stream(server.sessions.get(user.sessionId));
  /** Begins a call and waits until it has reached the server. */
  const begin = async () => {
    const nth = count(server, "tools/call") + 1;
    const { taskId } = await user.begin("t");
    await server.arrival("tools/call", nth);
    return taskId;
  };
  return { url, server, user, stream, from, begin, done };
}

/** What the server asks under the id 0, and what the client hears of it. */
function asked(from: EventStream, method = "elicitation/create") {
  return from.ask(method, form("Who?"), 0);
}

test("with nothing else under way, what it asks is asked for the task", async () => {
  const { user, stream, from, begin } = await listening();
  const taskId = await begin();
  const answer = asked(from);
  const question = await stream.heard("elicitation/create");
  expect(question.id).toMatch(/^taskgate:/);
  expect([question.params.message, relatedTask(question)]).toEqual(["Who?", { taskId }]);
  expect(await user.task(taskId)).toMatchObject({ status: "input_required" });
  await user.respond(question.id, { result: { action: "accept" } });
  expect(await answer).toEqual({ jsonrpc: "2.0", id: 0, result: { action: "accept" } });
  await user.taskThat(taskId, "working");
});

test("where the result is waited for it is asked there, and the client's stream hears nothing", async () => {
  const { user, stream, from, begin, done } = await listening();
  const taskId = await begin();
  const waiting = user.open("tasks/result", { taskId });
  await user.task(taskId);
  const answer = asked(from);
  const { id } = await waiting.heard("elicitation/create");
  await user.respond(id, { result: { action: "decline" } });
  expect(await answer).toMatchObject({ result: { action: "decline" } });
  done.open();
  await waiting.answer;
  await stream.next(({ params }) => params?.status === "completed", "the end");
  expect(stream.messages.map(({ method }) => method)).not.toContain("elicitation/create");
});

test("beside a second task it could be anybody's: it passes as it is", async () => {
  const { user, stream, from, begin } = await listening();
  const tasks = [await begin(), await begin()];
  const answer = asked(from);
  const question = await stream.heard("elicitation/create");
  expect(question).toEqual({ jsonrpc: "2.0", id: 0, method: "elicitation/create", params: form("Who?") });
  for (const taskId of tasks) expect(await user.task(taskId)).toMatchObject({ status: "working" });
  await user.respond(0, { result: { action: "accept" } });
  expect(await answer).toMatchObject({ result: { action: "accept" } });
});

test("beside a plain call as well", async () => {
  const { user, server, stream, from, done } = await listening();
  const plain = user.open("tools/call", { name: "plain" });
  await server.arrival("tools/call");
  const { taskId } = await user.begin("t");
  const answer = asked(from);
  expect((await stream.heard("elicitation/create")).id).toBe(0);
  await user.respond(0, { result: { action: "accept" } });
  expect(await answer).toMatchObject({ result: { action: "accept" } });
  done.open();
  await plain.answer;
  expect(await user.result("tasks/result", { taskId })).toMatchObject({ content: [{ text: "done" }] });
});

test("without a task it passes as it is, and so it does when the task is over", async () => {
  const { user, stream, from, begin, done } = await listening();
  const first = asked(from);
  expect((await stream.heard("elicitation/create")).id).toBe(0);
  await user.respond(0, { result: { action: "accept" } });
  await first;
  const taskId = await begin();
  done.open();
  await user.result("tasks/result", { taskId });
  await stream.next(({ params }) => params?.status === "completed", "the end");
  from.ask("roots/list", undefined, 1).catch(() => undefined);
  expect((await stream.heard("roots/list")).id).toBe(1);
});

test("a ping is the client's to answer", async () => {
  const { user, stream, from, begin } = await listening();
  await begin();
  const answer = from.ask("ping", undefined, 5);
  expect(await stream.heard("ping")).toEqual({ jsonrpc: "2.0", id: 5, method: "ping" });
  await user.respond(5, { result: {} });
  expect(await answer).toMatchObject({ result: {} });
});

test("what was taken is withdrawn for the client under the id it knows", async () => {
  const { user, stream, from, begin } = await listening();
  const taskId = await begin();
  void asked(from);
  const { id } = await stream.heard("elicitation/create");
  from.notify("notifications/cancelled", { requestId: 0 });
  expect((await stream.heard("notifications/cancelled")).params).toEqual({ requestId: id });
  await user.taskThat(taskId, "working");
});

test("a withdrawal of something else passes as it is", async () => {
  const { stream, from, begin } = await listening();
  await begin();
  void asked(from);
  await stream.heard("elicitation/create");
  from.notify("notifications/cancelled", { requestId: "0" });
  expect((await stream.heard("notifications/cancelled")).params).toEqual({ requestId: "0" });
});

test("a stream that is replayed asks nothing twice", async () => {
  const { server, user, from, begin } = await listening();
  const first = await user.listen();
  await begin();
  void asked(from);
  const { id } = await first.heard("elicitation/create");
  const again = await server.stream(server.sessions.get(user.sessionId));
  again.event({ jsonrpc: "2.0", id: 0, method: "elicitation/create", params: form("Who?") }, { id: "e-1" });
  again.notify("notifications/message", { level: "info", data: "after" });
  await first.heard("notifications/message");
  expect(first.messages.filter(({ method }) => method === "elicitation/create").map((one) => one.id)).toEqual(
    [id],
  );
});

test("events pass with their ids and in their order", async () => {
  const { stream, from, begin } = await listening();
  await begin();
  from.event({ jsonrpc: "2.0", method: "notifications/message", params: { data: 1 } }, { id: "7" });
  from.notify("notifications/tools/list_changed");
  from.raw(": a comment\n\n");
  from.event({ jsonrpc: "2.0", method: "notifications/message", params: { data: 2 } }, { id: "8", retry: 5 });
  await stream.heard("notifications/message", 2);
  expect(stream.messages.map(({ method }) => method)).toEqual([
    "notifications/message",
    "notifications/tools/list_changed",
    "notifications/message",
  ]);
  expect(stream.text).toContain("id: 7\n");
  expect(stream.text).toContain(": a comment\n\nid: 8\nretry: 5\n");
});
