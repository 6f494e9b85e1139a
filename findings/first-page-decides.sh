#!/usr/bin/env bash
# @modelcontextprotocol/client 2.4.0, protocol revision 2026-07-28
#
# A list of tools has two pages with their own `ttlMs`, as servers may have them (2026-07-28, Caching §Interaction with Pagination: the clock of each
# page runs by itself, and an expired page is fetched again).
# Guessed: listTools(), which fetches all pages, asks for a page again when that is stale, or for all of them when the first of them is.
# Seen: the first page decides for all. A last page that is to live for 100 ms, or not at all, is kept as long as the first; where the first is stale,
# the last is fetched again however long it was to live.
#
#   first 60 s, last 60 s: the second listTools() asks for nothing
#   first 60 s, last 0.1 s: the second listTools() asks for nothing
#   first 60 s, last 0: the second listTools() asks for nothing
#   first 0.1 s, last 60 s: the second listTools() asks for first, last
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @modelcontextprotocol/client@2.4.0

cat > run.mjs <<'JS'
import { createServer } from "node:http";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const info = { name: "finding", version: "1" };
const _meta = { "io.modelcontextprotocol/serverInfo": info };
const cases = { "first 60 s, last 60 s": [60_000, 60_000], "first 60 s, last 0.1 s": [60_000, 100], "first 60 s, last 0": [60_000, 0], "first 0.1 s, last 60 s": [100, 60_000] };
let ttls;
let asked = [];
const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const { id, method, params } = JSON.parse(body);
  const say = (result) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, result: { resultType: "complete", cacheScope: "private", _meta, ...result } }));
  };
  if (method === "server/discover") return say({ supportedVersions: ["2026-07-28"], capabilities: { tools: {} }, serverInfo: info, ttlMs: 0 });
  const isLast = params.cursor !== undefined;
  asked.push(isLast ? "last" : "first");
  const tools = [{ name: isLast ? "b" : "a", inputSchema: { type: "object" } }];
  say({ tools, ttlMs: ttls[isLast ? 1 : 0], ...(isLast ? {} : { nextCursor: "2" }) });
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));

for (const [what, given] of Object.entries(cases)) {
  ttls = given;
  const client = new Client(info, { versionNegotiation: { mode: "auto" } });
  await client.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${server.address().port}/mcp`)));
  await client.listTools();
  asked = [];
  await new Promise((resolve) => setTimeout(resolve, 500));
  const { tools } = await client.listTools();
  if (tools.length !== 2) throw new Error("not all pages");
  console.log(`${what}: the second listTools() asks for ${asked.join(", ") || "nothing"}`);
}
process.exit(0);
JS
timeout 60 node run.mjs | tee seen
diff seen - <<'EXPECTED'
first 60 s, last 60 s: the second listTools() asks for nothing
first 60 s, last 0.1 s: the second listTools() asks for nothing
first 60 s, last 0: the second listTools() asks for nothing
first 0.1 s, last 60 s: the second listTools() asks for first, last
EXPECTED
