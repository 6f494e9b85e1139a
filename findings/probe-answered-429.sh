#!/usr/bin/env bash
# @modelcontextprotocol/client 2.4.0 (versionNegotiation: auto) and @ai-sdk/mcp 2.0.99
#
# A server of 2026-07-28 answers the first request of a client, `server/discover`, with an error that has nothing to do with revisions:
# too many requests, or a proxy whose backend starts.
# Guessed: 429 and 503 alike are errors of that moment; the client fails or asks again, and keeps to the newest revision.
# Seen: after 429 both take the server for one of 2025-11-25 and stay with that, without tasks, for as long as they live. After 500,
# 502 and 503 client 2.4.0 gives up, and ai-sdk again speaks 2025-11-25.
#
#   429: client 2.4.0 speaks 2025-11-25, ai-sdk 2.0.99 speaks 2025-11-25
#   500: client 2.4.0 gives up, ai-sdk 2.0.99 speaks 2025-11-25
#   502: client 2.4.0 gives up, ai-sdk 2.0.99 speaks 2025-11-25
#   503: client 2.4.0 gives up, ai-sdk 2.0.99 speaks 2025-11-25
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @modelcontextprotocol/client@2.4.0 @ai-sdk/mcp@2.0.99 zod@4.3.6

cat > run.mjs <<'JS'
import { createServer } from "node:http";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { createMCPClient } from "@ai-sdk/mcp";

const info = { name: "finding", version: "1" };
const MODERN = "2026-07-28";
let refusal = 0;
let refused = 0;
let spoken = "";

const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const { id, method } = body === "" ? {} : JSON.parse(body);
  const say = (result) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, result: { resultType: "complete", ...result } }));
  };
  if (request.method !== "POST") return response.writeHead(405).end();
  if (id === undefined) return response.writeHead(202).end();
  if (method === "server/discover" && refused === 0) {
    refused += 1;
    return response.writeHead(refusal, { "retry-after": "1" }).end();
  }
  if (method === "server/discover")
    return say({ supportedVersions: [MODERN], capabilities: { tools: {} }, serverInfo: info, ttlMs: 0, cacheScope: "private" });
  if (method === "initialize") return say({ protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: info });
  if (method === "tools/list") return say({ tools: [{ name: "t", inputSchema: { type: "object" } }], ttlMs: 0, cacheScope: "private" });
  spoken = request.headers["mcp-protocol-version"];
  say({ content: [] });
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const url = `http://127.0.0.1:${server.address().port}/mcp`;

const callers = {
  "client 2.4.0": async () => {
    const client = new Client(info, { versionNegotiation: { mode: "auto" } });
    await client.connect(new StreamableHTTPClientTransport(new URL(url)));
    await client.callTool({ name: "t", arguments: {} });
    await client.close();
  },
  "ai-sdk 2.0.99": async () => {
    const client = await createMCPClient({ transport: { type: "http", url } });
    const { t } = await client.tools();
    await t.execute({}, { toolCallId: "1", messages: [] });
    await client.close();
  },
};
for (refusal of [429, 500, 502, 503]) {
  const row = [];
  for (const [name, call] of Object.entries(callers)) {
    refused = 0;
    const done = await call().then(() => `speaks ${spoken}`, () => "gives up");
    row.push(`${name} ${done}`);
  }
  console.log(`${refusal}: ${row.join(", ")}`);
}
process.exit(0);
JS
timeout 60 node run.mjs | tee seen
diff seen - <<'EXPECTED'
429: client 2.4.0 speaks 2025-11-25, ai-sdk 2.0.99 speaks 2025-11-25
500: client 2.4.0 gives up, ai-sdk 2.0.99 speaks 2025-11-25
502: client 2.4.0 gives up, ai-sdk 2.0.99 speaks 2025-11-25
503: client 2.4.0 gives up, ai-sdk 2.0.99 speaks 2025-11-25
EXPECTED
