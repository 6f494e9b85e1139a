#!/usr/bin/env bash
# @modelcontextprotocol/client 2.4.0, sdk 1.32.2, @ai-sdk/mcp 2.0.99, mcp-remote 0.15.1 and inspector 2.12.0, before a server of 2025-11-25
#
# Revision 2026-07-28 has a client repeat the method and the tool's name in the headers Mcp-Method and Mcp-Name, for proxies to route by.
# Guessed: only requests of that revision have them, so that they tell it from older ones.
# Seen: mcp-remote sends both with every request of a session of 2025-11-25, from initialize on; the others send neither.
#
#   client 2.4.0: none
#   sdk 1.32.2: none
#   ai-sdk 2.0.99: none
#   mcp-remote 0.15.1: Mcp-Method: initialize; Mcp-Method: tools/call, Mcp-Name: t (MCP-Protocol-Version: 2025-11-25)
#   inspector 2.12.0: none
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @modelcontextprotocol/client@2.4.0 @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/inspector@2.12.0 @ai-sdk/mcp@2.0.99 mcp-remote@0.15.1 zod@4.3.6

cat > run.mjs <<'JS'
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { createMCPClient } from "@ai-sdk/mcp";
import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from "@modelcontextprotocol/client";
import { Client as Client1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as Transport1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const info = { name: "finding", version: "1" };
let seen = new Set();
const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  if (request.method !== "POST") return response.writeHead(405).end();
  const { id, method, params } = JSON.parse(body);
  const { "mcp-method": named, "mcp-name": name, "mcp-protocol-version": version = "none" } = request.headers;
  if (named !== undefined || name !== undefined) {
    const given = [`Mcp-Method: ${named}`, ...(name === undefined ? [] : [`Mcp-Name: ${name}`])].join(", ");
    // How often a client initializes is not the question, and notifications are as requests.
    if (id !== undefined && method !== "server/discover") seen.add(version === "none" ? given : `${given} (MCP-Protocol-Version: ${version})`);
  }
  if (id === undefined) return response.writeHead(202).end();
  const results = {
    initialize: { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: info },
    "tools/list": { tools: [{ name: "t", inputSchema: { type: "object" } }] },
    "tools/call": { content: [{ type: "text", text: "done" }] },
    ping: {},
  };
  const answer = method in results ? { result: results[method] } : { error: { code: -32601, message: "Method not found" } };
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const url = `http://127.0.0.1:${server.address().port}/mcp`;

const node = (...args) => spawn(process.execPath, args, { stdio: ["pipe", "pipe", "ignore"], env: { ...process.env, HOME: process.cwd() } });
const over = (child) => new Promise((resolve) => child.once("exit", resolve));

const clients = {
  "client 2.4.0": async () => {
    const client = new Client2(info, { versionNegotiation: { mode: "auto" } });
    await client.connect(new Transport2(new URL(url)));
    await client.callTool({ name: "t", arguments: {} });
    await client.close();
  },
  "sdk 1.32.2": async () => {
    const client = new Client1(info);
    await client.connect(new Transport1(new URL(url)));
    await client.callTool({ name: "t", arguments: {} });
    await client.close();
  },
  "ai-sdk 2.0.99": async () => {
    const client = await createMCPClient({ transport: { type: "http", url } });
    const { t } = await client.tools();
    await t.execute({}, { toolCallId: "1", messages: [] });
    await client.close();
  },
  "mcp-remote 0.15.1": async () => {
    const child = node("node_modules/mcp-remote/dist/proxy.js", url, "--allow-http", "--transport", "http-only");
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const send = (message) => child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
    send({ id: 1, method: "initialize", params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: info } });
    await lines.next();
    send({ method: "notifications/initialized" });
    send({ id: 2, method: "tools/call", params: { name: "t", arguments: {} } });
    await lines.next();
    child.kill();
    await over(child);
  },
  "inspector 2.12.0": () =>
    over(node("node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js", "--cli", url, "--transport", "http", "--method", "tools/call", "--tool-name", "t")),
};
for (const [name, use] of Object.entries(clients)) {
  seen = new Set();
  await use();
  console.log(`${name}: ${[...seen].join("; ") || "none"}`);
}
process.exit(0);
JS
timeout 100 node run.mjs | tee seen
diff seen - <<'EXPECTED'
client 2.4.0: none
sdk 1.32.2: none
ai-sdk 2.0.99: none
mcp-remote 0.15.1: Mcp-Method: initialize; Mcp-Method: tools/call, Mcp-Name: t (MCP-Protocol-Version: 2025-11-25)
inspector 2.12.0: none
EXPECTED
