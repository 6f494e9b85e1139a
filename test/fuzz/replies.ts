import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import type { Random } from "../survival/support/seeded.ts";
import { mutatedJson } from "./mutations.ts";

/** What a server has to say to one message, in its order: the last one is the answer. Empty: nothing but "accepted". */
export type Said = readonly JsonObject[];

export interface Asked {
  readonly method?: unknown;
  readonly id?: unknown;
  readonly params?: JsonObject;
}

const TOOLS = ["quick", "slow", "asks"].map((name) => ({ name, inputSchema: { type: "object" } }));
const serverInfo = { name: "fuzzed", version: "1" };
const capabilities = {
  tools: { listChanged: true },
  prompts: {},
  resources: { subscribe: true },
  logging: {},
};

/** What a server of older revisions answers to a message. */
export function legacyReply({ method, id, params = {} }: Asked): Said {
  if (id === undefined || typeof method !== "string") return [];
  if (typeof id !== "string" && typeof id !== "number")
    return [{ jsonrpc: "2.0", id: null, error: { code: -32600, message: "Invalid request" } }];
  const answer = (result: JsonObject): Said => [{ jsonrpc: "2.0", id, result }];
  switch (method) {
    case "initialize":
      return answer({ protocolVersion: params.protocolVersion ?? "2025-11-25", capabilities, serverInfo });
    case "ping":
    case "logging/setLevel":
    case "resources/subscribe":
    case "resources/unsubscribe":
      return answer({});
    case "tools/list":
      return answer({ tools: TOOLS });
    case "prompts/list":
      return answer({ prompts: [{ name: "greeting" }] });
    case "prompts/get":
      return answer({ messages: [{ role: "user", content: { type: "text", text: "hello" } }] });
    case "resources/list":
      return answer({ resources: [{ uri: "file:///a", name: "a" }] });
    case "resources/templates/list":
      return answer({ resourceTemplates: [] });
    case "resources/read":
      return answer({ contents: [{ uri: "file:///a", text: "a" }] });
    case "completion/complete":
      return answer({ completion: { values: ["b"] } });
    case "tools/call": {
      const { n, text } = (params.arguments ?? {}) as JsonObject;
      return answer({
        content: [{ type: "text", text: `done ${n}` }, ...(text ? [{ type: "text", text }] : [])],
      });
    }
    default:
      return [{ jsonrpc: "2.0", id, error: { code: -32601, message: "Method not found" } }];
  }
}

/** The same of 2026-07-28, where everybody is somebody else (MRTR for what is asked). */
export function modernReply(asked: Asked): Said {
  const { method, id, params = {} } = asked;
  const said = (result: JsonObject): Said => [
    { jsonrpc: "2.0", id, result: { resultType: "complete", ...result } },
  ];
  const cached = { ttlMs: 0, cacheScope: "private" };
  if (typeof id !== "string" && typeof id !== "number") return legacyReply(asked);
  if (method === "server/discover")
    return said({
      supportedVersions: ["2026-07-28"],
      capabilities,
      ...cached,
      _meta: { "io.modelcontextprotocol/serverInfo": serverInfo },
    });
  if (method === "initialize")
    return [{ jsonrpc: "2.0", id, error: { code: -32601, message: "Method not found" } }];
  if (method === "tools/call" && params.name === "asks" && params.inputResponses === undefined) {
    const form = { mode: "form", message: "Who?", requestedSchema: { type: "object", properties: {} } };
    const inputRequests = { name: { method: "elicitation/create", params: form } };
    return said({ resultType: "input_required", inputRequests, requestState: "theirs" });
  }
  return legacyReply(asked).map((message) =>
    "result" in message
      ? { ...message, result: { resultType: "complete", ...cached, ...(message.result as JsonObject) } }
      : message,
  );
}

/** How much a server says that nobody asked it for. Seldom very much: a client answers every question with a request of its own. */
export function uncalledForCount(random: Random): number {
  return random.between(0, 99) === 0 ? 200 : random.one([0, 0, 0, 1, 1, 2, 3]);
}

/** What nobody asked a server for, to be said before an answer. */
export function uncalledFor(id: unknown, random: Random): JsonObject {
  const odd: unknown = random.one<unknown>([0, "", -1, 1e21, id, "x".repeat(5_000), 1.5, null, true, {}]);
  const request = (method: string, params: JsonObject) => ({ jsonrpc: "2.0", id: odd, method, params });
  const note = (method: string, params: JsonObject) => ({ jsonrpc: "2.0", method, params });
  return random.one<JsonObject>([
    request("elicitation/create", { message: "?", requestedSchema: { type: "object", properties: {} } }),
    request("elicitation/create", {
      mode: "url",
      url: "javascript:alert(1)",
      message: "",
      elicitationId: odd,
    }),
    request("sampling/createMessage", { messages: [], maxTokens: -1 }),
    request("roots/list", {}),
    request("ping", {}),
    request("x/unknown", { deep: [[[[]]]] }),
    { jsonrpc: "2.0", id: odd, result: {} },
    { jsonrpc: "2.0", id: odd, error: { code: 1.5, message: 7 } },
    { jsonrpc: "2.0", id, result: null },
    { jsonrpc: "2.0", id, error: { code: -32021, message: "x", data: { stack: "at x" } } },
    { jsonrpc: "2.0", id, error: { code: -32042, message: "x", data: { elicitations: [{ url: 1 }, {}] } } },
    { jsonrpc: "2.0", id: String(id), result: { content: [] } },
    note("notifications/progress", { progressToken: odd, progress: "much", total: null }),
    note("notifications/cancelled", { requestId: odd, reason: {} }),
    note("notifications/cancelled", { requestId: id }),
    note("notifications/message", { level: "nothing", data: odd }),
    note("notifications/tools/list_changed", {}),
    note("notifications/resources/updated", { uri: odd }),
    note("notifications/tasks/status", { taskId: odd, status: "completed" }),
    note("notifications/elicitation/complete", { elicitationId: odd }),
  ]);
}

/** What a server with one stream for everything says when it is to be wrong: what nobody asked for, and its answer with something changed. */
export function mistaken({ id }: Asked, reply: Said, random: Random): Said {
  const before = Array.from({ length: uncalledForCount(random) }, () => uncalledFor(id, random));
  return [...before, ...reply.map((message) => mutatedJson(message, random) as JsonObject)];
}

/** Whether the call is one of those that take their time. */
export function isSlow({ method, params }: Asked): boolean {
  return method === "tools/call" && params?.name === "slow";
}
