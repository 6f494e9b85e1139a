/** Servers of 2026-07-28: scripted ones, for what a server's SDK would not do, and a gateway in front of them. */

import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import type { Exchange } from "./scripted-exchange.ts";
import type { Script, ScriptedServerOptions } from "./scripted-server.ts";
import { type Story, type StorySettings, story } from "./story.ts";

const SERVER_INFO = { name: "modern", version: "1.0.0" };

export interface ModernServerSettings {
  /** Whether it makes tasks itself. */
  readonly hasTasks?: boolean;
  readonly tools?: readonly JsonObject[];
}

/** A scripted server of 2026-07-28 and of no revision before, and a gateway in front of it. */
export function modernStory(
  scripts: Readonly<Record<string, Script>>,
  settings: StorySettings = {},
  server: ModernServerSettings = {},
): Promise<Story> {
  return story({ ...modernScripts(server), ...scripts }, settings, STATELESS);
}

export const STATELESS: ScriptedServerOptions = { stateless: true };

/** What every server of the revision has to say. */
export function modernScripts({
  hasTasks = false,
  tools = [{ name: "anything", inputSchema: { type: "object" } }],
}: ModernServerSettings = {}): Record<string, Script> {
  const extensions = hasTasks ? { extensions: { "io.modelcontextprotocol/tasks": {} } } : {};
  const refuse: Script = (exchange) =>
    exchange.error(-32022, "Unsupported protocol version", {
      data: { supported: ["2026-07-28"], requested: "2025-11-25" },
      status: 400,
    });
  return {
    "server/discover": (exchange) =>
      exchange.json(
        complete({
          supportedVersions: ["2026-07-28"],
          capabilities: { tools: { listChanged: true }, ...extensions },
          instructions: "Be brief.",
          ttlMs: 1_000,
          cacheScope: "public",
        }),
      ),
    "tools/list": (exchange) => exchange.json(complete({ tools, ttlMs: 0, cacheScope: "private" })),
    initialize: refuse,
    GET: (exchange) => exchange.reply(405, "", { allow: "POST" }),
    DELETE: (exchange) => exchange.reply(405, "", { allow: "POST" }),
  };
}

/** A result as the revision wants it. */
export function complete(result: JsonObject): JsonObject {
  return { resultType: "complete", ...result, _meta: { "io.modelcontextprotocol/serverInfo": SERVER_INFO } };
}

/** The result of a tool that says one thing. */
export function said(text: string): JsonObject {
  return complete({ content: [{ type: "text", text }] });
}

/** Ends a round with what the server wants to know. */
export function wants(inputRequests: JsonObject | undefined, requestState?: string): JsonObject {
  return {
    resultType: "input_required",
    ...(inputRequests === undefined ? {} : { inputRequests }),
    ...(requestState === undefined ? {} : { requestState }),
  };
}

/** A form elicitation as an input request. */
export function elicits(message: string): JsonObject {
  const requestedSchema = { type: "object", properties: { name: { type: "string" } } };
  return { method: "elicitation/create", params: { mode: "form", message, requestedSchema } };
}

/** The params of the nth `tools/call` that reached the server. */
export async function paramsOf({ server }: Story, nth = 1): Promise<JsonObject> {
  return (await server.arrival("tools/call", nth)).message.params ?? {};
}

/** The `_meta` of a request. */
export function metaOf({ message }: Exchange): JsonObject {
  return (message.params?._meta ?? {}) as JsonObject;
}
