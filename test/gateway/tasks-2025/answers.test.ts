/** What a client answers to what its task's server asked, and what becomes of it. */

import { expect, test } from "vitest";
import { LegacyWire } from "../../support/legacy-wire.ts";
import { count, form, gate, story } from "../../support/story.ts";

/** A task that asks once, and waits to be released before it tells what it was told. */
async function asking() {
  const done = gate();
  const { url, server } = await story(
    {
      "tools/call": async (call) => {
        const stream = call.sse();
        const told = await stream.ask("elicitation/create", form("Who?", "who"), "upstream-1");
        await done.opened;
        stream.event(call.answer({ content: [], told }));
        stream.end();
      },
    },
    { policy: { mode: "always" } },
  );
  const user = await LegacyWire.connect(url);
  const { taskId } = await user.begin("t");
  await user.taskThat(taskId, "input_required");
  const waiting = user.open("tasks/result", { taskId });
  const { id } = await waiting.heard("elicitation/create");
  return { url, server, user, taskId, waiting, id, done };
}

const ACCEPT = { result: { action: "accept", content: { name: "Ada" } } };

test.each([
  ["a result with what nobody knows", { result: { action: "accept", content: { a: [1, null] }, "x-y": 1 } }],
  ["a result of the wrong shape", { result: { nonsense: true } }],
  ["an empty result", { result: {} }],
  ["an error", { error: { code: -1, message: "The user would rather not", data: { why: ["tired"] } } }],
])("%s is the server's to judge, exactly as it is", async (_, answer) => {
  const { user, server, id, done, waiting } = await asking();
  const { status, text } = await user.respond(id, answer);
  expect([status, text]).toEqual([202, ""]);
  const told = await server.arrival("answer");
  expect(told.message).toEqual({ jsonrpc: "2.0", id: "upstream-1", ...answer });
  expect(told.session.id).toBe(user.sessionId);
  done.open();
  expect((await waiting.answer).message.result.told).toEqual(told.message);
});

test("the first answer counts, and the second is taken without a word", async () => {
  const { user, server, id, done, waiting } = await asking();
  const [first, second] = [
    await user.respond(id, ACCEPT),
    await user.respond(id, { result: { action: "cancel" } }),
  ];
  expect([first.status, second.status]).toEqual([202, 202]);
  done.open();
  expect((await waiting.answer).message.result.told).toMatchObject(ACCEPT);
  expect(count(server, "answer")).toBe(1);
});

test("of two answers at the same time one reaches the server", async () => {
  const { user, server, id, done, waiting } = await asking();
  const answers = ["accept", "decline", "cancel"].map((action) => user.respond(id, { result: { action } }));
  for (const { status } of await Promise.all(answers)) expect(status).toBe(202);
  done.open();
  await waiting.answer;
  expect(count(server, "answer")).toBe(1);
});

test("the same caller may answer in another session, as after a reconnection", async () => {
  const { url, server, taskId, done } = await asking();
  const other = await LegacyWire.connect(url);
  const waiting = other.open("tasks/result", { taskId });
  const { status } = await other.respond(`taskgate:${taskId}:who`, ACCEPT);
  expect(status).toBe(202);
  done.open();
  expect((await waiting.answer).message.result.told).toMatchObject(ACCEPT);
  expect(count(server, "answer")).toBe(1);
});

test("an answer after the end is taken, and changes nothing", async () => {
  const { user, server, id, taskId } = await asking();
  const cancelled = await user.result("tasks/cancel", { taskId });
  // The server was told that there is no answer.
  const told = await server.arrival("answer");
  expect(told.message).toMatchObject({ error: { code: -32603 } });
  expect((await user.respond(id, ACCEPT)).status).toBe(202);
  expect(await user.task(taskId)).toEqual(cancelled);
  expect(count(server, "answer")).toBe(1);
});

test.each([
  ["another question", (id: string) => `${id}-2`],
  ["a key that objects have", (id: string) => id.replace(/[^:]+$/, "__proto__")],
  ["no question", (id: string) => id.replace(/[^:]+$/, "")],
  ["an unknown task", () => "taskgate:AAAAAAAAAAAAAAAAAAAAAAAA:who"],
  ["no task", () => "taskgate::who"],
])("an answer to %s is taken without a word, and changes nothing", async (_, idFrom) => {
  const { user, server, id, taskId } = await asking();
  const { status, text } = await user.respond(idFrom(id), ACCEPT);
  expect([status, text]).toEqual([202, ""]);
  expect(count(server, "answer")).toBe(0);
  expect(await user.task(taskId)).toMatchObject({ status: "input_required" });
});

test.each([
  ["neither result nor error", {}],
  ["a result that is no object", { result: 7 }],
  ["a result that is null", { result: null }],
  ["an error that is none", { error: "no" }],
  ["an error without a message", { error: { code: 1 } }],
  ["an error with a code that is no integer", { error: { code: "1", message: "no" } }],
])("an answer with %s is refused, and the question stays", async (_, answer) => {
  const { user, server, id, taskId, waiting, done } = await asking();
  const { status, message } = await user.respond(id, answer);
  expect([status, message.error]).toEqual([
    400,
    { code: -32600, message: "Invalid request: an answer must have a result or an error" },
  ]);
  expect(await user.task(taskId)).toMatchObject({ status: "input_required" });
  await user.respond(id, ACCEPT);
  done.open();
  expect((await waiting.answer).message.result.told).toMatchObject(ACCEPT);
  expect(count(server, "answer")).toBe(1);
});

test("an answer to what is not ours goes to the server, whatever it says", async () => {
  const { user, server } = await asking();
  for (const id of ["taskgate", "taskgate:x", "Taskgate:a:b", 0, ""]) await user.respond(id, ACCEPT);
  const answers = server.received.filter(({ method }) => method === "answer");
  expect(answers.map(({ message }) => message.id)).toEqual(["taskgate", "taskgate:x", "Taskgate:a:b", 0, ""]);
});

test("a client that has answered is not told that its question is withdrawn", async () => {
  const { user, id, waiting, done } = await asking();
  const stream = await user.listen();
  await user.respond(id, ACCEPT);
  done.open();
  await waiting.answer;
  await stream.next(({ params }) => params?.status === "completed", "the end");
  const heard = [...waiting.messages, ...stream.messages].map(({ method }) => method);
  expect(heard).not.toContain("notifications/cancelled");
});
