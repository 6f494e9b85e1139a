/** Two servers that offer the same: a legacy one on the v1 SDK, and a modern one on the v2 SDK. */

import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { McpServer as LegacyServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import {
  type CreateMcpHandlerOptions,
  createMcpHandler,
  McpServer as ModernServer,
} from "@modelcontextprotocol/server";
import { onTestFinished } from "vitest";
import { z } from "zod";

const INFO = { name: "twin", version: "1.0.0", title: "A twin" };
const OPTIONS = { instructions: "Ask either." };

/** The endpoint of the legacy twin. It is closed when the test ends. */
export async function legacyTwin(): Promise<URL> {
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  const url = await listen(async (request, response) => {
    const known = sessions.get(String(request.headers["mcp-session-id"]));
    await (known ?? (await openSession(sessions))).handleRequest(request, response);
  });
  onTestFinished(async () => {
    for (const transport of sessions.values()) await transport.close();
  });
  return url;
}

/** The endpoint of the modern twin, behind `createMcpHandler`, which refuses legacy clients unless told otherwise. It is closed when the test ends. */
export async function modernTwin(options: CreateMcpHandlerOptions = { legacy: "reject" }): Promise<URL> {
  const handler = createMcpHandler(modernServer, options);
  onTestFinished(() => handler.close());
  return listen(async (request, response) => {
    const answer = await handler.fetch(await toWebRequest(request));
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
}

function legacyServer(): LegacyServer {
  const server = new LegacyServer(INFO, OPTIONS);
  server.registerTool("echo", { description: "Echoes", inputSchema: { text: z.string() } }, ({ text }) =>
    said(text),
  );
  server.registerTool("fail", { description: "Fails" }, () => {
    throw new Error("It failed");
  });
  server.registerTool("mirror", { inputSchema: { region: mirrored() } }, ({ region }) => said(region));
  server.registerPrompt("greet", { description: "Greets" }, () => greeting());
  server.registerResource("one", "twin://one", { mimeType: "text/plain" }, (uri) => contents(uri));
  return server;
}

function modernServer(): ModernServer {
  const server = new ModernServer(INFO, OPTIONS);
  server.registerTool(
    "echo",
    { description: "Echoes", inputSchema: z.object({ text: z.string() }) },
    ({ text }) => said(text),
  );
  server.registerTool("fail", { description: "Fails" }, () => {
    throw new Error("It failed");
  });
  server.registerTool("mirror", { inputSchema: z.object({ region: mirrored() }) }, ({ region }) =>
    said(region),
  );
  server.registerPrompt("greet", { description: "Greets" }, () => greeting());
  server.registerResource("one", "twin://one", { mimeType: "text/plain" }, (uri) => contents(uri));
  return server;
}

const mirrored = () => z.string().meta({ "x-mcp-header": "Region" });
const said = (text: string) => ({ content: [{ type: "text" as const, text }] });
const greeting = () => ({
  messages: [{ role: "user" as const, content: { type: "text" as const, text: "Hello" } }],
});
const contents = (uri: URL) => ({ contents: [{ uri: uri.href, mimeType: "text/plain", text: "one" }] });

async function openSession(
  sessions: Map<string, StreamableHTTPServerTransport>,
): Promise<StreamableHTTPServerTransport> {
  const transport: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => void sessions.set(id, transport),
  });
  await legacyServer().connect(transport as Transport);
  return transport;
}

async function listen(serve: (...of: Parameters<RequestListener>) => Promise<void>): Promise<URL> {
  const http = createServer((request: IncomingMessage, response: ServerResponse) => {
    serve(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  http.listen(0, "127.0.0.1");
  await new Promise<void>((resolve) => http.once("listening", () => resolve()));
  onTestFinished(() => {
    http.closeAllConnections();
    http.close();
  });
  return new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`);
}

async function toWebRequest(request: IncomingMessage): Promise<Request> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const hasBody = request.method !== "GET" && request.method !== "HEAD";
  return new Request(`http://${request.headers.host}${request.url}`, {
    method: request.method ?? "GET",
    headers: Object.entries(request.headers).map(
      ([name, value]) => [name, String(value)] as [string, string],
    ),
    ...(hasBody ? { body: Buffer.concat(chunks) } : {}),
  });
}
