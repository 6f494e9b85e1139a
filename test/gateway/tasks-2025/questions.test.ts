/** What a task's server asks, and where its client is asked (2025-11-25, Tasks §Input Required Status). */

import { expect, test } from "vitest";
import type { JsonObject } from "../../../src/protocol/jsonrpc.ts";
import { LegacyWire, relatedTask } from "../../support/legacy-wire.ts";
import type { Script } from "../../support/scripted-server.ts";
import { form, gate, story } from "../../support/story.ts";

const ALWAYS = { policy: { mode: "always" } } as const;
const RELATED = "io.modelcontextprotocol/related-task";

/** Asks on the call's own stream, and answers with what it was told. */
function asks(method: string, params?: JsonObject): Script {
  return async (call) => {
    const stream = call.sse();
    const told = await stream.ask(method, params, 0);
    stream.event(call.answer({ content: [], told }));
    stream.end();
  };
}

async function told(script: Script) {
  const { url, server } = await story({ "tools/call": script }, ALWAYS);
  const user = await LegacyWire.connect(url);
  return { url, server, user };
}

async function asking(script = asks("elicitation/create", form("Who?"))) {
  const story = await told(script);
  const { taskId } = await story.user.begin("t");
  const task = await story.user.taskThat(taskId, "input_required");
  return { ...story, taskId, task };
}

const QUESTIONS: [string, string, JsonObject | undefined, JsonObject][] = [
  [
    "a form",
    "elicitation/create",
    { ...form("Who?"), mode: "form", "x-unknown": 1, _meta: { "x/y": 1, progressToken: 5 } },
    { action: "accept", content: { name: "Ada" }, _meta: { [RELATED]: { taskId: "as the client likes" } } },
  ],
  [
    "a page to visit",
    "elicitation/create",
    { mode: "url", message: "Sign in", url: "https://a.example/x?y=1", elicitationId: "e-1" },
    { action: "cancel" },
  ],
  [
    "a model's opinion",
    "sampling/createMessage",
    { messages: [{ role: "user", content: { type: "text", text: "Capital?" } }], maxTokens: 9 },
    { role: "assistant", content: { type: "text", text: "Paris" }, model: "m", stopReason: "endTurn" },
  ],
  ["roots", "roots/list", undefined, { roots: [{ uri: "file:///home", name: "Home" }] }],
  ["what nobody knows", "x/unknown", { deep: { a: [null] } }, { "x-answer": [1, { b: 2 }] }],
];

test.each(QUESTIONS)("%s is asked where the result is waited for", async (_, method, params, result) => {
  const { user, taskId, task } = await asking(asks(method, params));
  expect(task).toMatchObject({ status: "input_required", statusMessage: "waiting for the client's input" });
  const waiting = user.open("tasks/result", { taskId });
  const question = await waiting.heard(method);
  const { _meta, ...rest } = params ?? {};
  expect(question).toEqual({
    jsonrpc: "2.0",
    id: expect.stringMatching(/^taskgate:/),
    method,
    params: { ...rest, _meta: { ...(_meta as object), [RELATED]: { taskId } } },
  });
  const { status, text } = await user.respond(question.id, { result });
  expect([status, text]).toEqual([202, ""]);
  expect((await user.task(taskId)).status).not.toBe("input_required");
  const { message } = await waiting.answer;
  expect(message.result.told).toEqual({ jsonrpc: "2.0", id: 0, result });
});

test("without a client that waits, it is asked on the session's stream", async () => {
  const { user } = await told(asks("elicitation/create", form("Who?")));
  const stream = await user.listen();
  const { taskId } = await user.begin("t");
  const question = await stream.heard("elicitation/create");
  expect(relatedTask(question)).toEqual({ taskId });
  await user.respond(question.id, { result: { action: "decline" } });
  const { told: got } = await user.result("tasks/result", { taskId });
  expect(got.result).toEqual({ action: "decline" });
});

test("a client that waits is asked there, and not on the session's stream as well", async () => {
  const begun = gate();
  const script = asks("elicitation/create", form("Who?"));
  const { user } = await told(async (call) => {
    await begun.opened;
    await script(call);
  });
  const stream = await user.listen();
  const { taskId } = await user.begin("t");
  const waiting = user.open("tasks/result", { taskId });
  await user.task(taskId);
  begun.open();
  const question = await waiting.heard("elicitation/create");
  await user.respond(question.id, { result: { action: "decline" } });
  await waiting.answer;
  await stream.next(({ params }) => params?.status === "completed", "the end of the task");
  expect(stream.messages.map(({ method }) => method)).not.toContain("elicitation/create");
});

test("when nothing is open, it is asked as soon as the session listens", async () => {
  const { user, taskId } = await asking();
  const stream = await user.listen();
  const question = await stream.heard("elicitation/create");
  await user.respond(question.id, { result: { action: "accept" } });
  await user.taskThat(taskId, "completed");
});

test("on a stream that was closed before the answer came it may have got lost: it is asked again", async () => {
  const { user, taskId } = await asking();
  const first = user.open("tasks/result", { taskId });
  const { id, ...question } = await first.heard("elicitation/create");
  first.leave();
  await first.over();
  const second = user.open("tasks/result", { taskId });
  expect(await second.heard("elicitation/create")).toEqual({ id, ...question });
  await user.respond(id, { result: { action: "accept" } });
  await second.answer;
  expect(second.messages.filter(({ method }) => method === "elicitation/create").length).toBe(1);
});

test("a question is asked again on the session's stream when the request that waited has left", async () => {
  const { user, taskId } = await asking();
  const waiting = user.open("tasks/result", { taskId });
  const { id } = await waiting.heard("elicitation/create");
  const stream = await user.listen();
  waiting.leave();
  expect((await stream.heard("elicitation/create")).id).toBe(id);
});

test("a question is asked again where the result is waited for when the session's stream has closed", async () => {
  const { user, taskId } = await asking();
  const stream = await user.listen();
  const { id } = await stream.heard("elicitation/create");
  stream.leave();
  await stream.over();
  const waiting = user.open("tasks/result", { taskId });
  expect((await waiting.heard("elicitation/create")).id).toBe(id);
});

test("a client that waits but reads no streams is asked on the session's", async () => {
  const { user, taskId } = await asking();
  const waiting = user.open("tasks/result", { taskId }, { headers: { accept: "application/json" } });
  const stream = await user.listen();
  const { id } = await stream.heard("elicitation/create");
  await user.respond(id, { result: { action: "accept" } });
  const { message, headers } = await waiting.answer;
  expect(headers["content-type"]).toBe("application/json");
  expect(message.result.told.result).toEqual({ action: "accept" });
});

test("the stream of another session is not the place", async () => {
  const { url, user, taskId } = await asking();
  const other = await LegacyWire.connect(url);
  const stream = await other.listen();
  const waiting = user.open("tasks/result", { taskId });
  const { id } = await waiting.heard("elicitation/create");
  await user.respond(id, { result: { action: "accept" } });
  await waiting.answer;
  await other.result("ping");
  expect(stream.messages).toEqual([]);
});

test("two questions at once are two, and answered in any order", async () => {
  const { user } = await told(async (call) => {
    const stream = call.sse();
    const told = await Promise.all([
      stream.ask("elicitation/create", form("First?"), 0),
      stream.ask("elicitation/create", form("Second?"), "0"),
    ]);
    stream.event(call.answer({ content: [], told: told.map((one) => "result" in one && one.result) }));
    stream.end();
  });
  const { taskId } = await user.begin("t");
  const waiting = user.open("tasks/result", { taskId });
  const first = await waiting.next(({ params }) => params?.message === "First?", "the first");
  const second = await waiting.next(({ params }) => params?.message === "Second?", "the second");
  expect(first.id).not.toBe(second.id);
  await user.respond(second.id, { result: { action: "accept", content: { n: 2 } } });
  // One is still open.
  expect(await user.task(taskId)).toMatchObject({ status: "input_required" });
  await user.respond(first.id, { result: { action: "accept", content: { n: 1 } } });
  const { message } = await waiting.answer;
  expect(message.result.told.map(({ content }: { content: object }) => content)).toEqual([
    { n: 1 },
    { n: 2 },
  ]);
});

test("a question after a question has an id of its own", async () => {
  const { user } = await told(async (call) => {
    const stream = call.sse();
    // The same id twice, as from a server that counts from the beginning.
    await stream.ask("elicitation/create", form("Who?", "key"), 0);
    await stream.ask("elicitation/create", form("Who?", "key"), 0);
    stream.event(call.answer({ content: [] }));
    stream.end();
  });
  const { taskId } = await user.begin("t");
  const waiting = user.open("tasks/result", { taskId });
  const first = await waiting.heard("elicitation/create");
  await user.respond(first.id, { result: { action: "accept" } });
  const second = await waiting.heard("elicitation/create", 2);
  expect(second.id).not.toBe(first.id);
  await user.respond(second.id, { result: { action: "accept" } });
  expect((await waiting.answer).message.result.content).toEqual([]);
});

test("what the server withdraws is withdrawn where it was asked, and the task works on", async () => {
  const [withdrawn, done] = [gate(), gate()];
  const { user } = await told(async (call) => {
    const stream = call.sse();
    void stream.ask("elicitation/create", form("Who?"), 7);
    await withdrawn.opened;
    stream.notify("notifications/cancelled", { requestId: 7, reason: "too late" });
    await done.opened;
    stream.event(call.answer({ content: [] }));
    stream.end();
  });
  const { taskId } = await user.begin("t");
  const waiting = user.open("tasks/result", { taskId });
  const { id } = await waiting.heard("elicitation/create");
  withdrawn.open();
  expect((await waiting.heard("notifications/cancelled")).params).toEqual({ requestId: id });
  expect(await user.task(taskId)).toMatchObject({ status: "working" });
  done.open();
  expect((await waiting.answer).message.result.content).toEqual([]);
});

test("a server that pings in the middle of a call is answered, and the client left alone", async () => {
  const { user } = await told(asks("ping"));
  const stream = await user.listen();
  const { taskId } = await user.begin("t");
  const { told: got } = await user.result("tasks/result", { taskId });
  expect(got.result).toEqual({});
  expect(stream.messages.map(({ method }) => method)).not.toContain("ping");
});
