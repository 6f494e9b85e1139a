/** Who answers a request, as far as it can be told without asking anybody. */

import { expect, test } from "vitest";
import type { ToolPolicy } from "../../src/config/config.ts";
import { type Class, classify, type Head, type Known, type Message } from "../../src/requests/classify.ts";

const STATE = "taskgate.abc.0123456789abcdef0123456789abcdef0123456789a";
const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};
const WITH_TASKS = {
  ...META,
  "io.modelcontextprotocol/clientCapabilities": { extensions: { "io.modelcontextprotocol/tasks": {} } },
};
const POST: Head = {
  method: "POST",
  headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
  url: "/mcp",
};
const GET: Head = { method: "GET", headers: {}, url: "/mcp" };
const MODERN = { "mcp-protocol-version": "2026-07-28" };
const IN_2025 = { "mcp-protocol-version": "2025-11-25", "mcp-session-id": "s" };

const HTTP: Known = {
  isHttp: true,
  isStreamable: true,
  isPaired: false,
  takesMessages: false,
  policy: (tool) => ({ mode: tool.startsWith("quick") ? "never" : "auto" }) as ToolPolicy,
};
const COMMAND: Known = { ...HTTP, isHttp: false, isStreamable: false };
const SSE: Known = { ...HTTP, isStreamable: false };
const NO_TASKS: Known = { ...HTTP, modern: { hasTasks: false } };
const HAS_TASKS: Known = { ...HTTP, modern: { hasTasks: true } };

const head = (base: Head, headers: Head["headers"] = {}): Head => ({
  ...base,
  headers: { ...base.headers, ...headers },
});
const says = (method: string, params: object = {}, id: unknown = 1): Message => ({
  json: { jsonrpc: "2.0", id, method, params },
});
const modern = (method: string, params: object = {}): Message => says(method, { _meta: META, ...params });
const notification: Message = { json: { jsonrpc: "2.0", method: "notifications/initialized" } };
const preflight = head(
  { ...GET, method: "OPTIONS" },
  { origin: "x", "access-control-request-method": "POST" },
);

const cases: readonly [what: string, head: Head, message: Message, known: Known, expected: object][] = [
  ["a preflight", preflight, undefined, HTTP, { is: "preflight" }],
  ["one with a body", head(preflight, { "content-length": "1" }), { json: 1 }, HTTP, legacy("other")],
  ["another path", { ...GET, elsewhere: "/docs" }, undefined, HTTP, { is: "otherPath", isMessage: false }],
  [
    "another path, whatever the header says",
    { ...head(POST, MODERN), elsewhere: "/messages" },
    modern("tools/list"),
    { ...SSE, takesMessages: true },
    { is: "otherPath", isMessage: true },
  ],

  ["a header of 2026-07-28", head(POST, MODERN), says("tools/list"), HTTP, { is: "modern" }],
  ["a later one", head(POST, { "mcp-protocol-version": "2027-01-01" }), says("x"), HTTP, { is: "modern" }],
  ["a claim in _meta", POST, modern("tools/list"), HTTP, { is: "modern" }],
  ["a claim before a command", POST, modern("tools/list"), COMMAND, { is: "modern" }],
  ["a modern notification", head(POST, MODERN), notification, HTTP, { is: "modern" }],
  ["a modern GET", head(GET, MODERN), undefined, HTTP, refused(405)],
  [
    "one that can read nothing",
    head(POST, { ...MODERN, accept: "text/html" }),
    modern("x"),
    HTTP,
    refused(406),
  ],
  [
    "one that sends text",
    head(POST, { ...MODERN, "content-type": "text/plain" }),
    modern("x"),
    HTTP,
    refused(415),
  ],
  ["one without a body", head(POST, MODERN), undefined, HTTP, refused(400)],
  ["one that is no JSON", head(POST, MODERN), { json: undefined, fault: "no JSON" }, HTTP, refused(400)],
  ["a modern batch", head(POST, MODERN), { json: [] }, HTTP, refused(400)],

  ["a modern GET for a modern server", head(GET, MODERN), undefined, NO_TASKS, { is: "passThrough" }],
  [
    "no JSON for a modern server",
    head(POST, MODERN),
    { json: 0, fault: "?" },
    NO_TASKS,
    { is: "passThrough" },
  ],
  ["a notification for a modern server", head(POST, MODERN), notification, NO_TASKS, { is: "passThrough" }],
  ["a list for a modern server", POST, modern("tools/list"), NO_TASKS, { is: "passThrough" }],
  ["a quick call of one that knows tasks", POST, call("quick", WITH_TASKS), NO_TASKS, { is: "passThrough" }],
  ["a call of one that does not", POST, call("slow", META), NO_TASKS, { is: "passThrough" }],
  ["a call that may become a task", POST, call("slow", WITH_TASKS), NO_TASKS, { is: "modern" }],
  ["the same for a server with tasks", POST, call("slow", WITH_TASKS), HAS_TASKS, { is: "passThrough" }],
  ["a round of ours", POST, modern("prompts/get", { requestState: STATE }), NO_TASKS, { is: "modern" }],
  [
    "what looks like one before a server with tasks",
    POST,
    modern("prompts/get", { requestState: STATE }),
    HAS_TASKS,
    { is: "passThrough", unlessOurs: { requestState: STATE } },
  ],
  ["a poll", POST, modern("tasks/get", { taskId: "t" }), NO_TASKS, { is: "modern" }],
  ["a poll of a server with tasks", POST, modern("tasks/get", { taskId: "t" }), HAS_TASKS, unless("t")],
  ["one that names none", POST, modern("tasks/get", { taskId: 1 }), HAS_TASKS, unless()],
  ["listening to changes", POST, listening(undefined), NO_TASKS, { is: "passThrough" }],
  ["listening to tasks", POST, listening(["t", "u"]), NO_TASKS, { is: "modern" }],
  ["listening to tasks of a server with some", POST, listening(["t", "u"]), HAS_TASKS, unless("t", "u")],
  ["listening to too many", POST, listening(Array(1_001).fill("t")), HAS_TASKS, unless()],

  ["a legacy request for a command", POST, says("tools/list"), COMMAND, { is: "paired" }],
  ["what is no JSON for a command", POST, { json: undefined, fault: "?" }, COMMAND, refused(400)],
  ["a request in a pair", POST, says("tools/list"), { ...HTTP, isPaired: true }, { is: "paired" }],
  ["an opening before HTTP+SSE", POST, says("initialize"), SSE, { is: "paired" }],
  ["one with a query", { ...POST, url: "/mcp?a=b" }, says("initialize"), SSE, legacy("initialize")],
  ["a session before HTTP+SSE", head(GET, { "mcp-session-id": "s" }), undefined, SSE, { is: "paired" }],
  ["a stream of HTTP+SSE", GET, undefined, SSE, legacy("stream")],

  ["a stream", GET, undefined, HTTP, legacy("stream")],
  ["the end of a session", { ...GET, method: "DELETE" }, undefined, HTTP, legacy("other")],
  ["a batch", POST, { json: [{}] }, HTTP, legacy("other")],
  ["an answer", POST, { json: { id: 1, result: {} } }, HTTP, legacy("answer")],
  [
    "a client that does not want to wait",
    POST,
    says("notifications/cancelled"),
    HTTP,
    legacy("cancellation"),
  ],
  ["a legacy notification", POST, notification, HTTP, legacy("other")],
  ["an opening", POST, says("initialize"), HTTP, legacy("initialize")],
  ["a call without a session of 2025-11-25", POST, says("tools/call"), HTTP, legacy("call")],
  ["a call in one", head(POST, IN_2025), says("tools/call"), HTTP, legacy("tasks")],
  ["a call without an id", head(POST, IN_2025), says("tools/call", {}, null), HTTP, legacy("call")],
  ["a poll in one", head(POST, IN_2025), says("tasks/get"), HTTP, legacy("tasks")],
  ["what no revision with a session has", head(POST, IN_2025), says("tasks/update"), HTTP, legacy("other")],
  ["a poll outside", POST, says("tasks/get"), HTTP, legacy("other")],
];

test.each(cases)("%s", (_, given, message, known, expected) => {
  const found: Class = classify(given, message, known);
  const { request: _request, ...what } = "request" in found ? found : { ...found, request: undefined };
  if (what.is === "refused") expect({ is: what.is, status: what.error.httpStatus }).toEqual(expected);
  else expect(what).toEqual(expected);
});

function legacy(as: string) {
  return { is: "legacy", as };
}

function refused(status: number) {
  return { is: "refused", status };
}

function unless(...taskIds: readonly string[]) {
  return { is: "passThrough", unlessOurs: { taskIds } };
}

function call(name: string, _meta: object): Message {
  return says("tools/call", { name, _meta });
}

function listening(taskIds: readonly string[] | undefined): Message {
  return modern("subscriptions/listen", { notifications: { taskIds } });
}
