/**
 * The tools of `legacy-tasks-server.ts` on a server of 2026-07-28, by its SDK: they take their time, ask by ending a round, and
 * know nothing of tasks.
 */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { toNodeHandler } from "@modelcontextprotocol/node";
import {
  type CallToolResult,
  createMcpHandler,
  type InputRequiredResult,
  inputRequired,
  ProtocolError,
  Server,
} from "@modelcontextprotocol/server";

export interface ModernTasksServer {
  readonly url: URL;
  /** The names of the tools that were called, in order, every round of a call included. */
  readonly calls: readonly string[];
  /** How many calls were given up by whoever made them. */
  readonly cancelled: number;
  /** Tells every subscriber that the tools have changed. */
  toolsChanged(): void;
  close(): Promise<void>;
}

export interface ModernTasksServerOptions {
  /** How long the tools work before they ask or fail; longer than a window of 250 ms unless given. */
  readonly workMs?: number;
  /** Whether it serves clients of earlier revisions as well. */
  readonly isDual?: boolean;
}

export async function startModernTasksServer({
  workMs = 600,
  isDual = false,
}: ModernTasksServerOptions = {}): Promise<ModernTasksServer> {
  const calls: string[] = [];
  let cancelled = 0;
  const handler = createMcpHandler(
    () => {
      const server = new Server(
        { name: "modern-tasks", version: "1.0.0" },
        { capabilities: { tools: { listChanged: true } } },
      );
      server.setRequestHandler("tools/list", () => ({
        tools: Object.entries(TOOLS).map(([name, { properties }]) => ({
          name,
          inputSchema: { type: "object" as const, properties, required: Object.keys(properties) },
        })),
        ttlMs: 0,
        cacheScope: "private" as const,
      }));
      server.setRequestHandler("tools/call", ({ params }, { mcpReq }) => {
        const tool = Object.hasOwn(TOOLS, params.name) ? TOOLS[params.name] : undefined;
        if (tool === undefined) throw new ProtocolError(-32602, `Unknown tool: ${params.name}`);
        calls.push(params.name);
        mcpReq.signal.addEventListener("abort", () => {
          cancelled += 1;
        });
        const { signal, inputResponses } = mcpReq;
        return tool.run(params.arguments ?? {}, { signal, workMs, answers: inputResponses });
      });
      return server;
    },
    { legacy: isDual ? "stateless" : "reject" },
  );
  const serve = toNodeHandler(handler);
  const http = createServer(
    (request, response) => void serve(request as Parameters<typeof serve>[0], response),
  );
  http.listen(0, "127.0.0.1");
  await new Promise<void>((resolve) => http.once("listening", () => resolve()));
  return {
    url: new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`),
    calls,
    get cancelled() {
      return cancelled;
    },
    toolsChanged: () => handler.notify.toolsChanged(),
    close: async () => {
      await handler.close();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

type Properties = Record<string, { type: "string" } | { type: "number" } | { type: "boolean" }>;
type Given = Readonly<Record<string, unknown>>;

interface Tool {
  readonly properties: Properties;
  run(
    given: Given,
    round: {
      readonly signal: AbortSignal;
      readonly workMs: number;
      readonly answers: Given | undefined;
    },
  ): Promise<CallToolResult | InputRequiredResult>;
}

const TOOLS: Readonly<Record<string, Tool>> = {
  greet: { properties: { name: { type: "string" } }, run: async ({ name }) => text(`Hello, ${name}!`) },
  slow_compute: {
    properties: { seconds: { type: "number" }, label: { type: "string" } },
    run: async ({ seconds, label }, { signal }) => {
      await sleep(Number(seconds) * 1_000, undefined, { signal });
      return text(`${label} took ${seconds} s`);
    },
  },
  failing_job: {
    properties: {},
    run: async () => {
      await sleep(1_000);
      return { ...text("The job has failed, as it always does"), isError: true };
    },
  },
  protocol_error_job: {
    properties: {},
    run: async (_, { workMs }) => {
      await sleep(workMs);
      throw new ProtocolError(-32603, "The job has broken down");
    },
  },
  confirm_delete: {
    properties: { filename: { type: "string" } },
    run: async ({ filename }, { workMs, answers }) => {
      if (answers?.confirm !== undefined)
        return text(said(answers, "confirm").confirm === true ? `Deleted ${filename}` : `Kept ${filename}`);
      await sleep(workMs);
      return asks({ confirm: [`Really delete ${filename}?`, { confirm: { type: "boolean" } }] });
    },
  },
  multi_input: {
    properties: {},
    run: async (_, { workMs, answers }) => {
      if (answers !== undefined)
        return text(`${said(answers, "first").name} and ${said(answers, "second").name}`);
      await sleep(workMs);
      return asks({
        first: ["Who was first?", { name: { type: "string" } }],
        second: ["Who was second?", { name: { type: "string" } }],
      });
    },
  },
  test_tool_with_task: {
    properties: {},
    run: async (_, { answers }) => {
      if (answers === undefined)
        return asks({ user_name: ["What is your name?", { name: { type: "string" } }] });
      await sleep(800);
      return text(`The work for ${said(answers, "user_name").name} is done`);
    },
  },
};

function text(what: string): CallToolResult {
  return { content: [{ type: "text", text: what }] };
}

function asks(questions: Readonly<Record<string, readonly [string, Properties]>>): InputRequiredResult {
  const inputRequests = Object.entries(questions).map(([key, [message, properties]]) => {
    const requestedSchema = { type: "object" as const, properties, required: Object.keys(properties) };
    return [key, inputRequired.elicit({ message, requestedSchema })] as const;
  });
  return inputRequired({ inputRequests: Object.fromEntries(inputRequests) });
}

function said(answers: Given, key: string): Given {
  return (answers[key] as { content?: Given } | undefined)?.content ?? {};
}
