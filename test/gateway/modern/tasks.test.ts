import { expect, test } from "vitest";
import type { JsonObject } from "../../../src/protocol/jsonrpc.ts";
import { TASKS } from "../../support/modern-client.ts";
import {
  complete,
  elicits,
  metaOf,
  modernStory,
  paramsOf,
  said,
  wants,
} from "../../support/modern-server.ts";
import type { Script } from "../../support/scripted-server.ts";
import { accept, count, EVERYTHING, gate, textOf } from "../../support/story.ts";

function argumentsOf({ message: { params = {} } }: Parameters<Script>[0]): JsonObject {
  return params.arguments as JsonObject;
}

/** A task at once. */
const ALWAYS = { policy: { mode: "always" } } as const;
/** A quick call is answered directly, and no call of these tests is taken for a slow one. */
const PATIENT = { policy: { waitForMs: 60_000 } } as const;

test("a quick call is answered directly, and a slow one becomes a task", async () => {
  const { opened, open } = gate();
  const { user } = await modernStory(
    {
      "tools/call": async (call) => {
        if (call.message.params?.name === "slow") await opened;
        call.json(said("done"));
      },
    },
    // As quick as the machine is.
    { tools: [{ match: "quick", waitForMs: 60_000 }] },
  );
  expect(await user.callTool("quick")).toMatchObject({ resultType: "complete", content: [{ text: "done" }] });
  const { taskId, resultType } = await user.callTool("slow");
  expect(resultType).toBe("task");
  open();
  expect(await user.settled(taskId)).toMatchObject({
    status: "completed",
    result: { resultType: "complete", content: [{ text: "done" }] },
  });
});

test("the call keeps the client's envelope but for the tasks, and whatever else it says", async () => {
  const told = await modernStory({ "tools/call": (call) => call.json(said("ok")) }, ALWAYS);
  const { taskId } = await told.user.callTool(
    "anything",
    { a: 1.5 },
    {
      meta: {
        progressToken: "the client's own",
        traceparent: "00-1-2-01",
        "io.modelcontextprotocol/logLevel": "info",
        "x/y": { z: [] },
      },
      params: { "x-more": true },
      headers: { "mcp-param-unknown": "kept" },
    },
  );
  await told.user.settled(taskId);

  const call = await told.server.arrival("tools/call");
  const { progressToken, ...meta } = metaOf(call);
  expect(meta).toEqual({
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "0" },
    "io.modelcontextprotocol/clientCapabilities": {
      elicitation: EVERYTHING.elicitation,
      sampling: EVERYTHING.sampling,
      roots: EVERYTHING.roots,
    },
    "io.modelcontextprotocol/logLevel": "info",
    traceparent: "00-1-2-01",
    "x/y": { z: [] },
  });
  expect(progressToken).not.toBe("the client's own");
  expect(call.message.params).toMatchObject({ name: "anything", arguments: { a: 1.5 }, "x-more": true });
  expect(call.headers).toMatchObject({
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "anything",
    "mcp-param-unknown": "kept",
  });
});

test("progress is told in the task, and its handle has none of the client's token", async () => {
  const { opened, open } = gate();
  const { user } = await modernStory(
    {
      "tools/call": async (call) => {
        const stream = call.sse();
        const { progressToken } = metaOf(call);
        stream.notify("notifications/progress", { progressToken, progress: 1, total: 4, message: "one" });
        stream.notify("notifications/progress", { progressToken: "another's", progress: 3 });
        await opened;
        stream.event(call.answer(said("done")));
        stream.end();
      },
    },
    ALWAYS,
  );
  const { taskId } = await user.callTool("anything");
  const task = await user.taskWhen(
    taskId,
    ({ statusMessage }) => statusMessage !== "running" && statusMessage !== "queued",
  );
  expect(task).toMatchObject({ status: "working", statusMessage: "one (1 of 4)" });
  open();
  expect(await user.settled(taskId)).toMatchObject({ status: "completed" });
});

test("progress and log messages reach a client that waits, under its own token", async () => {
  const { user } = await modernStory(
    {
      "tools/call": (call) => {
        const { progressToken } = metaOf(call);
        const stream = call.sse();
        stream.notify("notifications/progress", { progressToken, progress: 1 });
        stream.notify("notifications/message", { level: "info", data: "hello" });
        stream.event(call.answer(said("done")));
        stream.end();
      },
    },
    PATIENT,
  );
  const meta = { progressToken: 7, "io.modelcontextprotocol/logLevel": "info" };
  const answer = await user.send("tools/call", { name: "anything" }, { meta });
  expect(answer.before).toEqual([
    { jsonrpc: "2.0", method: "notifications/progress", params: { progressToken: 7, progress: 1 } },
    { jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "hello" } },
  ]);
  expect(textOf(answer.message.result)).toBe("done");
});

/** Asks in two rounds: two things at once, and then one under a key that was used before. */
const asksTwice: Script = (call) => {
  const { requestState, inputResponses } = call.message.params ?? {};
  if (requestState === undefined)
    return call.json(wants({ name: elicits("Who?"), age: elicits("How old?") }, "1"));
  if (requestState === "1") return call.json(wants({ name: elicits("Really?") }, "2"));
  return call.json(said(JSON.stringify(inputResponses)));
};

test("two rounds of questions in the background, answered one by one", async () => {
  const told = await modernStory({ "tools/call": asksTwice }, ALWAYS);
  const { user, server } = told;
  const { taskId } = await user.callTool("anything", { a: 1 });
  const asked = await user.taskWhen(taskId, ({ status }) => status === "input_required");
  expect(asked.inputRequests).toEqual({ name: elicits("Who?"), age: elicits("How old?") });

  const update = (inputResponses: object) => user.result("tasks/update", { taskId, inputResponses });
  await update({ age: accept({ name: "36" }) });
  expect((await user.task(taskId)).inputRequests).toEqual({ name: elicits("Who?") });
  expect(count(server, "tools/call")).toBe(1);
  await update({ name: accept({ name: "Ada" }), age: accept({ name: "too late" }) });

  const again = await user.taskWhen(
    taskId,
    ({ inputRequests = {} }) => Object.values(inputRequests).length > 0 && inputRequests.name === undefined,
  );
  const [key = ""] = Object.keys(again.inputRequests);
  expect(again.inputRequests).toEqual({ [key]: elicits("Really?") });
  await update({ [key]: accept({ name: "Ada!" }) });
  const { result } = await user.settled(taskId);
  // The server hears its own key, whatever the client was asked under.
  expect(JSON.parse(textOf(result) ?? "")).toEqual({ name: accept({ name: "Ada!" }) });

  const second = await paramsOf(told, 2);
  expect(second).toMatchObject({ name: "anything", arguments: { a: 1 }, requestState: "1" });
  expect(second.inputResponses).toEqual({ name: accept({ name: "Ada" }), age: accept({ name: "36" }) });
  const ids = server.received
    .filter(({ method }) => method === "tools/call")
    .map(({ message }) => message.id);
  expect(new Set(ids).size).toBe(3);
});

test("a question within the window is a round of the client's, and becomes the server's next one", async () => {
  const told = await modernStory({ "tools/call": asksTwice }, PATIENT);
  const { user } = told;
  const first = await user.callTool("anything");
  expect(first).toMatchObject({ resultType: "input_required", inputRequests: { name: elicits("Who?") } });
  const retry = (requestState: string, inputResponses: object) =>
    user.callTool("anything", {}, { params: { requestState, inputResponses } });
  const answers = { name: accept({ name: "Ada" }), age: accept({ name: "36" }) };
  const second = await retry(first.requestState, answers);
  const [key = ""] = Object.keys(second.inputRequests);
  const last = await retry(second.requestState, { [key]: accept({ name: "Ada!" }) });
  expect(JSON.parse(textOf(last) ?? "")).toEqual({ name: accept({ name: "Ada!" }) });
  expect((await paramsOf(told, 2)).requestState).toBe("1");
});

test("a state of the server's own goes to the server, and one that looks like ours but is not is refused", async () => {
  const told = await modernStory({ "tools/call": asksTwice }, PATIENT);
  const inputResponses = { name: accept({ name: "Ada" }) };
  const other = await told.user.callTool("anything", {}, { params: { requestState: "3", inputResponses } });
  expect(JSON.parse(textOf(other) ?? "")).toEqual(inputResponses);

  const { message } = await told.user.send("tools/call", {
    name: "anything",
    requestState: "taskgate.forged",
    inputResponses,
  });
  expect(message.error.code).toBe(-32602);
  expect(count(told.server, "tools/call")).toBe(1);
});

test("a server that asks nothing but wants to be asked again is", async () => {
  const told = await modernStory(
    {
      "tools/call": (call) =>
        call.json(call.message.params?.requestState === undefined ? wants(undefined, "later") : said("now")),
    },
    PATIENT,
  );
  expect(textOf(await told.user.callTool("anything"))).toBe("now");
  const second = await paramsOf(told, 2);
  expect(second.requestState).toBe("later");
  expect(second).not.toHaveProperty("inputResponses");
});

test.each([
  [
    "sampling/createMessage",
    { messages: [], maxTokens: 1 },
    { role: "assistant", model: "m", content: { type: "text", text: "hi" } },
  ],
  ["roots/list", undefined, { roots: [{ uri: "file:///a" }] }],
] as const)("%s is asked and answered in the background", async (method, params, answer) => {
  const { user } = await modernStory(
    {
      "tools/call": (call) => {
        const { inputResponses } = call.message.params ?? {};
        call.json(
          inputResponses === undefined
            ? wants({ it: params === undefined ? { method } : { method, params } })
            : said(JSON.stringify(inputResponses)),
        );
      },
    },
    ALWAYS,
  );
  const { taskId } = await user.callTool("anything");
  const { inputRequests } = await user.taskWhen(taskId, ({ status }) => status === "input_required");
  expect(inputRequests).toEqual({ it: params === undefined ? { method } : { method, params } });
  await user.result("tasks/update", { taskId, inputResponses: { it: answer } });
  const { result } = await user.settled(taskId);
  expect(JSON.parse(textOf(result) ?? "")).toEqual({ it: answer });
});

test("what the client did not declare is not asked: the task fails for want of it", async () => {
  const told = await modernStory(
    { "tools/call": (call) => call.json(wants({ it: elicits("Who?") })) },
    ALWAYS,
  );
  const client = told.client({ capabilities: TASKS });
  const { taskId } = await client.callTool("anything");
  expect(await client.settled(taskId)).toMatchObject({
    status: "failed",
    error: { code: -32021, data: { requiredCapabilities: { elicitation: { form: {} } } } },
  });
  expect(count(told.server, "tools/call")).toBe(1);
});

test.each([
  ["nothing at all", wants(undefined), "neither asked anything nor gave a requestState"],
  ["something that is no request", wants({ it: 1 }), 'inputRequests["it"] is no request'],
  ["no object", { resultType: "input_required", inputRequests: [] }, "inputRequests is no object"],
  [
    "too much",
    wants(Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`${n}`, elicits("?")]))),
    "100 at most",
  ],
])("a server that wants %s makes the task fail, and is not called again", async (_, result, message) => {
  const { user, server } = await modernStory({ "tools/call": (call) => call.json(result) }, ALWAYS);
  const { taskId } = await user.callTool("anything");
  const task = await user.settled(taskId);
  expect(task).toMatchObject({ status: "failed", error: { code: -32603 } });
  expect(task.error.message).toContain(message);
  expect(count(server, "tools/call")).toBe(1);
});

test("tasks/cancel closes the stream", async () => {
  const { user, server } = await modernStory(
    { "tools/call": (call) => void call.sse().notify("notifications/message", { level: "info", data: "." }) },
    ALWAYS,
  );
  const { taskId } = await user.callTool("anything");
  const call = await server.arrival("tools/call");
  await user.result("tasks/cancel", { taskId });
  await call.closed;
  expect(await user.task(taskId)).toMatchObject({ status: "cancelled" });
  expect(count(server, "notifications/cancelled")).toBe(0);
});

test("a client that hangs up before there is a handle cancels the call", async () => {
  const { user, server } = await modernStory({ "tools/call": () => {} }, PATIENT);
  const leaving = new AbortController();
  const sent = user.send("tools/call", { name: "anything" }, { signal: leaving.signal });
  const call = await server.arrival("tools/call");
  leaving.abort();
  await expect(sent).rejects.toThrow();
  await call.closed;
});

test.each([
  ["is cut", (call: Parameters<Script>[0]) => void call.sse().raw(": begun\n\n").cut(), /broke/],
  [
    "ends without an answer",
    (call: Parameters<Script>[0]) => call.sse().raw(": begun\n\n").end(),
    /closed the stream without an answer/,
  ],
  [
    "is no JSON",
    (call: Parameters<Script>[0]) => call.reply(200, "<p>hello"),
    /cannot be used: it is not JSON$/,
  ],
  [
    "answers another request",
    (call: Parameters<Script>[0]) => call.reply(200, { jsonrpc: "2.0", id: "x", result: {} }),
    /cannot be used: its id is "x", expected \d+$/,
  ],
  [
    "is only an acknowledgement",
    (call: Parameters<Script>[0]) => call.accept(),
    /cannot be used: it is empty$/,
  ],
  ["is a redirection", (call: Parameters<Script>[0]) => call.reply(302, "", { location: "/" }), /HTTP 302/],
  ["is an HTML error", (call: Parameters<Script>[0]) => call.reply(502, "<p>oh"), /HTTP 502/],
])(
  "an answer that %s fails the task, which says so, and the call is not sent again",
  async (_, script, message) => {
    const { user, server } = await modernStory({ "tools/call": script }, ALWAYS);
    const { taskId } = await user.callTool("anything");
    const task = await user.settled(taskId);
    expect(task).toMatchObject({ status: "failed", error: { code: -32603 } });
    expect(task.statusMessage).toMatch(message);
    expect(count(server, "tools/call")).toBe(1);
  },
);

test("a call that runs longer than maxRuntime is closed and failed", async () => {
  const { user, server } = await modernStory(
    { "tools/call": () => {} },
    { policy: { mode: "always", maxRuntimeMs: 1_500 } },
  );
  const { taskId } = await user.callTool("anything");
  const call = await server.arrival("tools/call");
  await call.closed;
  const task = await user.settled(taskId);
  expect(task.statusMessage).toMatch(/longer than maxRuntime/);
});

test("a result that is too large is refused, and a large one arrives whole", async () => {
  const { user } = await modernStory(
    {
      "tools/call": (call) => call.json(said("x".repeat(Number(argumentsOf(call).n)))),
    },
    { policy: { mode: "always", maxResultBytes: 1_000_000 } },
  );
  const settled = async (n: number) => user.settled((await user.callTool("anything", { n })).taskId);
  const small = await settled(900_000);
  expect(textOf(small.result)).toHaveLength(900_000);
  expect((await settled(1_100_000)).statusMessage).toMatch(/more than the 1000000 of maxResultBytes/);
  expect((await settled(3_000_000)).status).toBe("failed");
});

test.each([
  [-32020, 400],
  [-32021, 400],
  [-32022, 400],
  [-32601, 404],
  [-32602, 200],
  [-32050, 200],
  [-32002, 200],
  [4711, 200],
])("the server's own error %i keeps its code, directly with HTTP %i and in a task", async (code, status) => {
  const { user } = await modernStory(
    {
      "tools/call": (call) => call.error(code, "no", { status, data: { why: 1 } }),
    },
    { ...PATIENT, tools: [{ match: "background", mode: "always" }] },
  );
  const direct = await user.send("tools/call", { name: "anything" });
  expect(direct.status).toBe(status);
  expect(direct.message.error).toEqual({ code, message: "no", data: { why: 1 } });
  const { taskId } = await user.callTool("background");
  expect((await user.settled(taskId)).error).toEqual({ code, message: "no", data: { why: 1 } });
});

test("the data of a refusal are kept however much they are", async () => {
  const data = { hint: "x".repeat(100_000) };
  const { user } = await modernStory(
    { "tools/call": (call) => call.error(-32602, "no", { status: 400, data }) },
    ALWAYS,
  );
  const { taskId } = await user.callTool("anything");
  expect((await user.settled(taskId)).error).toEqual({ code: -32602, message: "no", data });
});

test("a server that wants a login is told so to the client", async () => {
  const { user } = await modernStory(
    { "tools/call": (call) => call.reply(401, {}, { "www-authenticate": "Bearer realm=x" }) },
    PATIENT,
  );
  const answer = await user.send("tools/call", { name: "anything" });
  expect(answer.status).toBe(401);
  expect(answer.headers["www-authenticate"]).toBe("Bearer realm=x");
});

test("a tool that must be a task is refused to clients without tasks, and the server is not called", async () => {
  const told = await modernStory({}, { policy: { mode: "required" } });
  const answer = await told.client({ capabilities: {} }).send("tools/call", { name: "anything" });
  expect(answer.status).toBe(400);
  expect(answer.message.error.code).toBe(-32021);
  expect(count(told.server, "tools/call")).toBe(0);
});

test("what is ours is checked in the order of the codes", async () => {
  const told = await modernStory({ "tools/call": (call) => call.json(complete({ content: [] })) });
  const send = (options: object) => told.user.send("tools/call", { name: "anything" }, options);
  expect((await send({ headers: { "mcp-name": "other" } })).message.error.code).toBe(-32020);
  expect(
    (await send({ meta: { "io.modelcontextprotocol/protocolVersion": "2026-01-01" } })).message.error.code,
  ).toBe(-32020);
  const odd = {
    meta: { "io.modelcontextprotocol/protocolVersion": "2027-01-01" },
    headers: { "mcp-protocol-version": "2027-01-01" },
  };
  expect((await send(odd)).message.error.code).toBe(-32022);
  expect((await told.user.send("tasks/get", { taskId: "none" })).message.error.code).toBe(-32602);
  const without = told.client({ capabilities: {} });
  expect((await without.send("tasks/get", { taskId: "none" })).message.error.code).toBe(-32021);
  expect(count(told.server, "tools/call")).toBe(0);
});

test("what nobody knows of a question travels with it", async () => {
  const asked = { ...elicits("who"), "x-beside": { deep: [1] } };
  const { user } = await modernStory(
    { "tools/call": (call) => call.json(wants({ who: asked }, "s")) },
    ALWAYS,
  );
  const { taskId } = await user.callTool("ask");
  const { inputRequests } = await user.taskWhen(taskId, ({ status }) => status === "input_required");
  expect(inputRequests).toEqual({ who: asked });
});
