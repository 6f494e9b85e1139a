/** `tasks/result`: what the server answered, exactly, and not before it has (2025-11-25, Tasks §Result Retrieval). */

import { expect, test } from "vitest";
import type { JsonObject } from "../../../src/protocol/jsonrpc.ts";
import { LegacyWire, relatedTask } from "../../support/legacy-wire.ts";
import type { Script } from "../../support/scripted-server.ts";
import { form, gate, story, textResult } from "../../support/story.ts";

const RELATED = "io.modelcontextprotocol/related-task";
const ALWAYS = { policy: { mode: "always" } } as const;

/** A server that answers when it is told to. */
async function released(script: Script) {
  const done = gate();
  const { url, server } = await story(
    {
      "tools/call": async (call) => {
        await done.opened;
        await script(call);
      },
    },
    ALWAYS,
  );
  return { url, server, user: await LegacyWire.connect(url), release: () => done.open() };
}

const RESULTS: [string, JsonObject][] = [
  ["nothing", {}],
  ["a text", textResult("done")],
  ["fields that nobody knows", { content: [], "x-unknown": { deep: [1, null, { "": "" }] }, "": 0 }],
  ["numbers of all kinds", { content: [], structuredContent: { n: [0.1, -1.5e-7, 1e21, 9007199254740991] } }],
  ["text of all kinds", { content: [{ type: "text", text: '\u2028 \u0000 "\\ é 😀' }] }],
  ["meta of its own", { content: [], _meta: { "x/y": { _meta: { z: 1 } }, a: "}" } }],
  ["empty meta", { _meta: {}, content: [] }],
  ["a type of result", { resultType: "complete", _meta: { a: 1 }, content: [] }],
  ["keys that look like numbers", { content: [], _meta: { b: 2 }, 0: "zero", 17: "seventeen" }],
];

test.each(RESULTS)("a result with %s arrives as it was, related to its task", async (_, result) => {
  const { user, release } = await released((call) => call.json(result));
  const { taskId } = await user.begin("t");
  release();
  const { text, message, status } = await user.send("tasks/result", { taskId }, { id: 0 });
  const { _meta, ...rest } = result;
  const expected = { ...rest, _meta: { ...(_meta as object), [RELATED]: { taskId } } };
  expect([status, message]).toEqual([200, { jsonrpc: "2.0", id: 0, result: expected }]);
  // What a parser makes of two keys of one name is anybody's guess.
  expect(text.split(RELATED).length).toBe(2);
  // And again, as often as it is asked for.
  expect((await user.send("tasks/result", { taskId }, { id: 0 })).text).toBe(text);
});

test("a relation to a task of somebody else's is not the server's to state", async () => {
  const meta = { [RELATED]: { taskId: "of another" }, kept: 1 };
  const { user, release } = await released((call) => call.json({ content: [], _meta: meta }));
  const { taskId } = await user.begin("t");
  release();
  expect((await user.result("tasks/result", { taskId }))._meta).toEqual({ kept: 1, [RELATED]: { taskId } });
});

test("a tool that reports an error has failed, and what it said is the result", async () => {
  const result = {
    content: [{ type: "text", text: "no paper" }],
    isError: true,
    structuredContent: { tray: 2 },
  };
  const { user, release } = await released((call) => call.json(result));
  const { taskId } = await user.begin("t");
  release();
  expect(await user.taskThat(taskId, "failed")).toMatchObject({ statusMessage: "no paper" });
  const { _meta, ...rest } = await user.result("tasks/result", { taskId });
  expect([rest, _meta]).toEqual([result, { [RELATED]: { taskId } }]);
});

test("a tool that reports an error and says nothing has failed with a message all the same", async () => {
  const { user, release } = await released((call) => call.json({ content: [], isError: true }));
  const { taskId } = await user.begin("t");
  release();
  expect((await user.taskThat(taskId, "failed")).statusMessage).toBe("The tool reported an error");
});

test.each([
  { code: -32602, message: "Unknown tool: t" },
  { code: -32002, message: "not found", data: { uri: "a://b" } },
  { code: 7, message: "", data: null },
  { code: -32042, message: "visit this first", data: { elicitations: [{ url: "https://a.example" }] } },
  { code: -32021, message: "a code with another meaning now", data: [0, ""] },
])("an error ($code) arrives as it was", async (error) => {
  const { user, release } = await released((call) =>
    call.error(error.code, error.message, { data: "data" in error ? error.data : undefined }),
  );
  const { taskId } = await user.begin("t");
  release();
  await user.taskThat(taskId, "failed");
  const { status, message } = await user.send("tasks/result", { taskId });
  expect([status, message.error]).toEqual([200, error]);
});

test("a client waits as long as it takes, and may ask how it is going meanwhile", async () => {
  const { user, release } = await released((call) => call.text("done"));
  const { taskId } = await user.begin("t");
  const waiting = user.open("tasks/result", { taskId });
  let isAnswered = false;
  void waiting.head.then(() => {
    isAnswered = true;
  });
  for (let n = 0; n < 3; n += 1) expect(await user.task(taskId)).toMatchObject({ status: "working" });
  expect(isAnswered).toBe(false);
  release();
  const { message, headers } = await waiting.answer;
  expect(message.result).toEqual({ ...textResult("done"), _meta: { [RELATED]: { taskId } } });
  expect(headers["content-type"]).toBe("application/json");
});

test("several clients may wait, and each gets it", async () => {
  const { url, user, release } = await released((call) => call.text("done"));
  const other = await LegacyWire.connect(url);
  const { taskId } = await user.begin("t");
  const waiting = [
    user.open("tasks/result", { taskId }, { id: 1 }),
    user.open("tasks/result", { taskId }, { id: "1" }),
    other.open("tasks/result", { taskId }, { id: 1 }),
  ];
  await user.task(taskId);
  release();
  const answers = await Promise.all(waiting.map(({ answer }) => answer));
  expect(answers.map(({ message }) => message.id)).toEqual([1, "1", 1]);
  for (const { message } of answers) expect(message.result.content).toEqual(textResult("done").content);
});

/** A task that asks, so that a waiting client can be seen to have arrived. */
async function asking() {
  const { url, server } = await story(
    {
      "tools/call": async (call) => {
        const stream = call.sse();
        const response = await stream.ask("elicitation/create", form("Who?", "who"));
        stream.event(call.answer({ content: [], response }));
        stream.end();
      },
    },
    ALWAYS,
  );
  const user = await LegacyWire.connect(url);
  const { taskId } = await user.begin("t");
  await user.taskThat(taskId, "input_required");
  return { url, server, user, taskId };
}

test("a client that leaves does no harm to its task or to others, and may come back", async () => {
  const { user, taskId, server } = await asking();
  const staying = user.open("tasks/result", { taskId });
  const { id } = await staying.heard("elicitation/create");
  const leaving = user.open("tasks/result", { taskId }, { headers: { accept: "application/json" } });
  await user.task(taskId);
  leaving.leave();
  await leaving.over();
  expect(await user.task(taskId)).toMatchObject({ status: "input_required" });

  const back = user.open("tasks/result", { taskId });
  await user.respond(id, { result: { action: "decline" } });
  const answers = await Promise.all([staying.answer, back.answer]);
  for (const { message } of answers) expect(message.result.response.result).toEqual({ action: "decline" });
  expect(server.received.map(({ method }) => method)).not.toContain("notifications/cancelled");
});

test("a client that takes its request back gets no answer, and nobody else notices", async () => {
  const { user, taskId, server } = await asking();
  const taken = user.open("tasks/result", { taskId }, { id: "taken" });
  const { id } = await taken.heard("elicitation/create");
  const staying = user.open("tasks/result", { taskId }, { id: "staying" });
  const { status } = await user.notify("notifications/cancelled", { requestId: "taken", reason: "no" });
  expect(status).toBe(202);
  expect((await taken.answer).message).toMatchObject({ id, method: "elicitation/create" });
  // The question is asked where somebody still listens.
  expect((await staying.heard("elicitation/create")).id).toBe(id);
  await user.respond(id, { result: { action: "accept" } });
  expect((await staying.answer).message.result.response.result).toEqual({ action: "accept" });
  expect(server.received.map(({ method }) => method)).not.toContain("notifications/cancelled");
});

test("a cancellation of a request that does not wait here is the server's", async () => {
  const { user, server } = await asking();
  await user.notify("notifications/cancelled", { requestId: "unknown" });
  expect((await server.arrival("notifications/cancelled")).message.params).toEqual({ requestId: "unknown" });
});

test("another session's cancellation of the same id takes nothing back", async () => {
  const { url, user, taskId } = await asking();
  const other = await LegacyWire.connect(url);
  const waiting = user.open("tasks/result", { taskId }, { id: 1 });
  const { id } = await waiting.heard("elicitation/create");
  await other.notify("notifications/cancelled", { requestId: 1 });
  await user.notify("notifications/cancelled", { requestId: "1" });
  await user.respond(id, { result: { action: "accept" } });
  expect((await waiting.answer).message.id).toBe(1);
});

test("the params count, and not what the request says of itself in _meta", async () => {
  const { user, release } = await released((call) => call.text("done"));
  const { taskId } = await user.begin("t");
  release();
  const _meta = { [RELATED]: { taskId: "another" } };
  const { message } = await user.send("tasks/result", { taskId, _meta });
  expect(relatedTask(message)).toEqual({ taskId });
});

test("only tasks/result says which task its answer belongs to", async () => {
  const { user, release } = await released((call) => call.text("done"));
  const { taskId } = await user.begin("t");
  expect(await user.task(taskId)).not.toHaveProperty("_meta");
  release();
  await user.result("tasks/result", { taskId });
  expect(await user.task(taskId)).not.toHaveProperty("_meta");
});

test("a client that reads nothing but streams gets the result as one", async () => {
  const { user, release } = await released((call) => call.text("done"));
  const { taskId } = await user.begin("t");
  release();
  const headers = { accept: "text/event-stream" };
  const { headers: said, message } = await user.send("tasks/result", { taskId }, { headers });
  expect(said["content-type"]).toContain("text/event-stream");
  expect(message.result.content).toEqual(textResult("done").content);
});
