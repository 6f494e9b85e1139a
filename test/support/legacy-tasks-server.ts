/**
 * A legacy server whose tools simply take their time and ask when they have to: the tools that the tasks scenarios of the
 * conformance suite call, as somebody would have written them who has never heard of tasks.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import type { RequestHandlerExtra } from "@modelcontextprotocol/sdk/shared/protocol.js";
import {
  CallToolRequestSchema,
  type CallToolResult,
  type ElicitResult,
  ListToolsRequestSchema,
  McpError,
  type ServerNotification,
  type ServerRequest,
} from "@modelcontextprotocol/sdk/types.js";
import { Conditions } from "./conditions.ts";
import { runAsProgram, serveLegacy } from "./legacy-http.ts";

export interface LegacyTasksServerOptions {
  readonly port?: number;
  /** How long the tools work before they ask or fail, in milliseconds; longer than a window of 250 ms unless given. */
  readonly workMs?: number;
  /** Whether questions go out on the stream of the call, or, as in most v1 servers, on the session's GET stream. */
  readonly asksOn?: "call" | "session";
}

export interface ToolCall {
  readonly tool: string;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly session: string | undefined;
  /** Becomes `cancelled` with `notifications/cancelled`, even though the tool may work on. */
  state: "running" | "returned" | "threw" | "cancelled";
}

export interface LegacyTasksServer {
  readonly url: URL;
  /** Every `tools/call`, in order. */
  readonly calls: readonly ToolCall[];
  /** How many sessions are open. */
  readonly sessions: number;
  /** Waits until something holds of the calls; `what` names it in the error after five seconds. */
  until(condition: (calls: readonly ToolCall[]) => boolean, what: string): Promise<void>;
  close(): Promise<void>;
}

export async function startLegacyTasksServer({
  port = 0,
  workMs = 600,
  asksOn = "session",
}: LegacyTasksServerOptions = {}): Promise<LegacyTasksServer> {
  const calls: ToolCall[] = [];
  const conditions = new Conditions(
    () => `calls so far: ${calls.map(({ tool, state }) => `${tool} ${state}`).join(", ") || "none"}`,
  );

  const http = await serveLegacy(
    () => {
      const server = new Server({ name: "legacy-tasks", version: "1.0.0" }, { capabilities: { tools: {} } });
      server.setRequestHandler(ListToolsRequestSchema, () => ({
        tools: [...TOOLS].map(([name, { description, properties }]) => ({
          name,
          description,
          inputSchema: { type: "object" as const, properties, required: Object.keys(properties) },
        })),
      }));
      server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
        const tool = TOOLS.get(params.name);
        if (!tool) throw new McpError(-32602, `Unknown tool: ${params.name}`);
        const given = params.arguments ?? {};
        const call: ToolCall = {
          tool: params.name,
          arguments: given,
          session: extra.sessionId,
          state: "running",
        };
        const become = (state: ToolCall["state"]): void => {
          if (call.state === "running") call.state = state;
          conditions.check();
        };
        calls.push(call);
        conditions.check();
        extra.signal.addEventListener("abort", () => become("cancelled"));
        try {
          const result = await tool.run(given, { extra, workMs, ask: asker(server, extra, asksOn) });
          become("returned");
          return result;
        } catch (error) {
          become("threw");
          throw error;
        }
      });
      return server;
    },
    { port },
  );

  return {
    url: http.url,
    calls,
    get sessions() {
      return http.sessions;
    },
    until: async (condition, what) => {
      await conditions.found(() => condition(calls) || undefined, what);
    },
    close: http.close,
  };
}

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>;
type Ask = (message: string, properties: Properties, key?: string) => Promise<ElicitResult>;
type Properties = Record<string, { type: "string" } | { type: "number" } | { type: "boolean" }>;

interface Tool {
  readonly description: string;
  readonly properties: Properties;
  run(
    given: Readonly<Record<string, unknown>>,
    context: { readonly extra: Extra; readonly workMs: number; readonly ask: Ask },
  ): Promise<CallToolResult>;
}

const TOOLS = new Map<string, Tool>(
  Object.entries({
    greet: {
      description: "Says hello at once",
      properties: { name: { type: "string" } },
      run: async ({ name }) => text(`Hello, ${name}!`),
    },
    slow_compute: {
      description: "Sleeps, and stops when it is cancelled",
      properties: { seconds: { type: "number" }, label: { type: "string" } },
      run: async ({ seconds, label }, { extra }) => {
        await sleep(Number(seconds) * 1_000, undefined, { signal: extra.signal });
        return text(`${label} took ${seconds} s`);
      },
    },
    failing_job: {
      description: "Fails after a second",
      properties: {},
      run: async () => {
        await sleep(1_000);
        return { ...text("The job has failed, as it always does"), isError: true };
      },
    },
    protocol_error_job: {
      description: "Works for a while, then answers with a JSON-RPC error",
      properties: {},
      run: async (_, { workMs }) => {
        await sleep(workMs);
        throw new McpError(-32603, "The job has broken down");
      },
    },
    confirm_delete: {
      description: "Works for a while, then asks whether to go on",
      properties: { filename: { type: "string" } },
      run: async ({ filename }, { workMs, ask }) => {
        await sleep(workMs);
        const answer = await ask(`Really delete ${filename}?`, { confirm: { type: "boolean" } });
        return text(answer.content?.confirm === true ? `Deleted ${filename}` : `Kept ${filename}`);
      },
    },
    multi_input: {
      description: "Works for a while, then asks two questions at once",
      properties: {},
      run: async (_, { workMs, ask }) => {
        await sleep(workMs);
        const answers = await Promise.all([
          ask("Who was first?", { name: { type: "string" } }),
          ask("Who was second?", { name: { type: "string" } }),
        ]);
        return text(answers.map(({ content }) => content?.name).join(" and "));
      },
    },
    test_tool_with_task: {
      description: "Asks for a name at once, then works for a while",
      properties: {},
      run: async (_, { ask }) => {
        const answer = await ask("What is your name?", { name: { type: "string" } }, "user_name");
        await sleep(800);
        return text(`The work for ${answer.content?.name} is done`);
      },
    },
  } satisfies Record<string, Tool>),
);

const text = (said: string): CallToolResult => ({ content: [{ type: "text", text: said }] });

function asker(server: Server, extra: Extra, on: "call" | "session"): Ask {
  return (message, properties, key) =>
    server.elicitInput(
      {
        message,
        requestedSchema: { type: "object", properties, required: Object.keys(properties) },
        ...(key === undefined ? {} : { _meta: { "mcp-taskgate/key": key } }),
      },
      on === "call" ? { relatedRequestId: extra.requestId } : {},
    );
}

await runAsProgram(import.meta.url, startLegacyTasksServer);
