#!/usr/bin/env bash
# @ai-sdk/mcp 2.0.99 and @modelcontextprotocol/client 2.4.0 (versionNegotiation: auto)
#
# A server of 2025-11-25 knows the error that 2026-07-28 has for it, and answers `server/discover` with -32022 UnsupportedProtocolVersion
# and `supported: ["2025-11-25"]` (Versioning §Protocol Version Negotiation: the client should go on with one of these).
# Guessed: the plainer the refusal, the surer the way back; both clients go on with `initialize`.
# Seen: client 2.4.0 does. ai-sdk gives up at this one answer, though it goes on after 401, 403, 404, 429, 500, 503 or a plain -32601.
#
#   client 2.4.0: server/discover, initialize
#   ai-sdk 2.0.99: server/discover
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @modelcontextprotocol/client@2.4.0 @ai-sdk/mcp@2.0.99 zod@4.3.6

cat > run.mjs <<'JS'
import { createServer } from "node:http";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { createMCPClient } from "@ai-sdk/mcp";

const info = { name: "finding", version: "1" };
let asked = [];

const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const { id, method, params } = body === "" ? {} : JSON.parse(body);
  if (request.method !== "POST") return response.writeHead(405).end();
  if (id === undefined) return response.writeHead(202).end();
  asked.push(method);
  const say = (status, answer) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
  };
  if (method === "initialize")
    return say(200, { result: { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: info } });
  const requested = params._meta["io.modelcontextprotocol/protocolVersion"];
  say(400, { error: { code: -32022, message: "Unsupported protocol version", data: { supported: ["2025-11-25"], requested } } });
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const url = `http://127.0.0.1:${server.address().port}/mcp`;

const connect = {
  "client 2.4.0": () =>
    new Client(info, { versionNegotiation: { mode: "auto" } }).connect(new StreamableHTTPClientTransport(new URL(url))),
  "ai-sdk 2.0.99": () => createMCPClient({ transport: { type: "http", url } }),
};
for (const [name, begin] of Object.entries(connect)) {
  asked = [];
  await begin().catch(() => {});
  console.log(`${name}: ${asked.join(", ")}`);
}
process.exit(0);
JS
timeout 60 node run.mjs | tee seen
diff seen - <<'EXPECTED'
client 2.4.0: server/discover, initialize
ai-sdk 2.0.99: server/discover
EXPECTED
