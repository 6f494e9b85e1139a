/** What a server author gets from the official SDK: its HTTP handler, with tasks added by hand and kept in a map. */

import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { createMcpHandler, Server } from "@modelcontextprotocol/server";
import { z } from "zod";

const TASKS = "io.modelcontextprotocol/tasks";
const tasks = new Map<string, { readonly createdAt: number }>();
const handler = createMcpHandler(newServer, { legacy: "reject" });

const http = createServer((request, response) => void serve(request, response));
http.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`);
});

/** The handler wants one server a request. */
function newServer(): Server {
  const server = new Server(
    { name: "handler", version: "1.0.0" },
    { capabilities: { tools: {}, extensions: { [TASKS]: {} } } },
  );
  server.setRequestHandler("tools/list", () => ({
    tools: [{ name: "work", inputSchema: { type: "object" as const } }],
  }));
  server.setRequestHandler("tools/call", () => {
    const taskId = randomUUID();
    tasks.set(taskId, { createdAt: Date.now() });
    return { ...taskOf(taskId), resultType: "task" } as never;
  });
  server.setRequestHandler("tasks/get", { params: z.object({ taskId: z.string() }) }, ({ taskId }) => ({
    ...taskOf(taskId),
    resultType: "complete" as const,
  }));
  return server;
}

function taskOf(taskId: string) {
  const createdAt = new Date(tasks.get(taskId)?.createdAt ?? 0).toISOString();
  const fixed = { status: "working", statusMessage: "queued", ttlMs: 3_600_000, pollIntervalMs: 500 };
  return { taskId, ...fixed, createdAt, lastUpdatedAt: createdAt };
}

/** Between `node:http` and the web's types, with as little as possible. */
async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { status, headers, ...answer } = await handle(request);
  response.writeHead(status, headers).end(answer.body);
}

async function handle(request: IncomingMessage) {
  const answer = await handler.fetch(
    new Request(`http://127.0.0.1${request.url}`, {
      method: "POST",
      headers: request.headers as Record<string, string>,
      body: await text(request),
    }),
  );
  return {
    status: answer.status,
    headers: Object.fromEntries(answer.headers),
    body: await answer.text(),
  };
}
