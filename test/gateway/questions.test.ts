import { expect, test } from "vitest";
import type { Script } from "../support/scripted-server.ts";
import {
  accept,
  asksOnce,
  count,
  form,
  gate,
  type Story,
  story,
  textOf,
  textResult,
} from "../support/story.ts";

/** A task at once, so that questions become input requests of a task. */
const ALWAYS = { policy: { mode: "always" } } as const;

async function asked({ user }: Story, name = "ask") {
  const { taskId } = await user.callTool(name);
  return user.taskWhen(taskId, ({ status }) => status === "input_required");
}

test("a task asks and is answered, and the key is gone on the very next look", async () => {
  const told = await story({ "tools/call": asksOnce }, ALWAYS);
  const task = await asked(told);
  expect(task.inputRequests).toEqual({
    name: {
      method: "elicitation/create",
      params: { message: "Who are you?", requestedSchema: form("").requestedSchema },
    },
  });
  const { user } = told;
  const inputResponses = { name: { ...accept({ name: "Ada" }), "x-extra": 1 } };
  const acknowledged = await user.result("tasks/update", { taskId: task.taskId, inputResponses });
  expect(Object.keys(acknowledged).sort()).toEqual(["_meta", "resultType"]);
  expect(await user.task(task.taskId)).not.toHaveProperty("inputRequests");

  const ended = await user.settled(task.taskId);
  expect(ended).toMatchObject({ status: "completed", result: { resultType: "complete" } });
  expect(JSON.parse(textOf(ended.result) ?? "")).toEqual({ ...accept({ name: "Ada" }), "x-extra": 1 });
});

test("a question on the GET stream with the id 0 belongs to the call that is running", async () => {
  const told = await story(
    {
      "tools/call": async (call) => {
        const stream = await told.server.stream(call.session);
        const response = await stream.ask("elicitation/create", form("GET?"), 0);
        call.json(textResult(JSON.stringify(response)));
      },
    },
    ALWAYS,
  );
  const task = await asked(told);
  expect(Object.keys(task.inputRequests)).toEqual(["elicitation-1"]);
  await told.user.result("tasks/update", {
    taskId: task.taskId,
    inputResponses: { "elicitation-1": accept({ name: "Eve" }) },
  });
  const { result } = await told.user.settled(task.taskId);
  expect(JSON.parse(textOf(result) ?? "")).toEqual({
    jsonrpc: "2.0",
    id: 0,
    result: accept({ name: "Eve" }),
  });
});

test("parallel calls do not see each other's questions", async () => {
  const told = await story(
    {
      "tools/call": async (call) => {
        const stream = await told.server.stream(call.session);
        const who = String(call.message.params?.name);
        const response = await stream.ask("elicitation/create", form(who, who), 0);
        call.json(textResult("result" in response ? JSON.stringify(response.result) : "refused"));
      },
    },
    ALWAYS,
  );
  const names = ["a", "b", "c", "d"];
  const tasks = await Promise.all(names.map((name) => asked(told, name)));
  expect(tasks.map(({ inputRequests }) => Object.keys(inputRequests))).toEqual(names.map((name) => [name]));
  expect(
    new Set(
      told.server.received.filter(({ method }) => method === "tools/call").map(({ session }) => session.id),
    ).size,
  ).toBe(4);

  // Answered backwards, and each with every key: the others' are not its own.
  const everything = (mine: string) =>
    Object.fromEntries(names.map((name) => [name, accept({ name: mine })]));
  for (const [index, task] of [...tasks.entries()].reverse()) {
    await told.user.result("tasks/update", {
      taskId: task.taskId,
      inputResponses: everything(names[index] ?? ""),
    });
  }
  const ended = await Promise.all(tasks.map(({ taskId }) => told.user.settled(taskId)));
  expect(ended.map(({ result }) => textOf(result))).toEqual(
    names.map((name) => JSON.stringify(accept({ name }))),
  );
});

test("answers may come one by one", async () => {
  const told = await story({ "tools/call": asksThrice }, ALWAYS);
  const { taskId, inputRequests } = await asked(told);
  expect(Object.keys(inputRequests)).toEqual(["same", "elicitation-2", "sampling-3"]);
  const give = (inputResponses: object) => told.user.result("tasks/update", { taskId, inputResponses });

  await give({ "elicitation-2": accept({ name: "two" }) });
  const partly = await told.user.task(taskId);
  expect(partly.status).toBe("input_required");
  expect(Object.keys(partly.inputRequests)).toEqual(["same", "sampling-3"]);
  await give({ same: accept({ name: "one" }) });
  await give({ "sampling-3": { role: "assistant", model: "m", content: { type: "text", text: "three" } } });
  const { result } = await told.user.settled(taskId);
  expect(textOf(result)).toBe("one two three");
});

test("a wrong shape for one key refuses the whole update, and every key stays", async () => {
  const told = await story({ "tools/call": asksThrice }, ALWAYS);
  const { taskId, inputRequests } = await asked(told);
  const { message } = await told.user.send("tasks/update", {
    taskId,
    inputResponses: { same: accept(), "sampling-3": { role: "nobody" } },
  });
  expect(message.error.code).toBe(-32602);
  expect(message.error.message).toContain("sampling-3");
  expect((await told.user.task(taskId)).inputRequests).toEqual(inputRequests);
  expect(count(told.server, "answer")).toBe(0);
});

test.each([undefined, null, "yes", [], 7])("inputResponses must be an object, and not %j", async (given) => {
  const told = await story({ "tools/call": asksOnce }, ALWAYS);
  const { taskId } = await asked(told);
  const { message } = await told.user.send("tasks/update", { taskId, inputResponses: given });
  expect(message.error.code).toBe(-32602);
});

test("answers to keys that nobody asked for are acknowledged and ignored", async () => {
  const told = await story({ "tools/call": asksOnce }, ALWAYS);
  const { taskId, inputRequests } = await asked(told);
  const inputResponses = { stranger: 7, constructor: {}, __proto__: {}, "": null };
  await told.user.result("tasks/update", { taskId, inputResponses });
  expect((await told.user.task(taskId)).inputRequests).toEqual(inputRequests);
  expect(count(told.server, "answer")).toBe(0);
});

test("of two answers to one question the first stands", async () => {
  const told = await story({ "tools/call": asksOnce }, ALWAYS);
  const { taskId } = await asked(told);
  const give = (name: string) =>
    told.user.result("tasks/update", { taskId, inputResponses: { name: accept({ name }) } });
  await Promise.all([give("one"), give("two"), give("three")]);
  await give("four");
  await told.user.settled(taskId);
  expect(count(told.server, "answer")).toBe(1);
});

test("a question that the server withdraws is gone, and the task works on", async () => {
  const goOn = gate();
  const told = await story(
    {
      "tools/call": async (call) => {
        const stream = call.sse();
        void stream.ask("elicitation/create", form("Quick!"), 0);
        await goOn.opened;
        stream.notify("notifications/cancelled", { requestId: 0, reason: "timed out" });
        void stream.ask("elicitation/create", form("Once more?"), 1);
      },
    },
    ALWAYS,
  );
  const { taskId } = await asked(told);
  goOn.open();
  const task = await told.user.taskWhen(taskId, ({ inputRequests }) => inputRequests?.["elicitation-2"]);
  expect(Object.keys(task.inputRequests)).toEqual(["elicitation-2"]);
  await told.user.result("tasks/update", { taskId, inputResponses: { "elicitation-1": accept() } });
  await told.user.result("tasks/update", { taskId, inputResponses: { "elicitation-2": accept() } });
  // A request that was cancelled wants no answer.
  expect((await told.server.arrival("answer")).message.id).toBe(1);
  expect((await told.user.task(taskId)).status).toBe("working");
});

const asksThrice: Script = async (call) => {
  const stream = call.sse();
  const answers = await Promise.all([
    stream.ask("elicitation/create", form("1", "same")),
    stream.ask("elicitation/create", form("2", "same")),
    stream.ask("sampling/createMessage", {
      messages: [],
      maxTokens: 1,
      _meta: { "mcp-taskgate/key": "x".repeat(129), progressToken: 7 },
    }),
  ]);
  const words = answers.map((answer) => JSON.stringify(answer).match(/one|two|three/)?.[0]);
  stream.event(call.answer(textResult(words.join(" "))));
  stream.end();
};
