/**
 * Two legacy servers, one that keeps the events of its streams and one that does not, and one of 2026-07-28, which count what they do: how
 * often each call reached them, by the `id` among its arguments. A process of its own, so that it outlives the gateways in front of it.
 * Prints the URLs of the one that keeps events, of the other one, of the modern one, and of the counts.
 */

import { once } from "node:events";
import { createServer, type Server as HttpServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import type { RequestHandlerExtra } from "@modelcontextprotocol/sdk/shared/protocol.js";
import {
  CallToolRequestSchema,
  ListToolsRequestSchema,
  McpError,
  type ServerNotification,
  type ServerRequest,
} from "@modelcontextprotocol/sdk/types.js";
import {
  acceptedContent,
  createMcpHandler,
  inputRequired,
  Server as ModernServer,
  ProtocolError,
} from "@modelcontextprotocol/server";
import { serveEverything } from "../../support/everything-http.ts";
import type { Seen } from "./witness.ts";
import { workOf } from "./work.ts";

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>;
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface Task {
  readonly id: string;
  /** How long it takes; of a tool that asks, before and after the question each. */
  readonly ms: number;
  readonly size: number;
  /** The stream that a question goes out on. */
  readonly on: "call" | "session";
}

/** A call of this length tells its progress. */
const LONG_MS = 1_000;
const seen = new Map<string, Mutable<Seen>>();

const TOOLS: Readonly<Record<string, (task: Task, extra: Extra, server: Server) => Promise<string>>> = {
  work: async ({ id, ms, size }, { signal, _meta, sendNotification }) => {
    const progressToken = _meta?.progressToken;
    // Whoever sees it knows that the gateway has heard of the call's stream.
    if (ms >= LONG_MS && progressToken !== undefined) {
      const params = { progressToken, progress: 0, total: 1, message: "begun" };
      await sendNotification({ method: "notifications/progress", params });
    }
    await sleep(ms, undefined, { signal });
    return workOf(id, size);
  },
  read: async ({ id, ms, size }, { signal }) => {
    await sleep(ms, undefined, { signal });
    return workOf(id, size);
  },
  ask: ask,
  // By another name, so that a rule can tell it from the one before.
  meet: ask,
};

async function ask({ id, ms, on }: Task, { signal, requestId }: Extra, server: Server): Promise<string> {
  await sleep(ms, undefined, { signal });
  const { action, content } = await server.elicitInput(
    questionOf(id),
    on === "call" ? { relatedRequestId: requestId } : {},
  );
  entry(id).answers += 1;
  await sleep(ms, undefined, { signal });
  return `${id} ${action} ${content?.name}`;
}

function questionOf(id: string) {
  const requestedSchema = { type: "object" as const, properties: { name: { type: "string" as const } } };
  return { message: `Who is ${id}?`, requestedSchema };
}

function entry(id: string): Mutable<Seen> {
  const present = seen.get(id) ?? { calls: 0, returned: 0, cancelled: 0, answers: 0 };
  seen.set(id, present);
  return present;
}

function newServer(): Server {
  const server = new Server({ name: "witness", version: "1.0.0" }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: toolsOf(["work", "read", "ask", "meet"]),
  }));
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
    const tool = TOOLS[params.name];
    if (!tool) throw new McpError(-32602, `Unknown tool: ${params.name}`);
    const task = taskOf(params.arguments);
    const counts = entry(task.id);
    counts.calls += 1;
    extra.signal.addEventListener("abort", () => {
      // A session that is closed gives no reason.
      if (typeof extra.signal.reason === "string") counts.cancelled += 1;
    });
    const text = await tool(task, extra, server);
    counts.returned += 1;
    return { content: [{ type: "text", text }] };
  });
  return server;
}

/** Its rounds are requests of their own: the first is the call, and another one the answer to its question. */
function newModernServer(): ModernServer {
  const server = new ModernServer({ name: "witness", version: "1.0.0" }, { capabilities: { tools: {} } });
  server.setRequestHandler("tools/list", () => ({
    tools: toolsOf(["work", "read", "ask"]),
    ttlMs: 0,
    cacheScope: "private" as const,
  }));
  server.setRequestHandler("tools/call", async ({ params }, { mcpReq: { signal, inputResponses } }) => {
    const { id, ms, size } = taskOf(params.arguments);
    const counts = entry(id);
    const isAnswer = inputResponses !== undefined;
    counts[isAnswer ? "answers" : "calls"] += 1;
    signal.addEventListener("abort", () => {
      counts.cancelled += 1;
    });
    await sleep(ms, undefined, { signal });
    if (params.name === "ask" && !isAnswer)
      return inputRequired({ inputRequests: { who: inputRequired.elicit(questionOf(id)) } });
    if (!["work", "read", "ask"].includes(params.name))
      throw new ProtocolError(-32602, `Unknown tool: ${params.name}`);
    counts.returned += 1;
    const name = acceptedContent(inputResponses, "who")?.name;
    return { content: [{ type: "text", text: isAnswer ? `${id} accept ${name}` : workOf(id, size) }] };
  });
  return server;
}

function toolsOf(names: readonly string[]) {
  return names.map((name) => ({
    name,
    inputSchema: { type: "object" as const },
    ...(name === "read" ? { annotations: { readOnlyHint: true } } : {}),
  }));
}

function taskOf(given: unknown): Task {
  return { id: "", ms: 0, size: 0, on: "session", ...(given as Partial<Task> | undefined) };
}

const modern = createServer(
  toNodeHandler(createMcpHandler(newModernServer, { legacy: "reject" })) as RequestListener,
);
const kept = await serveEverything(newServer, { isResumable: true });
const unkept = await serveEverything(newServer);

// Whoever looks all the time on a busy machine must not find a connection closed.
const counts = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  const id = new URL(request.url ?? "/", "http://witness").searchParams.get("id");
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(id === null ? Object.fromEntries(seen) : (seen.get(id) ?? null)));
});
const urls = [kept.url.href, unkept.url.href, `${await originOf(modern)}/mcp`, `${await originOf(counts)}/`];
console.log(urls.join(" "));

async function originOf(server: HttpServer): Promise<string> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
