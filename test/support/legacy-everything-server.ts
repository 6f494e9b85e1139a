/**
 * A legacy server with everything that `conformance server --requirements` asks of one at 2025-11-25, and of one behind the
 * gateway at 2026-07-28: tools, prompts, resources with templates and subscriptions, completion, logging, progress, and
 * questions of every kind.
 */

import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import {
  CallToolRequestSchema,
  CompleteRequestSchema,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  McpError,
  ReadResourceRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { Asks } from "./everything-asks.ts";
import { PROMPTS, RESOURCE_TEMPLATES, RESOURCES, readResource } from "./everything-content.ts";
import { serveEverything } from "./everything-http.ts";
import { TOOLS, type ToolContext } from "./everything-tools.ts";
import { TOOLS_2025 } from "./everything-tools-2025.ts";
import { type LegacyHttp, runAsProgram } from "./legacy-http.ts";

export interface LegacyEverythingServerOptions {
  readonly port?: number;
  /** Whether questions go out on the stream of the call, or, as in most v1 servers, on the session's GET stream. */
  readonly asksOn?: "call" | "session";
  /** Whether it keeps its events, as `test_reconnection` needs; without, a stream that was cut is lost. */
  readonly isResumable?: boolean;
}

export async function startLegacyEverythingServer({
  port = 0,
  asksOn = "session",
  isResumable = false,
}: LegacyEverythingServerOptions = {}): Promise<LegacyHttp> {
  const { newServer, onEnd } = legacyEverything(asksOn);
  return serveEverything(newServer, { port, isResumable, onEnd });
}

/**
 * What there is for all sessions together, whatever they are carried by. Each tool call that asks for a change of a list adds the
 * dynamic entry, or takes it away again.
 */
export function legacyEverything(asksOn: "call" | "session") {
  const servers = new Map<Server, Set<string>>();
  const isChanged = { tools: false, prompts: false };

  const everyone = async (method: string, params = {}, isMeant = (_: ReadonlySet<string>) => true) => {
    const meant = [...servers].filter(([, watched]) => isMeant(watched));
    await Promise.all(meant.map(([server]) => server.notification({ method, params })));
  };
  const changes: Pick<ToolContext, "changeList" | "touch"> = {
    changeList: async (of) => {
      isChanged[of] = !isChanged[of];
      await everyone(`notifications/${of}/list_changed`);
    },
    touch: (uri) => everyone("notifications/resources/updated", { uri }, (watched) => watched.has(uri)),
  };

  const newServer = () => {
    const watched = new Set<string>();
    const server = new Server(
      { name: "legacy-everything", version: "1.0.0" },
      { capabilities: CAPABILITIES },
    );
    servers.set(server, watched);
    serveTools(server, () => isChanged.tools, asksOn, changes);
    servePrompts(server, () => isChanged.prompts, asksOn);
    serveResources(server, watched);
    return server;
  };
  return { newServer, onEnd: (server: Server) => void servers.delete(server) };
}

const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
  completions: {},
  logging: {},
};

function serveTools(
  server: Server,
  isChanged: () => boolean,
  asksOn: "call" | "session",
  changes: Pick<ToolContext, "changeList" | "touch">,
): void {
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: [
      ...[...EVERY_TOOL].map(([name, { description, inputSchema = EMPTY }]) => ({
        name,
        description,
        inputSchema,
      })),
      ...(isChanged()
        ? [{ name: "test_dynamic_tool", description: "Was not here before", inputSchema: EMPTY }]
        : []),
    ],
  }));
  server.setRequestHandler(CallToolRequestSchema, ({ params }, extra) => {
    const tool = EVERY_TOOL.get(params.name);
    if (!tool) throw new McpError(-32602, `Unknown tool: ${params.name}`);
    return tool.run(params.arguments ?? {}, {
      ...changes,
      server,
      extra,
      asks: new Asks(server, extra, asksOn),
    });
  });
}

function servePrompts(server: Server, isChanged: () => boolean, asksOn: "call" | "session"): void {
  server.setRequestHandler(ListPromptsRequestSchema, () => ({
    prompts: [
      ...[...PROMPTS].map(([name, prompt]) => ({
        name,
        description: prompt.description,
        arguments: prompt.arguments.map((argument) => ({ name: argument, required: true })),
      })),
      ...(isChanged() ? [{ name: "test_dynamic_prompt", description: "Was not here before" }] : []),
    ],
  }));
  server.setRequestHandler(GetPromptRequestSchema, ({ params }, extra) => {
    const prompt = PROMPTS.get(params.name);
    if (!prompt) throw new McpError(-32602, `Unknown prompt: ${params.name}`);
    return prompt.get(params.arguments ?? {}, new Asks(server, extra, asksOn));
  });
  server.setRequestHandler(CompleteRequestSchema, ({ params }) => {
    const values = ["paris", "park", "party"].filter((word) => word.startsWith(params.argument.value));
    return { completion: { values, total: values.length, hasMore: false } };
  });
}

function serveResources(server: Server, watched: Set<string>): void {
  server.setRequestHandler(ListResourcesRequestSchema, () => ({ resources: RESOURCES }));
  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({
    resourceTemplates: RESOURCE_TEMPLATES,
  }));
  server.setRequestHandler(ReadResourceRequestSchema, ({ params: { uri } }) => {
    const result = readResource(uri);
    // The code that legacy servers answer with (2025-11-25, Resources §Error Handling).
    if (!result) throw new McpError(-32002, "Resource not found", { uri });
    return result;
  });
  server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    watched.add(params.uri);
    return {};
  });
  server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    watched.delete(params.uri);
    return {};
  });
}

const EVERY_TOOL = new Map([...TOOLS, ...TOOLS_2025]);
const EMPTY = { type: "object" as const, properties: {} };

await runAsProgram(import.meta.url, startLegacyEverythingServer);
