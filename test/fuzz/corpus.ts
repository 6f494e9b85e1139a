import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import type { Random } from "../survival/support/seeded.ts";

/** A request as it goes over the wire, before anybody has framed it. */
export interface Shot {
  readonly verb: string;
  readonly target: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly message: unknown;
}

/** What a request may be about that there really is. */
export interface Known {
  readonly taskIds: readonly string[];
  readonly states: readonly string[];
  /** Sessions of older generations, by route. */
  readonly sessions: ReadonlyMap<string, readonly string[]>;
}

const MODERN = "2026-07-28";
const NO_TASK = "A".repeat(24);
const LEGACY: readonly [string, ...string[]] = [
  "2025-11-25",
  "2025-11-25",
  "2025-06-18",
  "2025-03-26",
  "2024-11-05",
];
const TASKS = { "io.modelcontextprotocol/tasks": {} };
const CAPABILITIES: readonly [JsonObject, ...JsonObject[]] = [
  { extensions: TASKS, elicitation: { form: {}, url: {} }, sampling: {}, roots: {} },
  { extensions: TASKS },
  { elicitation: { form: {} } },
  {},
];

/** A request that has nothing wrong with it, of the revision and for the route that are wanted. `n` is its number. */
export function modernShot(route: string, n: number, known: Known, random: Random): Shot {
  const [method, params] = modernRequest(n, known, random);
  const name = params.name ?? params.taskId ?? (method === "resources/read" ? params.uri : undefined);
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": { name: "fuzz", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": random.one(CAPABILITIES),
    ...(random.between(0, 3) === 0 ? { progressToken: `p${n}` } : {}),
  };
  const headers = [
    ["MCP-Protocol-Version", MODERN],
    ["Mcp-Method", method],
    ...(typeof name === "string" ? [["Mcp-Name", name] as const] : []),
  ] as const;
  return post(route, headers, { jsonrpc: "2.0", id: idOf(n, random), method, params: { ...params, _meta } });
}

export function legacyShot(route: string, n: number, known: Known, random: Random): Shot {
  const version = random.one(LEGACY);
  const sessions = known.sessions.get(route) ?? [];
  const session = sessions.length === 0 ? undefined : random.one(sessions as [string]);
  const headers = [
    ["MCP-Protocol-Version", version] as const,
    ...(session === undefined ? [] : [["Mcp-Session-Id", session] as const]),
  ];
  const verb = random.between(0, 19);
  if (verb === 0) return { ...post(route, headers, undefined), verb: "GET" };
  if (verb === 1) return { ...post(route, headers.slice(0, 1), undefined), verb: "DELETE" };
  const one = () => legacyMessage(n, version, known, random);
  if (verb === 2) return post(route, headers, Array.from({ length: random.between(1, 4) }, one));
  const message = one();
  return post(route, isInitialize(message) ? [] : headers, message);
}

function modernRequest(n: number, known: Known, random: Random): readonly [string, JsonObject] {
  const taskId = known.taskIds.length === 0 ? NO_TASK : random.one([...known.taskIds, NO_TASK] as [string]);
  const state = known.states.length === 0 ? undefined : random.one(known.states as [string]);
  const answers = { inputResponses: { name: { action: "accept", content: { name: "x" } } } };
  return random.one<readonly [string, JsonObject]>([
    ["server/discover", {}],
    ["tools/list", {}],
    ["tools/call", { name: "quick", arguments: { n } }],
    ["tools/call", { name: "quick", arguments: { n, text: "ü".repeat(random.between(0, 2_000)) } }],
    ["tools/call", { name: "slow", arguments: { n } }],
    ["tools/call", { name: "slow", arguments: { n } }],
    ["tools/call", { name: "asks", arguments: {} }],
    ["tools/call", { name: "asks", arguments: {}, ...answers }],
    ["tools/call", { name: "asks", arguments: {}, ...answers, ...(state && { requestState: state }) }],
    ["prompts/list", {}],
    ["prompts/get", { name: "greeting", arguments: { n: `${n}` } }],
    ["resources/list", {}],
    ["resources/templates/list", { cursor: "x" }],
    ["resources/read", { uri: "file:///a" }],
    ["completion/complete", { ref: { type: "ref/prompt", name: "x" }, argument: { name: "a", value: "b" } }],
    ["tasks/get", { taskId }],
    ["tasks/get", { taskId }],
    ["tasks/update", { taskId, ...answers }],
    ["tasks/cancel", { taskId }],
    ["subscriptions/listen", { notifications: { toolsListChanged: true, taskIds: [taskId] } }],
    ["notifications/cancelled", { requestId: n, reason: "no more" }],
    ["x/unknown", { n }],
  ]);
}

function legacyMessage(n: number, version: string, known: Known, random: Random): JsonObject {
  const taskId = known.taskIds.length === 0 ? NO_TASK : random.one([...known.taskIds, NO_TASK] as [string]);
  const clientInfo = { name: "fuzz", version: "1" };
  const [method, params] = random.one<readonly [string, JsonObject | undefined]>([
    ["initialize", { protocolVersion: version, capabilities: { elicitation: {}, roots: {} }, clientInfo }],
    ["notifications/initialized", undefined],
    ["ping", undefined],
    ["tools/list", {}],
    ["tools/call", { name: "quick", arguments: { n } }],
    ["tools/call", { name: "slow", arguments: { n }, task: { ttl: 5_000 } }],
    ["tools/call", { name: "asks", arguments: {}, task: {} }],
    ["tools/call", { name: "slow", arguments: { n }, _meta: { progressToken: n } }],
    ["tasks/get", { taskId }],
    ["tasks/result", { taskId }],
    ["tasks/list", {}],
    ["tasks/cancel", { taskId }],
    ["resources/subscribe", { uri: "file:///a" }],
    ["logging/setLevel", { level: "debug" }],
    ["notifications/cancelled", { requestId: n - 1 }],
    ["notifications/progress", { progressToken: 1, progress: 1 }],
    ["answer", { taskId }],
  ]);
  if (method === "answer")
    return { jsonrpc: "2.0", id: `taskgate:${taskId}:name`, result: { action: "decline" } };
  const id = method.startsWith("notifications/") ? {} : { id: idOf(n, random) };
  return { jsonrpc: "2.0", ...id, method, ...(params === undefined ? {} : { params }) };
}

function post(route: string, headers: Shot["headers"], message: unknown): Shot {
  return {
    verb: "POST",
    target: `/${route}/mcp`,
    headers: [
      ["Host", "127.0.0.1"],
      ["Accept", "application/json, text/event-stream"],
      ["Content-Type", "application/json"],
      ...headers,
    ],
    message,
  };
}

function idOf(n: number, random: Random): number | string {
  return random.between(0, 3) === 0 ? `id-${n}` : n;
}

function isInitialize(message: JsonObject): boolean {
  return message.method === "initialize";
}
