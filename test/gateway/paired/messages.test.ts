/** What passes between a legacy client over Streamable HTTP and a server over stdio. */

import { expect, test } from "vitest";
import { LegacyWire, WireStream } from "../../support/legacy-wire.ts";
import { said, talks } from "./talks.ts";

const VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

test.each(VERSIONS)("a session of %s opens with the server's own words", async (version) => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url, { version });
  const { capabilities, ...rest } = user.initialized;
  expect(rest).toEqual({
    protocolVersion: version,
    serverInfo: { name: "talks", version: "1", "x-server": true },
    instructions: "Talk.",
  });
  const tasks = { cancel: {}, requests: { tools: { call: {} } } };
  const added = version === "2025-11-25" ? { tasks } : {};
  expect(capabilities).toEqual({ tools: {}, logging: {}, ...added });
  expect(user.sessionId).toMatch(/^[0-9a-f-]{36}$/);
  const { message } = await user.send("tools/list");
  const support = version === "2025-11-25" ? { execution: { taskSupport: "optional" } } : {};
  expect(message.result.tools[0]).toEqual({
    name: "echo",
    inputSchema: { type: "object", "x-schema": 1.5 },
    "x-tool": null,
    ...support,
  });
  expect(said(await user.result("tools/call", { name: "echo", arguments: { said: "é✓" } }))).toBe("é✓");
});

test.each([0, 7, -1, "", "a b", "taskgate:x:y", "0"])(
  "a request with the id %j is answered under it",
  async (id) => {
    const { url } = await talks();
    const user = await LegacyWire.connect(url);
    const { message } = await user.send("x/unknown", { deep: [{ a: null }], n: 1.5 }, { id });
    expect(message).toEqual({
      jsonrpc: "2.0",
      id,
      result: { asked: { jsonrpc: "2.0", id, method: "x/unknown", params: { deep: [{ a: null }], n: 1.5 } } },
      "x-top": 1,
    });
  },
);

test("the trace context of a request's headers is in its _meta, and in that of no other", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const asked = async (params: object | undefined, headers: Record<string, string>) => {
    const request = { jsonrpc: "2.0", id: 5, method: "x/asked", ...(params === undefined ? {} : { params }) };
    return (await user.post(request, headers).answer).message.result.asked.params;
  };
  expect(await asked(undefined, { traceparent, baggage: "a=1" })).toEqual({
    _meta: { traceparent, baggage: "a=1" },
  });
  expect(await asked({ a: 1, _meta: { b: 2 } }, { traceparent })).toEqual({
    a: 1,
    _meta: { b: 2, traceparent },
  });
  const own = { _meta: { traceparent: traceparent.replace("0af7", "1af7") } };
  expect(await asked(own, { traceparent })).toEqual(own);
  expect(await asked({ a: 1 }, {})).toEqual({ a: 1 });
});

test("fields and notifications that nobody knows pass as they are", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const odd = { jsonrpc: "2.0", method: "x/odd", params: [1, "two"], "x-top": { a: 1 } };
  expect((await user.post(odd).answer).status).toBe(202);
  const asked = { jsonrpc: "2.0", id: 5, method: "x/asked", "x-top": 2 };
  expect((await user.post(asked).answer).message.result).toEqual({ asked });
  const { heard } = await user.result("x/heard");
  expect(heard).toEqual([{ jsonrpc: "2.0", method: "notifications/initialized" }, odd]);
});

test("what the server says in the course of a call comes on the call's stream, before the answer", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const messages = [
    {
      jsonrpc: "2.0",
      method: "notifications/progress",
      params: { progressToken: "TOKEN", progress: 1, "x-p": 1 },
    },
    { jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: { a: 1 } } },
    { jsonrpc: "2.0", method: "x/said", "x-top": 1 },
  ];
  const params = { name: "say", arguments: { messages }, _meta: { progressToken: 0 } };
  const { before, message } = await user.send("tools/call", params);
  expect(before).toEqual([
    { ...messages[0], params: { progressToken: 0, progress: 1, "x-p": 1 } },
    messages[1],
    messages[2],
  ]);
  expect(said(message.result)).toBe("said");
});

test("progress comes on the stream of the call that asked for it, and what is nobody's where the session listens", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const listening = await user.listen();
  const first = user.open("tools/call", {
    name: "wait",
    arguments: { key: "a" },
    _meta: { progressToken: "p" },
  });
  await user.result("x/heard");
  const progress = {
    jsonrpc: "2.0",
    method: "notifications/progress",
    params: { progressToken: "p", progress: 1 },
  };
  const news = { jsonrpc: "2.0", method: "notifications/tools/list_changed" };
  const { before } = await user.send("tools/call", {
    name: "say",
    arguments: { messages: [progress, news] },
  });
  expect(before).toEqual([]);
  expect(await first.heard("notifications/progress")).toEqual(progress);
  expect(await listening.heard("notifications/tools/list_changed")).toEqual(news);
  expect(first.messages).toHaveLength(1);
});

const QUESTIONS = [
  ["elicitation/create", { message: "Who?", requestedSchema: {}, "x-q": 1 }, { action: "accept", "x-a": 1 }],
  ["sampling/createMessage", { messages: [], maxTokens: 1 }, { role: "assistant", model: "m" }],
  ["roots/list", undefined, { roots: [{ uri: "file:///home" }] }],
  ["x/unknown", { a: 1 }, { b: 2 }],
  ["ping", undefined, {}],
] as const;

test.each(QUESTIONS)("%s is asked, and the answer reaches the server", async (method, params, result) => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const call = user.open("tools/call", { name: "ask", arguments: { method, params } });
  const question = await call.heard(method);
  expect(question).toEqual({ jsonrpc: "2.0", id: 0, method, ...(params && { params }) });
  const { status, text } = await user.respond(question.id, { result });
  expect([status, text]).toEqual([202, ""]);
  expect((await call.answer).message.result.told).toEqual({ jsonrpc: "2.0", id: 0, result });
});

test("an error of the client's is an answer as well", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const call = user.open("tools/call", { name: "ask", arguments: { method: "roots/list" } });
  const { id } = await call.heard("roots/list");
  const error = { code: -32601, message: "no", data: { a: 1 } };
  await user.respond(id, { error });
  expect((await call.answer).message.result.told).toEqual({ jsonrpc: "2.0", id: 0, error });
});

test("a call that is taken back ends without an answer, and the server is told", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const call = user.open("tools/call", { name: "wait", arguments: { key: "a" } }, { id: 0 });
  await user.result("x/heard");
  expect((await user.notify("notifications/cancelled", { requestId: 0, reason: "no" })).status).toBe(202);
  expect(await call.answer).toMatchObject({ status: 200, message: undefined });
  const { heard } = await user.result("x/heard");
  expect(heard.at(-1)).toEqual({
    jsonrpc: "2.0",
    method: "notifications/cancelled",
    params: { requestId: 0, reason: "no" },
  });
  // Its answer comes too late, and is nobody else's.
  const { before, message } = await user.send("x/let", { key: "a" });
  expect([before, message.result]).toEqual([[], {}]);
});

test("a client that leaves its call has not taken it back", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const call = user.open("tools/call", { name: "wait", arguments: { key: "a" } });
  await user.result("x/heard");
  call.leave();
  await call.over();
  const { heard } = await user.result("x/heard");
  expect(heard).toEqual([{ jsonrpc: "2.0", method: "notifications/initialized" }]);
});

test("a batch is answered message by message", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url, { version: "2025-03-26" });
  const echo = (id: number) => ({ jsonrpc: "2.0", id, method: "x/asked" });
  const note = { jsonrpc: "2.0", method: "x/note" };
  const batch = [echo(1), note, echo(2)];
  const { message, before } = await user.post(batch).answer;
  expect([...before, message].map(({ id, result }) => [id, result.asked.method])).toEqual([
    [1, "x/asked"],
    [2, "x/asked"],
  ]);
  expect((await user.post([note]).answer).status).toBe(202);
  const json = await user.post(batch, { accept: "application/json" }).answer;
  expect(json.message.map(({ id }: { id: number }) => id)).toEqual([1, 2]);
  expect((await user.result("x/heard")).heard).toHaveLength(4);
});

test("a client that reads no streams is answered in JSON", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url, { headers: { accept: "application/json" } });
  const { headers, message } = await user.send("x/asked", {}, { id: 3 });
  expect(headers["content-type"]).toBe("application/json");
  expect(message).toMatchObject({ id: 3, result: { asked: { method: "x/asked" } } });
});

test("two clients have a server each, and do not hear each other", async () => {
  const { url } = await talks();
  const [ada, bob] = [await LegacyWire.connect(url), await LegacyWire.connect(url)];
  const pids = await Promise.all([ada, bob].map((user) => user.result("tools/call", { name: "pid" })));
  expect(new Set(pids.map(said)).size).toBe(2);
  const listening = await bob.listen();
  const news = { jsonrpc: "2.0", method: "notifications/tools/list_changed" };
  await ada.result("tools/call", { name: "say", arguments: { messages: [news] } });
  const own = { jsonrpc: "2.0", method: "x/own" };
  await bob.notify("x/say", { messages: [own] });
  await listening.heard("x/own");
  expect(listening.messages).toEqual([own]);
});

test("the client says in its own words that it is ready, and before all else", async () => {
  const { url } = await talks();
  const opening = {
    jsonrpc: "2.0",
    id: "i",
    method: "initialize",
    params: {
      protocolVersion: "2025-06-18",
      capabilities: {},
      clientInfo: { name: "c", version: "1" },
      "x-c": 1,
    },
    "x-top": 1,
  };
  const { headers, message } = await new WireStream(url, "POST", {}, opening).answer;
  expect(message).toMatchObject({ id: "i", result: { protocolVersion: "2025-06-18" }, "x-top": 1 });
  const session = { "mcp-session-id": String(headers["mcp-session-id"]) };
  const ready = { jsonrpc: "2.0", method: "notifications/initialized", params: { _meta: { "x/y": 1 } } };
  const heard = { jsonrpc: "2.0", id: 1, method: "x/heard" };
  const answer = await new WireStream(url, "POST", session, [ready, heard]).answer;
  expect(answer.message.result).toEqual({ heard: [ready] });
});

const GARBAGE = [
  ["no JSON", "{", -32700],
  ["nothing", "", -32700],
  ["null", "null", -32600],
  ["an empty batch", "[]", -32600],
  ["a batch with no message in it", "[1]", -32600],
  ["no version", '{"id":1,"method":"ping"}', -32600],
  ["an id that is none", '{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600],
  ["a method that is none", '{"jsonrpc":"2.0","id":1,"method":7}', -32600],
  ["neither method nor answer", '{"jsonrpc":"2.0","id":1}', -32600],
] as const;

test.each(GARBAGE)("a body with %s is refused, and the session goes on", async (_, body, code) => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const { status, message } = await user.post(body).answer;
  expect([status, message.error.code]).toEqual([400, code]);
  expect(await user.result("x/heard")).toEqual({
    heard: [{ jsonrpc: "2.0", method: "notifications/initialized" }],
  });
});

const READY = { method: "notifications/initialized" };
const NESTED = [
  ["an answer", '{"jsonrpc":"2.0","id":ID,"result":{"x":DEEP}}'],
  ["a notification", '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":DEEP}}'],
  ["a question", '{"jsonrpc":"2.0","id":0,"method":"elicitation/create","params":{"x":DEEP}}'],
] as const;

test.each(NESTED)(
  "%s that is nested too deeply is its session's affair, and harms nobody",
  async (what, line) => {
    const { url } = await talks();
    const user = await LegacyWire.connect(url);
    const call = user.open("tools/call", { name: "write", arguments: { line } });
    if (what === "an answer") {
      const { error } = (await call.answer).message;
      expect(error.message).toContain("The server's answer cannot be passed on");
    }
    const told = what === "a question" ? { id: 0, error: { code: -32603 } } : READY;
    await expect.poll(async () => (await user.result("x/heard")).heard.at(-1)).toMatchObject(told);
    call.leave();
  },
);

test("an id that is in use cannot be used for another request", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url);
  const call = user.open("tools/call", { name: "wait", arguments: { key: "a" } }, { id: 9 });
  await user.result("x/heard");
  expect(await user.send("x/asked", {}, { id: 9 })).toMatchObject({
    status: 400,
    message: { error: { code: -32600 } },
  });
  await user.notify("x/let", { key: "a" });
  expect((await call.answer).message).toMatchObject({ id: 9, result: { content: [{ text: "let" }] } });
});
