#!/usr/bin/env bash
# @modelcontextprotocol/client 2.4.0, protocol revision 2026-07-28
#
# A client listens for changes of the tool list (`listChanged`), and its stream is cut: a proxy restarts, or the server does.
# Guessed: it listens again, as the GET stream of 2025-11-25 is opened again.
# Seen: it does not, within 10 s; its tool calls go on working, so that nobody notices that no change will be heard any more.
#
#   2026-07-28: 1 subscription; a call after that: ok
#   2025-11-25: 2 GET streams or more; a call after that: ok
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @modelcontextprotocol/client@2.4.0

cat > run.mjs <<'JS'
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const info = { name: "finding", version: "1" };
const MODERN = "2026-07-28";
let streams = 0;

const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const { id, method, params } = body === "" ? {} : JSON.parse(body);
  const say = (result) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, result: { resultType: "complete", ...result } }));
  };
  const stream = (...events) => {
    streams += 1;
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(`: hello\n\n${events.map((event) => `data: ${JSON.stringify({ jsonrpc: "2.0", ...event })}\n\n`).join("")}`);
    setTimeout(() => response.destroy(), 300);
  };
  const capabilities = { tools: { listChanged: true } };
  if (request.method === "GET") return stream();
  if (id === undefined) return response.writeHead(202).end();
  switch (method) {
    case "server/discover":
      return say({ supportedVersions: [MODERN], capabilities, serverInfo: info, ttlMs: 0, cacheScope: "private" });
    case "initialize":
      return say({ protocolVersion: "2025-11-25", capabilities, serverInfo: info });
    case "tools/list":
      return say({ tools: [{ name: "t", inputSchema: { type: "object" } }], ttlMs: 0, cacheScope: "private" });
    case "subscriptions/listen":
      return stream({
        method: "notifications/subscriptions/acknowledged",
        params: { notifications: params.notifications, _meta: { "io.modelcontextprotocol/subscriptionId": id } },
      });
    default:
      return say({ content: [] });
  }
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));

for (const [era, mode] of [[MODERN, { pin: MODERN }], ["2025-11-25", "legacy"]]) {
  streams = 0;
  const client = new Client(info, { versionNegotiation: { mode }, listChanged: { tools: { onChanged: () => {} } } });
  await client.connect(new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${server.address().port}/mcp`)));
  await sleep(10_000);
  const call = await client.callTool({ name: "t", arguments: {} }).then(() => "ok", (error) => error.message);
  const count = era === MODERN ? `${streams} subscription` : streams > 1 ? "2 GET streams or more" : "1 GET stream";
  console.log(`${era}: ${count}; a call after that: ${call}`);
  await client.close();
}
process.exit(0);
JS
timeout 90 node run.mjs | tee seen
diff seen - <<'EXPECTED'
2026-07-28: 1 subscription; a call after that: ok
2025-11-25: 2 GET streams or more; a call after that: ok
EXPECTED
