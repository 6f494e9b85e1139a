/** One record and one id, whichever generation a client of the same caller is of. */

import { expect, test } from "vitest";
import { byName, LegacyWire } from "../../support/legacy-wire.ts";
import type { Script } from "../../support/scripted-server.ts";
import { accept, asksOnce, count, EVERYTHING, form, gate, story, textOf } from "../../support/story.ts";

const ALWAYS = { policy: { mode: "always" } } as const;

async function told(script: Script) {
  const { url, user: modern, server } = await story({ "tools/call": script }, ALWAYS);
  return { modern, server, legacy: await LegacyWire.connect(url) };
}

test("a task of a modern client is read and waited for by a legacy one", async () => {
  const done = gate();
  const { modern, legacy } = await told(async (call) => {
    await done.opened;
    call.json({ content: [], isError: true, "x-unknown": [1] });
  });
  const handle = await modern.callTool("t");
  const { taskId } = handle;
  expect(await legacy.task(taskId)).toEqual({
    taskId,
    status: "working",
    statusMessage: expect.any(String),
    createdAt: handle.createdAt,
    lastUpdatedAt: expect.any(String),
    ttl: expect.any(Number),
    pollInterval: 50,
  });
  const waiting = legacy.open("tasks/result", { taskId });
  done.open();
  expect((await waiting.answer).message.result).toEqual({
    content: [],
    isError: true,
    "x-unknown": [1],
    _meta: { "io.modelcontextprotocol/related-task": { taskId } },
  });
  // What a tool calls an error is a failure to the one, and a result to the other.
  expect(await legacy.task(taskId)).toMatchObject({ status: "failed" });
  expect(await modern.task(taskId)).toMatchObject({ status: "completed" });
});

test("what a modern client's task asks is asked of the legacy client that waits", async () => {
  const { modern, legacy } = await told(asksOnce);
  const { taskId } = await modern.callTool("t");
  await modern.taskWhen(taskId, ({ status }) => status === "input_required");
  const stream = await legacy.listen();
  const waiting = legacy.open("tasks/result", { taskId });
  const question = await waiting.heard("elicitation/create");
  expect(question.params).toMatchObject({ message: "Who are you?" });
  await legacy.respond(question.id, { result: accept({ name: "Ada" }) });
  expect((await waiting.answer).message.result.content[0].text).toContain("Ada");
  // Its own stream is for the tasks that began there.
  expect(stream.messages).toEqual([]);
  expect(textOf((await modern.task(taskId)).result)).toContain("Ada");
});

test("a legacy client may refuse in its own way", async () => {
  const { modern, legacy } = await told(asksOnce);
  const { taskId } = await modern.callTool("t");
  const waiting = legacy.open("tasks/result", { taskId });
  const { id } = await waiting.heard("elicitation/create");
  await legacy.respond(id, { error: { code: -1, message: "The user is out" } });
  await waiting.answer;
  expect(textOf((await modern.settled(taskId)).result)).toContain("The user is out");
});

test("a legacy client cancels a modern one's task, and the other way round", async () => {
  const { modern, legacy, server } = await told(() => undefined);
  const { taskId: one } = await modern.callTool("t");
  await server.arrival("tools/call");
  expect(await legacy.result("tasks/cancel", { taskId: one })).toMatchObject({ status: "cancelled" });
  expect(await modern.task(one)).toMatchObject({ status: "cancelled" });
  const { taskId: other } = await legacy.begin("t");
  await server.arrival("tools/call", 2);
  await modern.result("tasks/cancel", { taskId: other });
  expect(await legacy.task(other)).toMatchObject({ status: "cancelled" });
  await server.until(() => count(server, "notifications/cancelled") === 2, "both cancellations");
});

test("a task of a legacy client is read by a modern one, result and all", async () => {
  const { modern, legacy } = await told((call) =>
    call.json({ content: [], _meta: { a: 1 }, "x-unknown": 2 }),
  );
  const { taskId, createdAt } = await legacy.begin("t");
  const task = await modern.settled(taskId);
  expect(task).toMatchObject({ resultType: "complete", taskId, status: "completed", createdAt });
  expect(task).not.toHaveProperty("ttl");
  expect(task.result).toEqual({ resultType: "complete", content: [], _meta: { a: 1 }, "x-unknown": 2 });
});

test("what a legacy client's task asks is answered by tasks/update, and asked no longer", async () => {
  const { modern, legacy, server } = await told(asksOnce);
  const stream = await legacy.listen();
  const { taskId } = await legacy.begin("t");
  const { id } = await stream.heard("elicitation/create");
  const task = await modern.taskWhen(taskId, ({ status }) => status === "input_required");
  expect(task.inputRequests).toEqual({
    name: {
      method: "elicitation/create",
      params: { message: "Who are you?", requestedSchema: form("").requestedSchema },
    },
  });
  await modern.result("tasks/update", { taskId, inputResponses: { name: accept({ name: "Eve" }) } });
  expect((await server.arrival("answer")).message.result).toEqual(accept({ name: "Eve" }));
  // The client need not go on asking its user.
  expect((await stream.heard("notifications/cancelled")).params).toEqual({ requestId: id });
  expect((await legacy.respond(id, { result: accept({ name: "late" }) })).status).toBe(202);
  const { content } = await legacy.result("tasks/result", { taskId });
  expect(content[0].text).toContain("Eve");
  expect(count(server, "answer")).toBe(1);
});

test("what only a legacy client knows how to answer is shown to no modern one", async () => {
  const { modern, legacy } = await told(async (call) => {
    const stream = call.sse();
    const answer = await stream.ask("x/unknown", { a: 1 });
    stream.event(call.answer({ content: [], answer }));
    stream.end();
  });
  const { taskId } = await legacy.begin("t");
  await legacy.taskThat(taskId, "input_required");
  const { inputRequests = {} } = await modern.task(taskId);
  expect(inputRequests).toEqual({});
  const waiting = legacy.open("tasks/result", { taskId });
  const { id } = await waiting.heard("x/unknown");
  await legacy.respond(id, { result: { b: 2 } });
  expect((await waiting.answer).message.result.answer.result).toEqual({ b: 2 });
});

test("an error of the server's is the same error to both, but for codes that mean something else now", async () => {
  const { modern, legacy } = await told((call) =>
    call.error(-32042, "visit first", { data: { elicitations: [] } }),
  );
  const { taskId } = await legacy.begin("t");
  const { error } = await modern.settled(taskId);
  const upstream = { code: -32042, message: "visit first", data: { elicitations: [] } };
  expect(error).toEqual({ code: -32603, message: "visit first", data: { upstream } });
  expect(await legacy.error("tasks/result", { taskId })).toEqual(upstream);
});

test("another caller's task is nobody's, whatever the generation", async () => {
  const { url, client } = await story({ "tools/call": () => undefined }, { ...ALWAYS, identify: byName });
  const eve = await LegacyWire.connect(url, { headers: { "x-user": "eve" } });
  const ada = client({ capabilities: EVERYTHING, headers: { "x-user": "ada" } });
  const { taskId } = await ada.callTool("t");
  expect(await eve.error("tasks/get", { taskId })).toMatchObject({ code: -32602 });
  const hers = await eve.begin("t");
  expect((await ada.send("tasks/get", { taskId: hers.taskId })).message.error).toMatchObject({
    code: -32602,
  });
});
