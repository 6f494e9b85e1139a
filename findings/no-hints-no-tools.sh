#!/usr/bin/env bash
# @modelcontextprotocol/client 2.4.0, @mastra/mcp 2.0.0 and @ai-sdk/mcp 2.0.99, protocol revision 2026-07-28
#
# A server leaves out `ttlMs` or `cacheScope` in the answer to tools/list, or its clock gives a `ttlMs` below 0. Servers must say both, and clients
# should take an absent `ttlMs`, or one below 0, for 0 (2026-07-28, Caching).
# Guessed: the list is not cached, and its tools can be called.
# Seen: client 2.4.0 refuses the list, and mastra has no tools and throws nothing. ai-sdk takes the list. The same in `server/discover` troubles nobody.
#
#   client 2.4.0: whole: tools; no ttlMs: refused; ttlMs -1: refused; no cacheScope: refused; none in server/discover: tools
#   mastra 2.0.0: whole: tools; no ttlMs: no tools; ttlMs -1: no tools; no cacheScope: no tools; none in server/discover: tools
#   ai-sdk 2.0.99: whole: tools; no ttlMs: tools; ttlMs -1: tools; no cacheScope: tools; none in server/discover: tools
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @modelcontextprotocol/client@2.4.0 @mastra/mcp@2.0.0 @ai-sdk/mcp@2.0.99 zod@4.3.6

cat > run.mjs <<'JS'
import { createServer } from "node:http";
import { createMCPClient } from "@ai-sdk/mcp";
import { MCPClient } from "@mastra/mcp";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const info = { name: "finding", version: "1" };
const hints = { ttlMs: 0, cacheScope: "private" };
const cases = {
  whole: {},
  "no ttlMs": { list: { ttlMs: undefined } },
  "ttlMs -1": { list: { ttlMs: -1 } },
  "no cacheScope": { list: { cacheScope: undefined } },
  "none in server/discover": { discover: { ttlMs: undefined, cacheScope: undefined } },
};
let changed = {};
const versions = new Set();
const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  if (request.method !== "POST") return response.writeHead(405).end();
  const { id, method } = JSON.parse(body);
  if (id === undefined) return response.writeHead(202).end();
  if (method === "tools/list") versions.add(request.headers["mcp-protocol-version"]);
  const _meta = { "io.modelcontextprotocol/serverInfo": info };
  const results = {
    "server/discover": { supportedVersions: ["2026-07-28"], capabilities: { tools: {} }, serverInfo: info, ...hints, ...changed.discover },
    "tools/list": { tools: [{ name: "t", description: "t", inputSchema: { type: "object", properties: {} } }], ...hints, ...changed.list },
  };
  const answer = method in results ? { result: { resultType: "complete", _meta, ...results[method] } } : { error: { code: -32601, message: "Method not found" } };
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const url = `http://127.0.0.1:${server.address().port}/mcp`;

let connections = 0;
const clients = {
  "client 2.4.0": async () => {
    const client = new Client(info, { versionNegotiation: { mode: "auto" } });
    await client.connect(new StreamableHTTPClientTransport(new URL(url)));
    return (await client.listTools()).tools;
  },
  "mastra 2.0.0": async () => Object.keys(await new MCPClient({ id: `${++connections}`, servers: { s: { url: new URL(url) } } }).listTools()),
  "ai-sdk 2.0.99": async () => Object.keys(await (await createMCPClient({ transport: { type: "http", url } })).tools()),
};
for (const [name, list] of Object.entries(clients)) {
  const row = [];
  for (const [what, change] of Object.entries(cases)) {
    changed = change;
    row.push(`${what}: ${await list().then((tools) => (tools.length > 0 ? "tools" : "no tools"), () => "refused")}`);
  }
  console.log(`${name}: ${row.join("; ")}`);
}
if ([...versions].join() !== "2026-07-28") console.log(`versions: ${[...versions]}`);
process.exit(0);
JS
timeout 60 node run.mjs 2> log | grep -E '^(client|mastra|ai-sdk|versions)' | tee seen
diff seen - <<'EXPECTED'
client 2.4.0: whole: tools; no ttlMs: refused; ttlMs -1: refused; no cacheScope: refused; none in server/discover: tools
mastra 2.0.0: whole: tools; no ttlMs: no tools; ttlMs -1: no tools; no cacheScope: no tools; none in server/discover: tools
ai-sdk 2.0.99: whole: tools; no ttlMs: tools; ttlMs -1: tools; no cacheScope: tools; none in server/discover: tools
EXPECTED
