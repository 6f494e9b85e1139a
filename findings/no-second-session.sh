#!/usr/bin/env bash
# @modelcontextprotocol/sdk 1.10.2, 1.22.0 and 1.32.2, and server 2.4.0 with node 2.1.2
#
# A server with one transport for the whole program, with sessions. Its client says goodbye (DELETE, 2025-03-26 Transports §Session Management), and
# the next one comes.
# Guessed: the transport is free again, and the next client can initialize.
# Seen: it never is, until the program is started anew. Older versions say that the server is initialized; newer ones answer the next initialize,
# which has no session, with 404 "Session not found", which tells a client to do what it is doing.
#
#   sdk 1.10.2: DELETE 200, then initialize 400 "Invalid Request: Server already initialized", 400 "Invalid Request: Server already initialized"
#   sdk 1.22.0: DELETE 200, then initialize 400 "Invalid Request: Server already initialized", 400 "Invalid Request: Server already initialized"
#   sdk 1.32.2: DELETE 200, then initialize 404 "Session not found", 404 "Session not found"
#   server 2.4.0: DELETE 200, then initialize 404 "Session not found", 404 "Session not found"
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts sdk110@npm:@modelcontextprotocol/sdk@1.10.2 sdk122@npm:@modelcontextprotocol/sdk@1.22.0 \
  sdk132@npm:@modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/server@2.4.0 @modelcontextprotocol/node@2.1.2

cat > run.mjs <<'JS'
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";

const info = { name: "finding", version: "1" };
const versions = { "sdk 1.10.2": "sdk110", "sdk 1.22.0": "sdk122", "sdk 1.32.2": "sdk132", "server 2.4.0": "v2" };

/** One server and one transport for the program, with sessions, as the first lines of many a server have it. */
async function start(name) {
  const { Server, NodeStreamableHTTPServerTransport, StreamableHTTPServerTransport = NodeStreamableHTTPServerTransport } =
    name === "v2"
      ? { ...(await import("@modelcontextprotocol/server")), ...(await import("@modelcontextprotocol/node")) }
      : { ...(await import(`${name}/server/index.js`)), ...(await import(`${name}/server/streamableHttp.js`)) };
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: randomUUID });
  const server = new Server(info, { capabilities: { tools: {} } });
  await server.connect(transport);
  const http = createServer((request, response) => {
    transport.handleRequest(request, response).catch((error) => {
      console.error(error.message);
      if (!response.headersSent) response.writeHead(500).end();
    });
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => http.once("listening", resolve));
  return { url: `http://127.0.0.1:${http.address().port}/mcp`, close: () => http.close() };
}

const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
const words = async (answer) => {
  const text = await answer.text();
  const said = /"message":"([^"]*)"/.exec(text)?.[1];
  return `${answer.status}${said ? ` "${said}"` : answer.ok ? "" : " without a word"}`;
};
async function initialize(url, id) {
  const params = { protocolVersion: "2025-03-26", capabilities: {}, clientInfo: info };
  return fetch(url, { method: "POST", headers, body: JSON.stringify({ jsonrpc: "2.0", id, method: "initialize", params }) });
}
for (const [name, alias] of Object.entries(versions)) {
  const { url, close } = await start(alias);
  const first = await initialize(url, 1);
  const session = first.headers.get("mcp-session-id");
  await first.text();
  const gone = await fetch(url, { method: "DELETE", headers: { ...headers, "mcp-session-id": session } });
  const then = [await words(await initialize(url, 2))];
  then.push(await words(await initialize(url, 3)));
  console.log(`${name}: DELETE ${await words(gone)}, then initialize ${then.join(", ")}`);
  close();
}
process.exit(0);
JS
timeout 60 node run.mjs | tee seen
diff seen - <<'EXPECTED'
sdk 1.10.2: DELETE 200, then initialize 400 "Invalid Request: Server already initialized", 400 "Invalid Request: Server already initialized"
sdk 1.22.0: DELETE 200, then initialize 400 "Invalid Request: Server already initialized", 400 "Invalid Request: Server already initialized"
sdk 1.32.2: DELETE 200, then initialize 404 "Session not found", 404 "Session not found"
server 2.4.0: DELETE 200, then initialize 404 "Session not found", 404 "Session not found"
EXPECTED
