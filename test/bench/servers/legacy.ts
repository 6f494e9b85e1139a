/**
 * A legacy server that costs next to nothing, so that what stands before it is what is measured: no JSON is parsed but that
 * of requests that open something. The tool `echo` answers on an event stream, as the servers of the v1 SDK do, `echo-json` in
 * JSON; a GET is answered with a stream that says one thing and then nothing, and `/small` with a small document.
 */

import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

const SMALL = JSON.stringify({ resource: "http://127.0.0.1/mcp", scopes_supported: ["tools"] });
const STREAM = { "content-type": "text/event-stream", "cache-control": "no-cache, no-transform" };
const tools = ["echo", "echo-json"].map((name) => ({ name, inputSchema: { type: "object" } }));

const http = createServer((request, response) => void serve(request, response));
http.listen(0, "127.0.0.1", 16_384, () => {
  console.log(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`);
});

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === "GET") return get(request, response);
  if (request.method !== "POST") return void response.writeHead(200).end();
  const { id, method, params } = JSON.parse(await text(request));
  if (method === "initialize") response.setHeader("mcp-session-id", randomUUID());
  if (id === undefined) return void response.writeHead(202).end();
  const answer = JSON.stringify({ jsonrpc: "2.0", id, result: resultOf(method, params) });
  if (params?.name === "echo") return void response.writeHead(200, STREAM).end(event(answer));
  const length = Buffer.byteLength(answer);
  response.writeHead(200, { "content-type": "application/json", "content-length": length }).end(answer);
}

function get(request: IncomingMessage, response: ServerResponse): void {
  if (request.url === "/mcp")
    return void response.writeHead(200, STREAM).write(event('{"jsonrpc":"2.0","method":"hello"}'));
  response
    .writeHead(200, { "content-type": "application/json", "content-length": SMALL.length, etag: '"1"' })
    .end(SMALL);
}

function resultOf(method: string, params: { arguments?: { text?: string } } | undefined): object {
  switch (method) {
    case "initialize":
      return {
        protocolVersion: "2025-11-25",
        capabilities: { tools: {} },
        serverInfo: { name: "legacy", version: "1.0.0" },
      };
    case "tools/call":
      return { content: [{ type: "text", text: params?.arguments?.text }] };
    case "tools/list":
      return { tools };
    default:
      return {};
  }
}

function event(message: string): string {
  return `event: message\ndata: ${message}\n\n`;
}
