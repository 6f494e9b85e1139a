#!/usr/bin/env bash
# @mastra/mcp 2.0.0
#
# The connection breaks after the server has taken a `tools/call` and before it has answered, as when a proxy restarts.
# Guessed: the caller is told; no client sends a call again that may have run (the client, 2.4.0, that this one is built on does not).
# Seen: the client connects anew and sends the call again by itself: the tool has run twice, and the agent sees one result.
# It decides by the error's words ("fetch failed", "connection closed", "not connected" …), so a JSON-RPC error with the message
# "Connection closed" has the same effect; one that says "The session is over" has not.
#
#   cut: the tool ran 2 times
#   error "Connection closed": the tool ran 2 times
#   error "The session is over": the tool ran 1 time
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @mastra/mcp@2.0.0

cat > run.mjs <<'JS'
import { createServer } from "node:http";
import { MCPClient } from "@mastra/mcp";

const cases = { cut: undefined, 'error "Connection closed"': "Connection closed", 'error "The session is over"': "The session is over" };
for (const [name, message] of Object.entries(cases)) {
  let runs = 0;
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const { id, method } = body === "" ? {} : JSON.parse(body);
    const say = (answer) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
    };
    if (request.method !== "POST") return response.writeHead(405).end();
    if (id === undefined) return response.writeHead(202).end();
    if (method === "initialize")
      return say({ result: { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: { name: "s", version: "1" } } });
    if (method === "tools/list") return say({ result: { tools: [{ name: "t", description: "t", inputSchema: { type: "object" } }] } });
    if (method !== "tools/call") return say({ error: { code: -32601, message: "Method not found" } });
    runs += 1;
    if (runs > 1) return say({ result: { content: [] } });
    if (message === undefined) return request.socket.destroy();
    say({ error: { code: -32000, message } });
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const url = new URL(`http://127.0.0.1:${server.address().port}/mcp`);
  const client = new MCPClient({ id: name, servers: { s: { url } } });
  const { s_t: tool } = await client.listTools();
  await Promise.resolve(tool.execute({}, {})).catch(() => {});
  console.log(`${name}: the tool ran ${runs} time${runs === 1 ? "" : "s"}`);
  server.closeAllConnections();
}
process.exit(0);
JS
timeout 60 node run.mjs 2> log | tee seen
diff seen - <<'EXPECTED'
cut: the tool ran 2 times
error "Connection closed": the tool ran 2 times
error "The session is over": the tool ran 1 time
EXPECTED
