/** What is checked, in which order, and with which HTTP status a failure is answered. */

import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { type CallOptions, read, TASKS } from "../support/modern-client.ts";
import { asked, ENVELOPE, LIST_HEADERS, messageText, served } from "./served.ts";

const VERSION = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES = "io.modelcontextprotocol/clientCapabilities";
const LOG_LEVEL = "io.modelcontextprotocol/logLevel";
const NO_TASKS = { [CAPABILITIES]: {} };
const TASK_ID = "0123456789abcdefghijkl";

describe("a request that is wrong in one way", () => {
  test.for<[method: string, params: JsonObject, wrong: CallOptions, status: number, code: number]>([
    // Headers: each of them missing, and saying something else than the body.
    ["tools/list", {}, { headers: { "mcp-protocol-version": undefined } }, 400, -32020],
    ["tools/list", {}, { headers: { "mcp-protocol-version": "2025-11-25" } }, 400, -32020],
    ["tools/list", {}, { headers: { "mcp-method": undefined } }, 400, -32020],
    ["tools/list", {}, { headers: { "mcp-method": "tools/call" } }, 400, -32020],
    ["tools/list", {}, { headers: { "mcp-method": "TOOLS/LIST" } }, 400, -32020],
    ["tools/call", { name: "a" }, { headers: { "mcp-name": undefined } }, 400, -32020],
    ["tools/call", { name: "a" }, { headers: { "mcp-name": "b" } }, 400, -32020],
    ["tools/call", { name: "a" }, { headers: { "mcp-name": "=?base64?YQ?=" } }, 400, -32020],
    ["prompts/get", { name: "a" }, { headers: { "mcp-name": undefined } }, 400, -32020],
    ["prompts/get", { name: "a" }, { headers: { "mcp-name": "b" } }, 400, -32020],
    ["resources/read", { uri: "a:b" }, { headers: { "mcp-name": undefined } }, 400, -32020],
    ["resources/read", { uri: "a:b" }, { headers: { "mcp-name": "a:c" } }, 400, -32020],
    ["tasks/get", { taskId: TASK_ID }, { headers: { "mcp-name": undefined } }, 400, -32020],
    ["tasks/get", { taskId: TASK_ID }, { headers: { "mcp-name": "b" } }, 400, -32020],
    ["tasks/update", { taskId: TASK_ID, inputResponses: {} }, { headers: { "mcp-name": "b" } }, 400, -32020],
    ["tasks/cancel", { taskId: TASK_ID }, { headers: { "mcp-name": undefined } }, 400, -32020],
    // The envelope.
    ["tools/list", {}, { meta: { [VERSION]: undefined } }, 400, -32602],
    ["tools/list", {}, { meta: { [VERSION]: 20260728 } }, 400, -32602],
    ["tools/list", {}, { meta: { [CAPABILITIES]: undefined } }, 400, -32602],
    ["tools/list", {}, { meta: { [CAPABILITIES]: "tasks" } }, 400, -32602],
    ["tools/list", {}, { meta: { [CAPABILITIES]: { sampling: true } } }, 400, -32602],
    ["tools/list", {}, { meta: { "io.modelcontextprotocol/clientInfo": 7 } }, 400, -32602],
    ["tools/list", {}, { meta: { progressToken: {} } }, 400, -32602],
    ["tools/list", {}, { meta: { [LOG_LEVEL]: "loud" } }, 400, -32602],
    // Methods that 2026-07-28 has no more, or never had.
    ["initialize", { protocolVersion: "2026-07-28" }, {}, 404, -32601],
    ["ping", {}, {}, 404, -32601],
    ["logging/setLevel", { level: "info" }, {}, 404, -32601],
    ["resources/subscribe", { uri: "a:b" }, {}, 404, -32601],
    ["resources/unsubscribe", { uri: "a:b" }, {}, 404, -32601],
    ["roots/list", {}, {}, 404, -32601],
    ["sampling/createMessage", {}, {}, 404, -32601],
    ["elicitation/create", {}, {}, 404, -32601],
    ["notifications/cancelled", {}, {}, 404, -32601],
    ["tasks/result", { taskId: TASK_ID }, {}, 404, -32601],
    ["tasks/list", {}, {}, 404, -32601],
    ["tasks/unheard-of", {}, {}, 404, -32601],
    // Capabilities, also for tasks that there are not.
    ["tasks/get", { taskId: TASK_ID }, { meta: NO_TASKS }, 400, -32021],
    ["tasks/update", { taskId: TASK_ID, inputResponses: {} }, { meta: NO_TASKS }, 400, -32021],
    ["tasks/cancel", { taskId: TASK_ID }, { meta: NO_TASKS }, 400, -32021],
    ["subscriptions/listen", { notifications: { taskIds: [] } }, { meta: NO_TASKS }, 400, -32021],
    // Params.
    ["tasks/get", { taskId: TASK_ID }, {}, 200, -32602],
    ["tasks/get", { taskId: "../../etc/passwd" }, {}, 200, -32602],
    ["tasks/get", { taskId: "" }, {}, 200, -32602],
    ["tasks/get", { taskId: "__proto__" }, {}, 200, -32602],
    ["tasks/get", { taskId: "x".repeat(4_000) }, {}, 200, -32602],
    ["tasks/get", {}, {}, 200, -32602],
    ["tasks/get", { taskId: 7 }, {}, 200, -32602],
    ["tasks/get", { taskId: null }, {}, 200, -32602],
    ["tasks/update", { taskId: TASK_ID, inputResponses: {} }, {}, 200, -32602],
    ["tasks/update", { taskId: TASK_ID }, {}, 200, -32602],
    ["tasks/update", { taskId: TASK_ID, inputResponses: [] }, {}, 200, -32602],
    ["tasks/update", { inputResponses: {} }, {}, 200, -32602],
    ["tasks/cancel", { taskId: TASK_ID }, {}, 200, -32602],
    ["tasks/cancel", {}, {}, 200, -32602],
    ["tools/call", {}, {}, 200, -32602],
    ["tools/call", { name: 7 }, {}, 200, -32602],
    ["tools/call", { name: "a", arguments: [] }, {}, 200, -32602],
    ["tools/call", { name: "a", arguments: "b" }, {}, 200, -32602],
    ["tools/call", { name: "a", requestState: "forged" }, {}, 200, -32602],
    ["tools/call", { name: "a", inputResponses: [] }, {}, 200, -32602],
    ["prompts/get", {}, {}, 200, -32602],
    ["resources/read", { uri: ["a:b"] }, {}, 200, -32602],
    ["subscriptions/listen", {}, {}, 200, -32602],
    ["subscriptions/listen", { notifications: { taskIds: "t" } }, {}, 200, -32602],
    ["subscriptions/listen", { notifications: { toolsListChanged: "yes" } }, {}, 200, -32602],
  ])("%s %j with %j is answered with %i and %i", async ([method, params, wrong, status, code]) => {
    const { client, server } = await served();
    const answer = await client().send(method, params, { id: "it", ...wrong });
    expect(answer.status).toBe(status);
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(answer.message).toEqual({
      jsonrpc: "2.0",
      id: "it",
      error: expect.objectContaining({ code, message: expect.stringMatching(/\w/) }),
    });
    // To check the headers of a tool's call, the gateway may have had to ask for the tools.
    expect(asked(server).filter((name) => name !== "tools/list")).toEqual([]);
  });
});

describe("a request that is wrong in two ways", () => {
  const wrongMethod = { "mcp-method": "something/else" };

  test.for<[first: string, method: string, params: JsonObject, wrong: CallOptions, code: number]>([
    [
      "the envelope before the headers",
      "tools/list",
      {},
      { meta: { [CAPABILITIES]: 1 }, headers: wrongMethod },
      -32602,
    ],
    [
      "the version's header before the version",
      "tools/list",
      {},
      { meta: { [VERSION]: "2030-01-01" } },
      -32020,
    ],
    [
      "the version before the method's header",
      "tools/list",
      {},
      {
        meta: { [VERSION]: "2030-01-01" },
        headers: { "mcp-protocol-version": "2030-01-01", ...wrongMethod },
      },
      -32022,
    ],
    [
      "the version before the method",
      "tasks/list",
      {},
      { meta: { [VERSION]: "2030-01-01" }, headers: { "mcp-protocol-version": "2030-01-01" } },
      -32022,
    ],
    ["the headers before the method", "tasks/list", {}, { headers: wrongMethod }, -32020],
    [
      "the headers before the capability",
      "tasks/get",
      { taskId: TASK_ID },
      { meta: NO_TASKS, headers: { "mcp-name": "other" } },
      -32020,
    ],
    ["the method before the capability", "tasks/result", { taskId: TASK_ID }, { meta: NO_TASKS }, -32601],
    ["the capability before the params", "tasks/get", {}, { meta: NO_TASKS }, -32021],
    ["the capability before the task", "tasks/cancel", { taskId: "unknown" }, { meta: NO_TASKS }, -32021],
  ])("is told of %s", async ([, method, params, wrong, code]) => {
    const { client } = await served();
    expect((await client().send(method, params, wrong)).message.error.code).toBe(code);
  });

  test("is told of its shape before anything that is in it", async () => {
    const { client } = await served();
    const body = messageText({ jsonrpc: "1.0", method: "tasks/list", params: {} });
    expect(
      (await read(await client().post(body, { ...LIST_HEADERS, ...wrongMethod }))).message.error.code,
    ).toBe(-32600);
  });
});

test.for(["2030-01-01", "2025-11-25", "2026-07-29", "latest", ""])(
  "the version %j is refused with the versions that there are",
  async (version) => {
    const { client } = await served();
    const options = { meta: { [VERSION]: version }, headers: { "mcp-protocol-version": version } };
    const { status, message } = await client().send("server/discover", {}, options);
    const { supportedVersions } = await client().result("server/discover");
    expect(status).toBe(400);
    expect(message.error).toMatchObject({
      code: -32022,
      data: { supported: ["2026-07-28"], requested: version },
    });
    expect(supportedVersions).toEqual(expect.arrayContaining(message.error.data.supported));
  },
);

describe("a client of an earlier revision", () => {
  const handshake = {
    protocolVersion: "2025-06-18",
    capabilities: {},
    clientInfo: { name: "a", version: "1" },
  };

  test.for<[method: string, params: JsonObject | undefined, header: string | undefined]>([
    ["initialize", handshake, undefined],
    ["initialize", { ...handshake, protocolVersion: "2025-11-25" }, "2025-11-25"],
    ["initialize", { ...handshake, _meta: { progressToken: 1 } }, undefined],
    ["initialize", undefined, undefined],
    // It asks for what the server has not got: that is the server's to say.
    ["initialize", { ...handshake, protocolVersion: "2026-07-28" }, undefined],
    ["tools/list", undefined, undefined],
    ["tools/list", {}, "2025-11-25"],
    ["tools/list", { _meta: { "io.modelcontextprotocol/clientInfo": {} } }, "2025-06-18"],
    ["tools/call", { name: "a", _meta: { progressToken: 1 } }, "2025-06-18"],
    ["ping", undefined, "2025-06-18"],
    ["ping", undefined, "2024-11-05"],
    ["ping", undefined, ""],
    ["ping", undefined, "1.0"],
  ])("that sends %s %j with the header %j is answered by its server", async ([method, params, header]) => {
    const { client, server } = await served({
      scripts: { "tools/call": (call) => call.text("done") },
      options: { stateless: true },
    });
    const { host, accept, "content-type": type } = LIST_HEADERS;
    const headers = { host, accept, "content-type": type, "mcp-protocol-version": header };
    const body = messageText({ id: "legacy", method, params });
    const { status, message } = await read(await client().post(body, headers));
    expect(status).toBe(200);
    expect(message).toMatchObject({ jsonrpc: "2.0", id: "legacy", result: {} });
    const arrived = server.received.find((exchange) => exchange.message.id === "legacy");
    expect(arrived?.message).toEqual(JSON.parse(body));
    expect(arrived?.headers["mcp-protocol-version"]).toBe(header);
  });

  test.for([undefined, "2025-11-25", ""])(
    "is none when its envelope is modern, and its header is %j",
    async (header) => {
      const { client, server } = await served();
      const { status, message } = await client().send(
        "ping",
        {},
        { headers: { "mcp-protocol-version": header } },
      );
      expect(status).toBe(400);
      expect(message.error.code).toBe(-32020);
      expect(asked(server)).toEqual([]);
    },
  );

  test("is not taken for one when its header says otherwise", async () => {
    const { client } = await served();
    const body = messageText({ params: { _meta: { progressToken: 1 } } });
    expect((await read(await client().post(body, { ...LIST_HEADERS }))).message.error.code).toBe(-32602);
  });
});

test.for<[what: string, change: JsonObject]>([
  ["notifications/cancelled", { method: "notifications/cancelled" }],
  [
    "notifications/initialized, from an earlier revision",
    { method: "notifications/initialized", params: undefined },
  ],
  ["an unknown one", { method: "com.example/unknown" }],
])("a notification is acknowledged without a word: %s", async ([, change]) => {
  const { client, server } = await served();
  const response = await client().post(messageText({ id: undefined, ...change }), { ...LIST_HEADERS });
  expect(response.statusCode).toBe(202);
  expect(response.headers["content-type"]).toBeUndefined();
  expect(await response.body.text()).toBe("");
  expect(asked(server)).toEqual([]);
});

describe("a method that the gateway does not know", () => {
  test("is asked of the server, without the envelope and with everything else", async () => {
    const { client, server } = await served({
      scripts: { "com.example/do": (request) => request.json({ done: true, _meta: { "com.example/a": 1 } }) },
    });
    const params = { task: "clean up", deep: { a: [1, null] } };
    const result = await client({ capabilities: { extensions: { "com.example/x": {} } } }).result(
      "com.example/do",
      params,
    );
    expect(result).toEqual({
      resultType: "complete",
      done: true,
      _meta: {
        "com.example/a": 1,
        "io.modelcontextprotocol/serverInfo": { name: "scripted", version: "1.0.0" },
      },
    });
    const request = await server.arrival("com.example/do");
    expect(request.message.params).toEqual({ ...params, _meta: { progressToken: expect.anything() } });
    expect(request.session.initialize).toMatchObject({
      capabilities: { extensions: { "com.example/x": {} } },
    });
  });

  test.for(["com.example/unknown", "toString", "__proto__", "constructor", ""])(
    "and that the server does not know either is answered with 404: %j",
    async (method) => {
      const { client } = await served();
      const { status, message } = await client().send(method);
      expect(status).toBe(404);
      expect(message).toMatchObject({ id: 1, error: { code: -32601 } });
    },
  );
});

test("a tool that must become a task is refused to a client without tasks, and its server not asked", async () => {
  const { client, server } = await served({ policy: { mode: "required" } });
  const { status, message } = await client({ capabilities: {} }).send("tools/call", { name: "anything" });
  expect(status).toBe(400);
  expect(message.error).toMatchObject({ code: -32021, data: { requiredCapabilities: TASKS } });
  expect(asked(server)).toEqual([]);
});

test("the tasks of 2025-11-25 are not the tasks of the extension", async () => {
  const { client } = await served();
  const legacy = client({ capabilities: { tasks: { list: {}, cancel: {} } } });
  expect((await legacy.send("tasks/get", { taskId: TASK_ID })).message.error).toMatchObject({
    code: -32021,
    data: { requiredCapabilities: TASKS },
  });
});

test("a task that is unknown and one that cannot be are told apart by nothing", async () => {
  const { client } = await served();
  const answers = await Promise.all(
    [TASK_ID, "x", "../x", "end:x"].map((taskId) => client().send("tasks/get", { taskId }, { id: 1 })),
  );
  expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
});

describe("a tool whose arguments are mirrored in headers", () => {
  const tools = [
    {
      name: "query",
      inputSchema: {
        type: "object",
        properties: {
          region: { type: "string", "x-mcp-header": "Region" },
          limit: { type: "integer", "x-mcp-header": "Limit" },
        },
      },
    },
    {
      name: "broken",
      inputSchema: { type: "object", properties: { n: { type: "number", "x-mcp-header": "N" } } },
    },
  ];
  const scripts = { "tools/call": (call: { text(text: string): void }) => call.text("done") };

  test.for<[args: JsonObject, headers: Record<string, string>]>([
    [{ region: "eu" }, { "mcp-param-region": "eu" }],
    [
      { region: "z\u00fcrich", limit: 5 },
      { "mcp-param-region": "=?base64?esO8cmljaA==?=", "Mcp-Param-Limit": "5.0" },
    ],
    [{ region: null }, {}],
    [{}, { "mcp-param-unknown": "x" }],
  ])("is called with %j and %j", async ([args, headers]) => {
    const { client } = await served({ scripts, options: { tools } });
    expect(await client().callTool("query", args, { headers })).toMatchObject({
      content: [{ text: "done" }],
    });
  });

  test.for<[args: JsonObject, headers: Record<string, string>]>([
    [{ region: "eu" }, {}],
    [{ region: "eu" }, { "mcp-param-region": "us" }],
    [{ region: "eu" }, { "mcp-param-region": "=?base64?ZXU?=" }],
    [{ limit: 5 }, { "mcp-param-limit": "6" }],
    [{}, { "mcp-param-region": "eu" }],
  ])("is not called with %j and %j", async ([args, headers]) => {
    const { client, server } = await served({ scripts, options: { tools } });
    const { status, message } = await client().send(
      "tools/call",
      { name: "query", arguments: args },
      { headers },
    );
    expect(status).toBe(400);
    expect(message.error.code).toBe(-32020);
    expect(asked(server)).toEqual(["tools/list"]);
  });

  test("is called without headers when its annotations break the rules", async () => {
    const { client } = await served({ scripts, options: { tools } });
    expect(await client().callTool("broken", { n: 1.5 })).toMatchObject({ content: [{ text: "done" }] });
  });
});

test("an envelope as it should be is all that a request needs", async () => {
  const { client } = await served();
  const body = messageText({ params: { _meta: ENVELOPE } });
  expect((await read(await client().post(body, { ...LIST_HEADERS }))).status).toBe(200);
});
