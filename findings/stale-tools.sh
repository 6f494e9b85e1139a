#!/usr/bin/env bash
# @openai/agents 0.20.0 (`cacheToolsList` off and on), @langchain/mcp-adapters 1.1.4, mcporter 0.12.3 and @ai-sdk/mcp 2.0.99
#
# An app asks its client for the tools of a server, the server gets another tool and says so (notifications/tools/list_changed, on the GET stream that the
# client keeps open), and the app asks again.
# Guessed: the app gets the new list; a client that keeps the list drops it at the notification, which is what that is for.
# Seen: openai-agents with `cacheToolsList` and langchain, which always keeps it, go on with the old list, though both have the stream open. The others ask
# the server each time.
#
#   openai-agents 0.20.0: listens, old and new
#   openai-agents 0.20.0 cacheToolsList: listens, old
#   langchain 1.1.4: listens, old
#   mcporter 0.12.3: listens, old and new
#   ai-sdk 2.0.99: listens, old and new
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @openai/agents@0.20.0 @langchain/mcp-adapters@1.1.4 mcporter@0.12.3 @ai-sdk/mcp@2.0.99 zod@4.3.6

cat > run.mjs <<'JS'
import { createServer } from "node:http";
import { createMCPClient } from "@ai-sdk/mcp";
import { MultiServerMCPClient } from "@langchain/mcp-adapters";
import { MCPServerStreamableHttp } from "@openai/agents";
import { createRuntime } from "mcporter";

/** A server with one tool, which gets another when it is told to. */
async function start() {
  const names = ["old"];
  let stream;
  let onListening;
  const listening = new Promise((resolve) => (onListening = resolve));
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    if (request.method === "GET") {
      stream = response.writeHead(200, { "content-type": "text/event-stream" });
      stream.flushHeaders();
      return onListening(true);
    }
    if (request.method !== "POST") return response.writeHead(200).end();
    const { id, method } = JSON.parse(body);
    if (id === undefined) return response.writeHead(202).end();
    const results = {
      initialize: { protocolVersion: "2025-11-25", capabilities: { tools: { listChanged: true } }, serverInfo: { name: "s", version: "1" } },
      "tools/list": { tools: names.map((name) => ({ name, description: name, inputSchema: { type: "object", properties: {} } })) },
    };
    const answer = method in results ? { result: results[method] } : { error: { code: -32601, message: "Method not found" } };
    const session = method === "initialize" ? { "mcp-session-id": "session" } : {};
    response.writeHead(200, { "content-type": "application/json", ...session }).end(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/mcp`,
    isListening: () => Promise.race([listening, new Promise((resolve) => setTimeout(resolve, 5_000, false))]),
    change: async () => {
      names.push("new");
      stream?.write(`event: message\ndata: ${JSON.stringify({ jsonrpc: "2.0", method: "notifications/tools/list_changed" })}\n\n`);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    },
  };
}
const openai = async (url, options) => {
  const server = new MCPServerStreamableHttp({ url, name: "s", ...options });
  await server.connect();
  return async () => (await server.listTools()).map(({ name }) => name);
};
// Each connects, and gives what an app calls to have the tools.
const clients = {
  "openai-agents 0.20.0": (url) => openai(url, {}),
  "openai-agents 0.20.0 cacheToolsList": (url) => openai(url, { cacheToolsList: true }),
  "langchain 1.1.4": async (url) => {
    const client = new MultiServerMCPClient({ mcpServers: { s: { transport: "http", url } } });
    return async () => (await client.getTools()).map(({ name }) => name);
  },
  "mcporter 0.12.3": async (url) => {
    const runtime = await createRuntime({ servers: [{ name: "s", command: { kind: "http", url: new URL(url) } }] });
    return async () => (await runtime.listTools("s")).map(({ name }) => name);
  },
  "ai-sdk 2.0.99": async (url) => {
    const client = await createMCPClient({ transport: { type: "http", url } });
    return async () => Object.keys(await client.tools());
  },
};
for (const [name, connect] of Object.entries(clients)) {
  const server = await start();
  const tools = await connect(server.url);
  await tools();
  const isListening = await server.isListening();
  await server.change();
  console.log(`${name}: ${isListening ? "listens" : "does not listen"}, ${(await tools()).join(" and ")}`);
}
process.exit(0);
JS
timeout 60 node run.mjs 2> log | tee seen
diff seen - <<'EXPECTED'
openai-agents 0.20.0: listens, old and new
openai-agents 0.20.0 cacheToolsList: listens, old
langchain 1.1.4: listens, old
mcporter 0.12.3: listens, old and new
ai-sdk 2.0.99: listens, old and new
EXPECTED
