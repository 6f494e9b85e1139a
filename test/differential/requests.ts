/** Requests that are sent to both twins, right ones and wrong ones. */

import { type Dispatcher, request } from "undici";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { LEGACY_VERSIONS } from "../../src/protocol/legacy.ts";
import { type Answer, type CallOptions, ModernClient, read, TASKS } from "../support/modern-client.ts";

export type Send = (url: URL) => Promise<Answer>;

const VERSION = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES = "io.modelcontextprotocol/clientCapabilities";
const LOG_LEVEL = "io.modelcontextprotocol/logLevel";
const FUTURE = { meta: { [VERSION]: "2030-01-01" }, headers: { "mcp-protocol-version": "2030-01-01" } };
const PAST = { meta: { [VERSION]: "2025-11-25" }, headers: { "mcp-protocol-version": "2025-11-25" } };

export const REQUESTS: Readonly<Record<string, Send>> = {
  discover: call("server/discover"),
  "list tools": call("tools/list"),
  "list prompts": call("prompts/list"),
  "list resources": call("resources/list"),
  "list resource templates": call("resources/templates/list"),
  "call a tool": call("tools/call", { name: "echo", arguments: { text: "hi" } }),
  "call a tool that fails": call("tools/call", { name: "fail" }),
  "call a tool with the wrong arguments": call("tools/call", { name: "echo", arguments: { text: 1 } }),
  "call a tool that there is not": call("tools/call", { name: "none" }),
  "call a tool without a name": call("tools/call", {}),
  "get a prompt": call("prompts/get", { name: "greet" }),
  "get a prompt that there is not": call("prompts/get", { name: "none" }),
  "read a resource": call("resources/read", { uri: "twin://one" }),
  "read a resource that there is not": call("resources/read", { uri: "twin://none" }),
  "an id of 0": call("prompts/list", {}, { id: 0 }),
  "an empty id": call("prompts/list", {}, { id: "" }),
  "an error with an id of 0": call("tools/unknown", {}, { id: 0 }),

  "a method that there is not": call("tools/unknown"),
  "a method of earlier revisions": call("ping"),
  "initialize in a modern envelope": call("initialize"),
  "a task, by a client without tasks": call("tasks/get", { taskId: "t" }, { meta: { [CAPABILITIES]: {} } }),
  "a task, by a client with tasks": call("tasks/get", { taskId: "t" }, { meta: { [CAPABILITIES]: TASKS } }),
  "the result of a task": call("tasks/result", { taskId: "t" }),

  "no version in the header": call("tools/list", {}, { headers: { "mcp-protocol-version": undefined } }),
  "another version in the header": call(
    "tools/list",
    {},
    { headers: { "mcp-protocol-version": "2025-11-25" } },
  ),
  "no method in the header": call("tools/list", {}, { headers: { "mcp-method": undefined } }),
  "another method in the header": call("tools/list", {}, { headers: { "mcp-method": "tools/call" } }),
  "no name in the header": echo({ "mcp-name": undefined }),
  "another name in the header": echo({ "mcp-name": "fail" }),
  "the name in base64": echo({ "mcp-name": "=?base64?ZWNobw==?=" }),
  "the name in bad base64": echo({ "mcp-name": "=?base64?ZWNobw?=" }),
  "white space round the headers": echo({ "mcp-name": " echo\t", "mcp-method": "\ttools/call " }),
  "a mirrored argument": mirror("eu", { "mcp-param-region": "eu" }),
  "a mirrored argument in base64": mirror("z\u00fcrich", { "mcp-param-region": "=?base64?esO8cmljaA==?=" }),
  "no header for a mirrored argument": mirror("eu", {}),
  "another header for a mirrored argument": mirror("eu", { "mcp-param-region": "us" }),
  "a header for no argument": mirror(undefined, { "mcp-param-region": "eu" }),

  "a version of the future": call("tools/list", {}, FUTURE),
  "a version of the past in an envelope": call("tools/list", {}, PAST),
  "no version in the envelope": call("tools/list", {}, { meta: { [VERSION]: undefined } }),
  "a version that is no string": call("tools/list", {}, { meta: { [VERSION]: 7 } }),
  "no capabilities in the envelope": call("tools/list", {}, { meta: { [CAPABILITIES]: undefined } }),
  "capabilities that are no object": call("tools/list", {}, { meta: { [CAPABILITIES]: [] } }),
  "a capability that is no object": call("tools/list", {}, { meta: { [CAPABILITIES]: { roots: 1 } } }),
  "a client that is no object": call("tools/list", {}, { meta: { "io.modelcontextprotocol/clientInfo": 1 } }),
  "a log level that there is not": call("tools/list", {}, { meta: { [LOG_LEVEL]: "loud" } }),
  "no envelope": post({ id: 1, method: "tools/list", params: {} }),
  "no params": post({ id: 1, method: "tools/list" }),

  "a notification": post(
    { method: "notifications/cancelled", params: { requestId: 1 } },
    { "mcp-method": "notifications/cancelled" },
  ),
  "a response": post({ id: 1, result: {} }),
  "an error response": post({ id: 1, error: { code: 1, message: "x" } }),

  "a batch": raw(JSON.stringify([{ jsonrpc: "2.0", id: 1, method: "tools/list" }])),
  "an empty batch": raw("[]"),
  "no JSON": raw("{"),
  "no body": raw(""),
  "no object": raw("1"),
  "no version of JSON-RPC": raw('{"id":1,"method":"tools/list"}'),
  "an id of null": post({ id: null, method: "tools/list" }),
  "a fractional id": post({ id: 1.5, method: "tools/list" }),
  "params that are an array": post({ id: 1, method: "tools/list", params: [] }),
  "another content type": raw("{}", { "content-type": "text/plain" }),
  "a body that is too large": raw(`"${"x".repeat(4_194_304)}"`),
  "JSON only": call("prompts/list", {}, { headers: { accept: "application/json" } }),
  "neither JSON nor streams": call("prompts/list", {}, { headers: { accept: "text/html" } }),
  GET: verb("GET", { "mcp-protocol-version": "2026-07-28" }),
  DELETE: verb("DELETE", { "mcp-protocol-version": "2026-07-28" }),
};

const CLIENT = { capabilities: {}, clientInfo: { name: "a", version: "1" } };

/** What clients of earlier revisions send to a server with sessions, in one and outside of any. */
export const LEGACY_REQUESTS: Readonly<Record<string, Send>> = {
  ...Object.fromEntries(
    LEGACY_VERSIONS.flatMap((version) => [
      [`initialize of ${version}`, legacy(initialize(version))],
      [`list tools in ${version}`, inSession(version, { id: "l", method: "tools/list" })],
      [`call a tool in ${version}`, inSession(version, callOf("echo", { text: "hi" }))],
    ]),
  ),
  "initialize of a version that there is not": legacy(initialize("2030-01-01")),
  "initialize of nothing": legacy({ id: 1, method: "initialize" }),
  "a request before initialize": legacy({ id: 1, method: "tools/list" }, "2025-11-25"),
  "a request before initialize, without a header": legacy({ id: 1, method: "tools/list" }),
  "a notification before initialize": legacy({ method: "notifications/initialized" }),
  "a version in the header that there is not": inSession("1999-01-01", { id: 1, method: "ping" }),
  "a notification": inSession("2025-06-18", { method: "notifications/initialized" }),
  "a ping": inSession("2025-06-18", { id: 0, method: "ping" }),
  "a method that there is not": inSession("2025-06-18", { id: "", method: "tools/unknown" }),
  "a tool that fails": inSession("2025-06-18", callOf("fail")),
  "a tool that there is not": inSession("2025-06-18", callOf("none")),
  "a tool without a name": inSession("2025-06-18", { id: 1, method: "tools/call", params: {} }),
  "a resource that there is not": inSession("2025-06-18", {
    id: 1,
    method: "resources/read",
    params: { uri: "twin://none" },
  }),
  "a task of a server without tasks": inSession("2025-06-18", {
    id: 1,
    method: "tasks/get",
    params: { taskId: "t" },
  }),
  "an answer that nobody waits for": inSession("2025-06-18", { id: 7, result: {} }),
  "a cancellation of nothing": inSession("2025-11-25", {
    method: "notifications/cancelled",
    params: { requestId: 99 },
  }),
  "a batch": rawLegacy('[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]'),
  "an empty batch": rawLegacy("[]"),
  "no JSON": rawLegacy("{"),
  "no body": rawLegacy(""),
  "no object": rawLegacy("1"),
  "no version of JSON-RPC": rawLegacy('{"id":1,"method":"ping"}'),
  "an id of null": rawLegacy('{"jsonrpc":"2.0","id":null,"method":"ping"}'),
  "another content type": rawLegacy("{}", { "content-type": "text/plain" }),
  "JSON only": rawLegacy("{}", { accept: "application/json" }),
  "neither JSON nor streams": rawLegacy("{}", { accept: "text/html" }),
  "an unknown session": rawLegacy('{"jsonrpc":"2.0","id":1,"method":"ping"}', { "mcp-session-id": "x" }),
  "GET of no session": verb("GET", { accept: "text/event-stream" }),
  "GET of what is no stream": verb("GET", { accept: "text/html" }),
  "DELETE of no session": verb("DELETE"),
  "DELETE of a session": async (url) => {
    const session = await openSession(url, "2025-06-18");
    return verb("DELETE", session)(url);
  },
  PUT: verb("PUT"),
  OPTIONS: verb("OPTIONS"),
};

function call(method: string, params: JsonObject = {}, options: CallOptions = {}): Send {
  return (url) => new ModernClient(url, { capabilities: {} }).send(method, params, options);
}

function echo(headers: NonNullable<CallOptions["headers"]>): Send {
  return call("tools/call", { name: "echo", arguments: { text: "hi" } }, { headers });
}

function mirror(region: string | undefined, headers: NonNullable<CallOptions["headers"]>): Send {
  return call(
    "tools/call",
    { name: "mirror", arguments: region === undefined ? {} : { region } },
    { headers },
  );
}

function post(message: JsonObject, headers: Readonly<Record<string, string>> = {}): Send {
  return raw(JSON.stringify({ jsonrpc: "2.0", ...message }), headers);
}

function raw(body: string, headers: Readonly<Record<string, string>> = {}): Send {
  const modern = { "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list" };
  return async (url) => read(await new ModernClient(url).post(body, { ...modern, ...headers }));
}

function verb(method: Dispatcher.HttpMethod, headers: Readonly<Record<string, string>> = {}): Send {
  return async (url) => read(await request(url, { method, headers }));
}

function legacy(message: JsonObject, version?: string): Send {
  return rawLegacy(
    JSON.stringify({ jsonrpc: "2.0", ...message }),
    version === undefined ? {} : { "mcp-protocol-version": version },
  );
}

function rawLegacy(body: string, headers: Readonly<Record<string, string>> = {}): Send {
  return async (url) => read(await new ModernClient(url).post(body, headers));
}

/** Initializes a session, and sends the message in it. */
function inSession(version: string, message: JsonObject): Send {
  const body = JSON.stringify({ jsonrpc: "2.0", ...message });
  return async (url) => read(await new ModernClient(url).post(body, await openSession(url, version)));
}

/** The headers that every request in the session has. */
async function openSession(url: URL, version: string): Promise<Record<string, string>> {
  const client = new ModernClient(url);
  const body = JSON.stringify({ jsonrpc: "2.0", ...initialize(version) });
  const { headers } = await read(await client.post(body));
  return { "mcp-session-id": String(headers["mcp-session-id"]), "mcp-protocol-version": version };
}

function initialize(protocolVersion: string): JsonObject {
  return { id: 1, method: "initialize", params: { protocolVersion, ...CLIENT } };
}

function callOf(name: string, args: JsonObject = {}): JsonObject {
  return { id: 1, method: "tools/call", params: { name, arguments: args } };
}
