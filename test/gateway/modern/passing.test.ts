import { expect, test } from "vitest";
import { type CallOptions, TASKS } from "../../support/modern-client.ts";
import { complete, elicits, modernScripts, modernStory, said, wants } from "../../support/modern-server.ts";
import type { Exchange } from "../../support/scripted-exchange.ts";
import { count, EVERYTHING, story, textOf } from "../../support/story.ts";

/** Answers with exactly these bytes, and headers of its own. */
const bytes =
  (text: string, status = 200) =>
  (exchange: Exchange) =>
    void exchange.response
      .writeHead(status, { "content-type": "application/json", "x-of-the-server": "yes" })
      .end(text);

test.each([
  ["tools/list", {}],
  ["prompts/get", { name: "p" }],
  ["resources/read", { uri: "file:///a" }],
  ["completion/complete", { ref: {} }],
  ["vendor/unheard-of", { "x-more": [1] }],
  // The server is asked even for what 2026-07-28 has not got: it may know better.
  ["ping", {}],
  ["tasks/list", {}],
])("%s is the server's to answer, byte for byte", async (method, params) => {
  const text = `{ "result":{"big":12345678901234567890,"n":1.0,"resultType":"complete"} ,"jsonrpc":"2.0","id":1 }`;
  const { user, server } = await modernStory({ [method]: bytes(text) });
  const answer = await user.send(method, params, { id: 1, headers: { "x-of-the-client": "1" } });
  expect(answer.text).toBe(text);
  expect(answer.headers["x-of-the-server"]).toBe("yes");
  const { message, headers } = await server.arrival(method);
  expect(message.params).toMatchObject(params);
  expect(headers).toMatchObject({ "mcp-method": method, "x-of-the-client": "1" });
});

const CLIENTS = [
  ["a client without tasks", { capabilities: {} }, {}],
  ["a tool that never becomes one", {}, { policy: { mode: "never" } }],
] as const;

test.each(CLIENTS)(
  "a call passes for %s: its answers, its questions and its errors",
  async (_, client, settings) => {
    const told = await modernStory(
      {
        "tools/call": (call) => {
          const { arguments: args, requestState } = call.message.params ?? {};
          if (requestState !== undefined) return call.json(said(JSON.stringify(requestState)));
          if ((args as { fail?: boolean }).fail) return call.error(-32033, "no", { data: 1 });
          return call.json(wants({ it: elicits("?") }, "the server's own"));
        },
      },
      settings,
    );
    const user = told.client(client);
    const { requestState, inputRequests } = await user.callTool("anything");
    expect({ requestState, inputRequests }).toEqual({
      requestState: "the server's own",
      inputRequests: { it: elicits("?") },
    });
    const last = await user.callTool(
      "anything",
      {},
      { params: { requestState, inputResponses: { it: {} } } },
    );
    expect(textOf(last)).toBe('"the server\'s own"');
    const failed = await user.send("tools/call", { name: "anything", arguments: { fail: true } });
    expect(failed.message.error).toEqual({ code: -32033, message: "no", data: 1 });
  },
);

test("a stream passes as it is, and a client that leaves closes it at the server", async () => {
  const { user, server } = await modernStory({
    "vendor/stream": (call) => void call.sse().raw(": a comment\r\n\r\nevent: message\r\ndata: {}\r\n\r\n"),
  });
  const leaving = new AbortController();
  const { body } = await user.open("vendor/stream", {}, { signal: leaving.signal });
  const [chunk] = await Promise.all([body[Symbol.asyncIterator]().next()]);
  expect(String(chunk.value)).toContain(": a comment\r\n\r\nevent: message\r\ndata: {}\r\n\r\n");
  leaving.abort();
  await (await server.arrival("vendor/stream")).closed;
});

const REFUSED: readonly (readonly [string, string, CallOptions])[] = [
  [
    "an unknown version",
    "tools/list",
    {
      headers: { "mcp-protocol-version": "2027-01-01" },
      meta: { "io.modelcontextprotocol/protocolVersion": "2027-01-01" },
    },
  ],
  ["a header that is wrong", "tools/list", { headers: { "mcp-method": "tools/call" } }],
  ["a header that is missing", "tools/list", { headers: { "mcp-method": undefined } }],
  ["no version header, but an envelope", "tools/list", { headers: { "mcp-protocol-version": undefined } }],
  [
    "an envelope that is malformed",
    "tools/list",
    { meta: { "io.modelcontextprotocol/clientCapabilities": 1 } },
  ],
  ["an id that is none", "tools/list", { id: null }],
  ["another content type", "tools/list", { headers: { "content-type": "text/plain" } }],
  ["nothing that it could read", "tools/list", { headers: { accept: "image/png" } }],
  ["a call of a tool without a name", "tools/call", {}],
];

test.each(REFUSED)("the server judges a request with %s", async (_, method, options) => {
  const text = '{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"judged"}}';
  const { user } = await modernStory({ [method]: bytes(text, 400) });
  const answer = await user.send(method, {}, options);
  expect([answer.status, answer.text]).toEqual([400, text]);
});

test("a notification is the server's to take", async () => {
  const { user, server } = await modernStory({});
  const message = { jsonrpc: "2.0", method: "notifications/whatever", params: { x: 1 } };
  const response = await user.post(JSON.stringify(message), { "mcp-protocol-version": "2026-07-28" });
  expect(response.statusCode).toBe(202);
  expect((await server.arrival("notifications/whatever")).message).toEqual(message);
});

test.each(["GET", "DELETE"])("a %s of a modern client reaches the server, who refuses it", async (method) => {
  const { url, server } = await modernStory({});
  const response = await fetch(url, {
    method,
    headers: { "mcp-protocol-version": "2026-07-28", accept: "text/event-stream" },
  });
  expect(response.status).toBe(405);
  await server.arrival(method);
});

test("what is no message at all is the server's to refuse", async () => {
  const { user, server } = await modernStory({ answer: (exchange) => exchange.reply(400, { odd: true }) });
  const response = await user.post("[]", { "mcp-protocol-version": "2026-07-28" });
  expect(response.statusCode).toBe(400);
  expect(await response.body.json()).toEqual({ odd: true });
  expect((await server.arrival("answer")).message).toEqual([]);
});

test("server/discover is the server's, and says that there are tasks", async () => {
  const text = (capabilities: string) =>
    `{"id":1, "jsonrpc":"2.0","result":{"supportedVersions":["2026-07-28"],"capabilities":${capabilities},"big":12345678901234567890}}`;
  const { user, server } = await modernStory({});
  server.on("server/discover", bytes(text('{"tools":{ }}')));
  const tasks = '"io.modelcontextprotocol/tasks":{}';
  expect((await user.send("server/discover", {}, { id: 1 })).text).toBe(
    text(`{"tools":{ },"extensions":{${tasks}}}`),
  );
});

test("a server that has tasks is left alone", async () => {
  const { user, server } = await modernStory(
    {
      "tools/call": (call) => call.json({ resultType: "task", taskId: "the server's", status: "working" }),
      "tasks/get": (call) => call.json(complete({ taskId: call.message.params?.taskId, status: "working" })),
      "tasks/update": (call) => call.json(complete({ updated: true })),
      "tasks/cancel": (call) => call.json(complete({ cancelled: true })),
    },
    { policy: { mode: "always" } },
    { hasTasks: true },
  );
  expect((await user.result("server/discover")).capabilities.extensions).toEqual(TASKS.extensions);
  const { taskId } = await user.callTool("anything");
  expect(taskId).toBe("the server's");
  expect(await user.task(taskId)).toMatchObject({ taskId, status: "working" });
  expect(await user.result("tasks/update", { taskId, inputResponses: {} })).toMatchObject({ updated: true });
  expect(await user.result("tasks/cancel", { taskId })).toMatchObject({ cancelled: true });
  expect(count(server, "tasks/get")).toBe(1);
});

test("a tool that must be a task is left to a server that has them, for clients of every kind", async () => {
  const told = await modernStory(
    { "tools/call": (call) => call.json(said("plain")) },
    { policy: { mode: "required" } },
    { hasTasks: true },
  );
  expect(textOf(await told.client({ capabilities: {} }).callTool("anything"))).toBe("plain");
});

test("a legacy client whose address has a query gets the server's own words, as no session could be opened with that", async () => {
  const { url, server } = await modernStory({});
  const message = { jsonrpc: "2.0", id: 1, method: "initialize", params: { protocolVersion: "2025-11-25" } };
  const response = await fetch(new URL("?key=1", url), {
    method: "POST",
    body: JSON.stringify(message),
    headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
  });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({
    error: { code: -32022, data: { supported: ["2026-07-28"] } },
  });
  expect((await server.arrival("initialize", 1)).message).toEqual(message);
});

test("a server of both eras is modern for modern clients, and legacy for legacy ones", async () => {
  const { initialize: _, GET: _get, DELETE: _delete, ...scripts } = modernScripts();
  const { user, gateway, url } = await story(
    { ...scripts, "tools/call": (call) => call.json(said("modern")) },
    { policy: { waitForMs: 60_000 } },
    { stateless: true, protocolVersion: "2025-06-18" },
  );
  expect(gateway.routes[0]?.description).toBe("modern 2026-07-28");
  expect((await user.result("server/discover")).instructions).toBe("Be brief.");
  const params = {
    protocolVersion: "2025-06-18",
    capabilities: {},
    clientInfo: { name: "old", version: "0" },
  };
  const response = await fetch(url, {
    method: "POST",
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params }),
    headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
  });
  expect(await response.json()).toMatchObject({ result: { protocolVersion: "2025-06-18" } });
});

test("what passes carries the configured headers and the caller's own, and so does what is asked in the background", async () => {
  const told = await modernStory(
    { "tools/call": (call) => call.json(said("ok")) },
    { policy: { mode: "always" }, headers: { "x-key": "configured" }, forwardHeaders: ["authorization"] },
  );
  const user = told.client({
    capabilities: EVERYTHING,
    headers: { authorization: "Bearer mine", "x-key": "client's" },
  });
  await user.result("tools/list");
  await user.settled((await user.callTool("anything")).taskId);
  const sent = { "x-key": "configured", authorization: "Bearer mine" };
  expect((await told.server.arrival("tools/list")).headers).toMatchObject(sent);
  expect((await told.server.arrival("tools/call")).headers).toMatchObject(sent);
});
