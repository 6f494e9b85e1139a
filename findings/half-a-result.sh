#!/usr/bin/env bash
# @openai/agents 0.20.0, @langchain/mcp-adapters 1.1.4, @mastra/mcp 2.0.0, @ai-sdk/mcp 2.0.99
#
# A tool's result has text in `content` and data in `structuredContent`, or only one of them, or says `isError`.
# Guessed: what an agent framework hands on to the model has both halves, and an error looks like one.
# Seen: each hands on another half. openai-agents drops structuredContent, _meta and isError (a failed call looks like one that
# succeeded); langchain drops structuredContent where there is no text; mastra drops the text where there is structuredContent.
#
#   openai-agents 0.20.0: both: text; data only: nothing; error: text
#   langchain 1.1.4: both: text and data; data only: nothing; error: thrown
#   mastra 2.0.0: both: data; data only: data; error: thrown
#   ai-sdk 2.0.99: both: text and data; data only: data; error: text and isError
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @openai/agents@0.20.0 @langchain/mcp-adapters@1.1.4 @mastra/mcp@2.0.0 @ai-sdk/mcp@2.0.99 zod@4.3.6

cat > run.mjs <<'JS'
import { createServer } from "node:http";
import { createMCPClient } from "@ai-sdk/mcp";
import { MultiServerMCPClient } from "@langchain/mcp-adapters";
import { MCPClient } from "@mastra/mcp";
import { MCPServerStreamableHttp } from "@openai/agents";

const TEXT = "the-text";
const DATA = "the-data";
const results = {
  both: { content: [{ type: "text", text: TEXT }], structuredContent: { value: DATA } },
  "data only": { content: [], structuredContent: { value: DATA } },
  error: { content: [{ type: "text", text: TEXT }], isError: true },
};
let result;
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
  if (method === "initialize")
    return say(200, { result: { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: { name: "s", version: "1" } } });
  if (method === "tools/list") return say(200, { result: { tools: [{ name: "t", description: "t", inputSchema: { type: "object", properties: {} } }] } });
  if (method === "tools/call") return say(200, { result });
  say(404, { error: { code: -32601, message: "Method not found" } });
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const url = `http://127.0.0.1:${server.address().port}/mcp`;

const clients = {
  "openai-agents 0.20.0": async () => {
    const remote = new MCPServerStreamableHttp({ url, name: "s" });
    await remote.connect();
    return () => remote.callTool("t", {});
  },
  "langchain 1.1.4": async () => {
    const [tool] = await new MultiServerMCPClient({ mcpServers: { s: { transport: "http", url } } }).getTools();
    return () => tool.invoke({});
  },
  "mastra 2.0.0": async () => {
    const { s_t: tool } = await new MCPClient({ servers: { s: { url: new URL(url) } } }).listTools();
    return async () => tool.execute({}, {});
  },
  "ai-sdk 2.0.99": async () => {
    const { t } = await (await createMCPClient({ transport: { type: "http", url } })).tools();
    return () => t.execute({}, { toolCallId: "1", messages: [] });
  },
};
for (const [name, connect] of Object.entries(clients)) {
  const call = await connect();
  const row = [];
  for (const [what, given] of Object.entries(results)) {
    result = given;
    const seen = await call().then((answer) => JSON.stringify(answer), () => undefined);
    const halves = seen === undefined ? ["thrown"] : [
      seen.includes(TEXT) && "text",
      seen.includes(DATA) && "data",
      seen.includes('"isError":true') && "isError",
    ].filter(Boolean);
    row.push(`${what}: ${halves.join(" and ") || "nothing"}`);
  }
  console.log(`${name}: ${row.join("; ")}`);
}
process.exit(0);
JS
timeout 60 node run.mjs 2> log | tee seen
diff seen - <<'EXPECTED'
openai-agents 0.20.0: both: text; data only: nothing; error: text
langchain 1.1.4: both: text and data; data only: nothing; error: thrown
mastra 2.0.0: both: data; data only: data; error: thrown
ai-sdk 2.0.99: both: text and data; data only: data; error: text and isError
EXPECTED
