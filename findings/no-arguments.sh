#!/usr/bin/env bash
# @modelcontextprotocol/client 2.4.0, sdk 1.32.2, @ai-sdk/mcp 2.0.99, mcporter 0.12.3; servers of sdk 1.32.2, @modelcontextprotocol/server 2.4.0,
# fastmcp 4.20.16, tmcp 1.20.0 with @tmcp/adapter-zod 0.1.7, and @genkit-ai/mcp 1.42.0 with genkit 1.42.0
#
# An app calls a tool, all of whose parameters are optional, with none. `arguments` is optional in tools/call (2025-11-25, schema).
# Guessed: a call without `arguments` is the same as one with {}.
# Seen: the two official clients leave `arguments` out, the others send {}. tmcp and genkit refuse the one and take the other, so that a tool works in one
# client and fails in the next.
#
#   client 2.4.0 sends none
#   sdk 1.32.2 sends none
#   ai-sdk 2.0.99 sends {}
#   mcporter 0.12.3 sends {}
#   sdk 1.32.2: none answered, {} answered
#   server 2.4.0: none answered, {} answered
#   fastmcp 4.20.16: none answered, {} answered
#   tmcp 1.20.0: none refused, {} answered
#   genkit 1.42.0: none refused, {} answered
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @modelcontextprotocol/client@2.4.0 @modelcontextprotocol/sdk@1.32.2 @ai-sdk/mcp@2.0.99 mcporter@0.12.3 \
  @modelcontextprotocol/server@2.4.0 fastmcp@4.20.16 tmcp@1.20.0 @tmcp/transport-stdio@0.5.0 @tmcp/adapter-zod@0.1.7 @genkit-ai/mcp@1.42.0 genkit@1.42.0 zod@4.3.6

cat > sdk.mjs <<'JS'
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { z } from "zod";
const server = new McpServer({ name: "s", version: "1.0.0" });
server.registerTool("t", { description: "t", inputSchema: z.object({ x: z.string().optional() }) }, async () => ({ content: [{ type: "text", text: "done" }] }));
await server.connect(new StdioServerTransport());
JS
sed 's#@modelcontextprotocol/sdk/server/mcp.js#@modelcontextprotocol/server#; s#@modelcontextprotocol/sdk/server/stdio.js#@modelcontextprotocol/server/stdio#' sdk.mjs > server.mjs
cat > fastmcp.mjs <<'JS'
import { FastMCP } from "fastmcp";
import { z } from "zod";
const server = new FastMCP({ name: "s", version: "1.0.0" });
server.addTool({ name: "t", description: "t", parameters: z.object({ x: z.string().optional() }), execute: async () => "done" });
await server.start({ transportType: "stdio" });
JS
cat > tmcp.mjs <<'JS'
import { ZodJsonSchemaAdapter } from "@tmcp/adapter-zod";
import { StdioTransport } from "@tmcp/transport-stdio";
import { McpServer } from "tmcp";
import { z } from "zod";
const server = new McpServer({ name: "s", version: "1.0.0", description: "s" }, { adapter: new ZodJsonSchemaAdapter(), capabilities: { tools: {} } });
server.tool({ name: "t", description: "t", schema: z.object({ x: z.string().optional() }) }, async () => ({ content: [{ type: "text", text: "done" }] }));
new StdioTransport(server).listen();
JS
cat > genkit.mjs <<'JS'
import { createMcpServer } from "@genkit-ai/mcp";
import { genkit, z } from "genkit/beta";
const ai = genkit({});
ai.defineTool({ name: "t", description: "t", inputSchema: z.object({ x: z.string().optional() }), outputSchema: z.string() }, async () => "done");
await createMcpServer(ai, { name: "s", version: "1.0.0" }).start();
JS

cat > run.mjs <<'JS'
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { createMCPClient } from "@ai-sdk/mcp";
import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from "@modelcontextprotocol/client";
import { Client as Client1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as Transport1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { createRuntime } from "mcporter";

const info = { name: "finding", version: "1" };
let sent;
const http = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  if (request.method !== "POST") return response.writeHead(405).end();
  const { id, method, params } = JSON.parse(body);
  if (id === undefined) return response.writeHead(202).end();
  if (method === "tools/call") sent = JSON.stringify(params.arguments) ?? "none";
  const results = {
    initialize: { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: info },
    "tools/list": { tools: [{ name: "t", description: "t", inputSchema: { type: "object", properties: { x: { type: "string" } } } }] },
    "tools/call": { content: [{ type: "text", text: "done" }] },
  };
  const answer = method in results ? { result: results[method] } : { error: { code: -32601, message: "Method not found" } };
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
}).listen(0, "127.0.0.1");
await new Promise((resolve) => http.once("listening", resolve));
const url = new URL(`http://127.0.0.1:${http.address().port}/mcp`);

const clients = {
  "client 2.4.0": async () => {
    const client = new Client2(info);
    await client.connect(new Transport2(url));
    await client.callTool({ name: "t" });
  },
  "sdk 1.32.2": async () => {
    const client = new Client1(info);
    await client.connect(new Transport1(url));
    await client.callTool({ name: "t" });
  },
  "ai-sdk 2.0.99": async () => {
    const { t } = await (await createMCPClient({ transport: { type: "http", url: url.href } })).tools();
    await t.execute(undefined, { toolCallId: "1", messages: [] });
  },
  "mcporter 0.12.3": async () => {
    const runtime = await createRuntime({ servers: [{ name: "s", command: { kind: "http", url } }] });
    await runtime.callTool("s", "t");
  },
};
for (const [name, call] of Object.entries(clients)) {
  await call();
  console.log(`${name} sends ${sent}`);
}

const servers = { "sdk 1.32.2": "sdk", "server 2.4.0": "server", "fastmcp 4.20.16": "fastmcp", "tmcp 1.20.0": "tmcp", "genkit 1.42.0": "genkit" };
for (const [name, file] of Object.entries(servers)) {
  const child = spawn(process.execPath, [`${file}.mjs`], { stdio: ["pipe", "pipe", "ignore"] });
  const waiting = new Map();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const message = JSON.parse(line);
    waiting.get(message.id)?.(message);
  });
  const send = (message) => child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  const ask = (method, params) =>
    new Promise((resolve) => {
      const id = waiting.size + 1;
      waiting.set(id, resolve);
      send({ id, method, params });
    });
  await ask("initialize", { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: info });
  send({ method: "notifications/initialized" });
  const fate = ({ result }) => (result === undefined || result.isError === true ? "refused" : "answered");
  const without = fate(await ask("tools/call", { name: "t" }));
  console.log(`${name}: none ${without}, {} ${fate(await ask("tools/call", { name: "t", arguments: {} }))}`);
  child.kill("SIGKILL");
}
process.exit(0);
JS
timeout 100 node run.mjs 2> log | tee seen
diff seen - <<'EXPECTED'
client 2.4.0 sends none
sdk 1.32.2 sends none
ai-sdk 2.0.99 sends {}
mcporter 0.12.3 sends {}
sdk 1.32.2: none answered, {} answered
server 2.4.0: none answered, {} answered
fastmcp 4.20.16: none answered, {} answered
tmcp 1.20.0: none refused, {} answered
genkit 1.42.0: none refused, {} answered
EXPECTED
