/** What of a request reaches the server, and what of its answer reaches the client. */

import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { type Json, read } from "../support/modern-client.ts";
import type { Script } from "../support/scripted-server.ts";
import { LIST_HEADERS, messageText, served } from "./served.ts";

const SERVER_INFO = { "io.modelcontextprotocol/serverInfo": { name: "scripted", version: "1.0.0" } };
const CAPABILITIES = { tools: {}, prompts: {}, resources: {}, completions: {} };
/** Keys that would do harm to whoever copied them carelessly. */
const HOSTILE =
  '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"toString":1,"then":2}';

const answers =
  (result: JsonObject): Script =>
  (request) =>
    request.json(result);
const SCRIPTS: Readonly<Record<string, Script>> = {
  "tools/call": answers({ content: [] }),
  "prompts/list": answers({ prompts: [] }),
  "prompts/get": answers({ messages: [] }),
  "resources/list": answers({ resources: [] }),
  "resources/templates/list": answers({ resourceTemplates: [] }),
  "resources/read": answers({ contents: [] }),
  "completion/complete": answers({ completion: { values: [] } }),
};
const REQUESTS: [method: string, params: JsonObject][] = [
  ["tools/list", {}],
  ["tools/call", { name: "anything" }],
  ["prompts/list", {}],
  ["prompts/get", { name: "anything" }],
  ["resources/list", {}],
  ["resources/templates/list", {}],
  ["resources/read", { uri: "a:b" }],
  ["completion/complete", { ref: { type: "ref/prompt", name: "p" }, argument: { name: "a", value: "" } }],
];
const everything = () => served({ scripts: SCRIPTS, options: { capabilities: CAPABILITIES } });

describe.for(REQUESTS)("%s", ([method, params]) => {
  test("reaches the server with all that the gateway does not know, and without the envelope", async () => {
    const { client, server } = await everything();
    const meta = { traceparent: "00-0af7-b7ad-01", tracestate: "a=b", baggage: "c=d", "com.example/x": [{}] };
    const unknown = { cursor: "", "com.example/y": { deep: [null, 1.5, "\u2028"] } };
    await client().result(method, { ...params, ...unknown }, { meta: { ...meta, progressToken: "mine" } });

    const sent = (await server.arrival(method)).message.params as Json;
    expect(sent).toEqual({ ...params, ...unknown, _meta: { ...meta, progressToken: expect.any(Number) } });
  });

  test("comes back with all that the gateway does not know, and with what the revision adds", async () => {
    const { client, server } = await everything();
    const result = {
      nextCursor: "",
      "com.example/y": { deep: [null, 1.5, "\u2028"] },
      _meta: { "com.example/x": [{}] },
    };
    server.on(method, answers(result));

    const { ttlMs: _, cacheScope: _scope, ...answer } = await client().result(method, params);
    expect(answer).toEqual({ resultType: "complete", ...result, _meta: { ...result._meta, ...SERVER_INFO } });
  });

  test.for<[given: number, told: number, status: number]>([
    [-32602, -32602, 200],
    [-32603, -32603, 200],
    [-32601, -32601, 404],
    [-32000, -32000, 200],
    [-32002, -32602, 200],
    [-32020, -32603, 200],
    [-32022, -32603, 200],
    [1234, 1234, 200],
  ])("tells the server's %i as %i", async ([given, code, status]) => {
    const { client, server } = await everything();
    server.on(method, (request) => request.error(given, "because", { data: { a: [1] } }));
    const answer = await client().send(method, params, { id: "e" });
    expect(answer.status).toBe(status);
    expect(answer.message).toMatchObject({ jsonrpc: "2.0", id: "e", error: { code, message: "because" } });
    expect(JSON.stringify(answer.message.error.data)).toContain('{"a":[1]}');
  });
});

test("an error in the range that the specification keeps for itself travels in the data", async () => {
  const { client, server } = await everything();
  server.on("tools/call", (request) => request.error(-32021, "mine", { data: { a: 1 } }));
  expect((await client().send("tools/call", { name: "anything" })).message.error).toEqual({
    code: -32603,
    message: "mine",
    data: { upstream: { code: -32021, message: "mine", data: { a: 1 } } },
  });
});

test("a cursor that the server does not know is the server's to refuse", async () => {
  const { client, server } = await everything();
  server.on("tools/list", (request) => request.error(-32602, "Invalid cursor"));
  const { status, message } = await client().send("tools/list", { cursor: "made up" });
  expect(status).toBe(200);
  expect(message.error).toEqual({ code: -32602, message: "Invalid cursor" });
  expect((await server.arrival("tools/list")).message.params).toMatchObject({ cursor: "made up" });
});

describe("keys that are dangerous to copy", () => {
  test("reach the server as they are, in arguments and inside _meta", async () => {
    const { client, server } = await everything();
    const head = messageText({ id: 1, method: "tools/call" });
    const { params } = JSON.parse(head);
    const call = {
      ...params,
      name: "anything",
      arguments: "HOSTILE",
      _meta: { ...params._meta, "com.example/x": "HOSTILE" },
    };
    const body = head.replace(JSON.stringify(params), JSON.stringify(call)).replaceAll('"HOSTILE"', HOSTILE);
    const headers = { ...LIST_HEADERS, "mcp-method": "tools/call", "mcp-name": "anything" };
    expect((await read(await client().post(body, headers))).message).toMatchObject({
      result: { content: [] },
    });

    const sent = JSON.stringify((await server.arrival("tools/call")).message.params);
    expect(sent).toContain(`"arguments":${HOSTILE}`);
    expect(sent).toContain(`"com.example/x":${HOSTILE}`);
    expect(({} as Json).polluted).toBeUndefined();
  });

  test.for(REQUESTS)("reach the client as they are: %s", async ([method, params]) => {
    const { client, server } = await everything();
    server.on(method, (request) => {
      const text = JSON.stringify(request.answer({ inside: "HOSTILE" })).replace('"HOSTILE"', HOSTILE);
      request.response.writeHead(200, { "content-type": "application/json" }).end(text);
    });
    const { text } = await client().send(method, params);
    expect(text).toContain(`"inside":${HOSTILE}`);
    expect(({} as Json).polluted).toBeUndefined();
  });

  test("are no capabilities", async () => {
    const { client } = await everything();
    const body = messageText().replace('Capabilities":{}', `Capabilities":${HOSTILE}`);
    expect((await read(await client().post(body, { ...LIST_HEADERS }))).status).toBe(200);
    expect(({} as Json).polluted).toBeUndefined();
  });
});

describe("tools", () => {
  const schema = {
    type: "object",
    properties: { b: { type: "string" }, a: {} },
    "com.example/x": { $ref: "#/a" },
  };

  test("are listed as the server listed them, but for what it said of the tasks of 2025-11-25", async () => {
    const tools = [
      {
        name: "one",
        inputSchema: schema,
        execution: { taskSupport: "forbidden" },
        annotations: { title: "1" },
      },
      { name: "two", inputSchema: schema, outputSchema: schema, _meta: { a: 1 }, icons: [{ src: "data:," }] },
      "no tool at all",
    ];
    const { client, server } = await everything();
    server.on("tools/list", answers({ tools }));
    const { execution: _, ...one } = tools[0] as Json;
    expect((await client().result("tools/list")).tools).toEqual([one, tools[1], tools[2]]);
  });

  test("that the server forbids as tasks may become tasks all the same", async () => {
    const tools = [{ name: "one", inputSchema: schema, execution: { taskSupport: "forbidden" } }];
    const { client } = await served({ scripts: SCRIPTS, options: { tools }, policy: { mode: "always" } });
    expect(await client().callTool("one")).toMatchObject({ resultType: "task" });
  });
});

describe("what 2025-11-25 says of related tasks", () => {
  const _meta = { "io.modelcontextprotocol/related-task": { taskId: "theirs" }, "com.example/x": 1 };
  const scripts = { "tools/call": answers({ content: [], _meta }) };

  test("is nothing to a client that gets the result at once", async () => {
    const { client } = await served({ scripts });
    expect((await client().callTool("anything"))._meta).toEqual({ "com.example/x": 1, ...SERVER_INFO });
  });

  test("is nothing to a client that gets it from a task", async () => {
    const { client } = await served({ scripts, policy: { mode: "always" } });
    const { taskId } = await client().callTool("anything");
    const { result } = await client().settled(taskId);
    expect(result._meta["com.example/x"]).toBe(1);
    expect(Object.keys(result._meta)).not.toContain("io.modelcontextprotocol/related-task");
  });
});

test("every result says what kind it is and who answered", async () => {
  const ask: Script = async (call) => {
    const stream = call.sse();
    const question = { mode: "form", message: "?", requestedSchema: { type: "object", properties: {} } };
    await stream.ask("elicitation/create", question);
    stream.event(call.answer({ content: [] }));
    stream.end();
  };
  const { client, server } = await served({
    scripts: { ...SCRIPTS },
    options: { capabilities: CAPABILITIES },
    tools: [{ match: "slow", mode: "always" }],
  });
  const said: Record<string, Json> = {};
  for (const [method, params] of [["server/discover", {}] as const, ...REQUESTS]) {
    said[method] = await client().result(method, params);
  }
  server.on("tools/call", ask);
  const asking = client({ capabilities: { elicitation: {} } });
  said.input_required = await asking.callTool("anything");
  said.task = await client().callTool("slow");
  const { taskId } = said.task;
  said["tasks/get"] = await client().task(taskId);
  said["tasks/update"] = await client().result("tasks/update", { taskId, inputResponses: {} });
  said["tasks/cancel"] = await client().result("tasks/cancel", { taskId });

  const kinds = Object.entries(said).map(([name, { resultType }]) => [name, resultType]);
  const complete = Object.keys(said).map((name) => [name, "complete"]);
  expect(Object.fromEntries(kinds)).toEqual({
    ...Object.fromEntries(complete),
    input_required: "input_required",
    task: "task",
  });
  for (const result of Object.values(said)) expect(result._meta).toMatchObject(SERVER_INFO);

  const cacheable = Object.keys(said).filter((name) => Object.hasOwn(said[name], "cacheScope"));
  expect(cacheable.sort()).toEqual(
    [
      "prompts/list",
      "resources/list",
      "resources/read",
      "resources/templates/list",
      "server/discover",
      "tools/list",
    ].sort(),
  );
  for (const name of cacheable) expect(said[name]).toMatchObject({ ttlMs: 0, cacheScope: "private" });
  expect(Object.hasOwn(said.input_required, "ttlMs")).toBe(false);
});

test("a resource that is asked about before it is read is not cached until it has been read", async () => {
  const question = { mode: "form", message: "?", requestedSchema: { type: "object", properties: {} } };
  const { client } = await served({
    options: { capabilities: CAPABILITIES },
    scripts: {
      "resources/read": async (request) => {
        const stream = request.sse();
        await stream.ask("elicitation/create", question);
        stream.event(request.answer({ contents: [] }));
        stream.end();
      },
    },
  });
  const asking = client({ capabilities: { elicitation: {} } });
  const first = await asking.result("resources/read", { uri: "a:b" });
  expect(Object.keys(first).sort()).toEqual(["_meta", "inputRequests", "requestState", "resultType"]);

  const [key = ""] = Object.keys(first.inputRequests);
  const inputResponses = { [key]: { action: "accept", content: {} } };
  const { requestState } = first;
  expect(await asking.result("resources/read", { uri: "a:b", requestState, inputResponses })).toMatchObject({
    resultType: "complete",
    contents: [],
    ttlMs: 0,
    cacheScope: "private",
  });
});

test("hints of the server's own are kept where they can be true", async () => {
  const { client, server } = await everything();
  server.on("tools/list", answers({ tools: [], ttlMs: 60_000, cacheScope: "public" }));
  expect(await client().result("tools/list")).toMatchObject({ ttlMs: 60_000, cacheScope: "private" });
});

test("a server is discovered as it introduced itself, with the tasks of the extension instead of its own", async () => {
  const { client, server } = await served();
  server.on("initialize", (request) =>
    request.json(
      {
        protocolVersion: "2025-11-25",
        capabilities: {
          tools: { listChanged: true },
          tasks: { list: {} },
          experimental: { a: {} },
          extensions: { "com.example/x": { y: 1 } },
        },
        serverInfo: { name: "legacy", version: "7", title: "L" },
        instructions: "Be kind.",
      },
      { "mcp-session-id": request.session.id ?? "" },
    ),
  );
  // The gateway looked at its server when it started; a client that declares something else has a session of its own.
  expect(await client({ capabilities: { sampling: {} } }).result("server/discover")).toEqual({
    resultType: "complete",
    supportedVersions: ["2026-07-28"],
    capabilities: {
      tools: { listChanged: true },
      experimental: { a: {} },
      extensions: { "com.example/x": { y: 1 }, "io.modelcontextprotocol/tasks": {} },
    },
    instructions: "Be kind.",
    ttlMs: 0,
    cacheScope: "private",
    _meta: { "io.modelcontextprotocol/serverInfo": { name: "legacy", version: "7", title: "L" } },
  });
});

test("a server that wants credentials says so to the client", async () => {
  const { client, server } = await served();
  const challenge = 'Bearer resource_metadata="https://auth.example/meta"';
  server.on("tools/list", (request) => request.reply(401, "no", { "www-authenticate": challenge }));
  const answer = await client().send("tools/list");
  expect(answer.status).toBe(401);
  expect(answer.headers["www-authenticate"]).toBe(challenge);
  expect(answer.message).toMatchObject({ id: 1, error: { code: -32603 } });
});
