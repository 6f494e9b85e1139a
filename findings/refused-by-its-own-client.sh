#!/usr/bin/env bash
# Clients of 2025-11-25 without tasks: sdk 1.32.2 (callTool), @modelcontextprotocol/client 2.4.0, mcporter 0.12.3, @openai/agents 0.20.0, @ai-sdk/mcp 2.0.99
#
# A server marks a tool `execution.taskSupport: "required"`; the client has listed the tools and calls that one without `task`.
# Guessed: the call is sent, and the server refuses it (-32601) or, as many do, answers it all the same.
# Seen: sdk 1.32.2, mcporter and openai-agents refuse it themselves, and send nothing, though this server would have answered.
# client 2.4.0 and ai-sdk send it. Before the tools were listed, all send it.
#
#   sdk 1.32.2: unlisted sent, listed not sent
#   client 2.4.0: unlisted sent, listed sent
#   mcporter 0.12.3: unlisted sent, listed not sent
#   openai-agents 0.20.0: unlisted sent, listed not sent
#   ai-sdk 2.0.99: listed sent
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @modelcontextprotocol/client@2.4.0 @modelcontextprotocol/sdk@1.32.2 \
  @ai-sdk/mcp@2.0.99 @openai/agents@0.20.0 mcporter@0.12.3 zod@4.3.6

cat > run.mjs <<'JS'
import { createServer } from "node:http";
import { createMCPClient } from "@ai-sdk/mcp";
import { Client as Client2, StreamableHTTPClientTransport as Http2 } from "@modelcontextprotocol/client";
import { Client as Client1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as Http1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { MCPServerStreamableHttp } from "@openai/agents";
import { createRuntime } from "mcporter";

let calls = 0;
const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const { id, method } = body === "" ? {} : JSON.parse(body);
  const say = (status, answer) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
  };
  if (request.method !== "POST") return response.writeHead(405).end();
  if (id === undefined) return response.writeHead(202).end();
  const capabilities = { tools: {}, tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } };
  if (method === "initialize") return say(200, { result: { protocolVersion: "2025-11-25", capabilities, serverInfo: { name: "s", version: "1" } } });
  if (method === "tools/list")
    return say(200, { result: { tools: [{ name: "t", description: "t", inputSchema: { type: "object" }, execution: { taskSupport: "required" } }] } });
  if (method !== "tools/call") return say(404, { error: { code: -32601, message: "Method not found" } });
  calls += 1;
  say(200, { result: { content: [{ type: "text", text: "done" }] } });
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const url = new URL(`http://127.0.0.1:${server.address().port}/mcp`);

const info = { name: "finding", version: "1" };
const tool = { name: "t", arguments: {} };
const clients = {
  "sdk 1.32.2": async () => {
    const client = new Client1(info);
    await client.connect(new Http1(url));
    return { list: () => client.listTools(), call: () => client.callTool(tool) };
  },
  "client 2.4.0": async () => {
    const client = new Client2(info);
    await client.connect(new Http2(url));
    return { list: () => client.listTools(), call: () => client.callTool(tool) };
  },
  "mcporter 0.12.3": async () => {
    const runtime = await createRuntime({ servers: [{ name: "s", command: { kind: "http", url } }] });
    return { list: () => runtime.listTools("s"), call: () => runtime.callTool("s", "t", {}) };
  },
  "openai-agents 0.20.0": async () => {
    const remote = new MCPServerStreamableHttp({ url: url.href, name: "s" });
    await remote.connect();
    return { list: () => remote.listTools(), call: () => remote.callTool("t", {}) };
  },
  "ai-sdk 2.0.99": async () => {
    const client = await createMCPClient({ transport: { type: "http", url: url.href } });
    const { t } = await client.tools();
    return { call: () => t.execute({}, { toolCallId: "1", messages: [] }) };
  },
};
const isSent = async (call) => {
  const before = calls;
  await call().catch(() => {});
  return calls > before ? "sent" : "not sent";
};
for (const [name, connect] of Object.entries(clients)) {
  const { list, call } = await connect();
  const row = [];
  if (list !== undefined) {
    row.push(`unlisted ${await isSent(call)}`);
    await list();
  }
  row.push(`listed ${await isSent(call)}`);
  console.log(`${name}: ${row.join(", ")}`);
}
process.exit(0);
JS
timeout 60 node run.mjs 2> log | tee seen
diff seen - <<'EXPECTED'
sdk 1.32.2: unlisted sent, listed not sent
client 2.4.0: unlisted sent, listed sent
mcporter 0.12.3: unlisted sent, listed not sent
openai-agents 0.20.0: unlisted sent, listed not sent
ai-sdk 2.0.99: listed sent
EXPECTED
