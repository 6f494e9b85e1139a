#!/usr/bin/env bash
# @mastra/mcp 2.0.0; Debian 12's nginx 1.22.1, HAProxy 2.6.12, Caddy 2.6.2 and Apache 2.4.71, found on the PATH (apt-get install
# nginx-light haproxy caddy apache2), each with the smallest file that forwards
#
# The server breaks the connection after it has taken a `tools/call`, as when it is restarted. A proxy is between it and its client.
# Guessed: the proxy answers 502, so that the client sees an error, and no client sends a call again that may have run.
# Seen: HAProxy and Apache close the client's connection without a word, from the second request on a connection on, which every call of
# an MCP client is. That is for browsers, which try a GET again. This client tries the call again, and the tool has run twice; the 502 of
# nginx and Caddy it takes for an error.
#
#   nginx: HTTP 502; the tool ran 1 time
#   haproxy: cut; the tool ran 2 times
#   caddy: HTTP 502; the tool ran 1 time
#   apache2: cut; the tool ran 2 times
set -euo pipefail
PATH="$PATH:/usr/sbin"
for program in nginx haproxy caddy apache2; do command -v "$program" > /dev/null || { echo "$program is not installed"; exit 1; }; done
nginx -v; haproxy -v | head -1; caddy version; apache2 -v | head -1
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && chmod 755 "$dir" && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @mastra/mcp@2.0.0

cat > run.mjs <<'JS'
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import { connect, createServer as createListener } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { MCPClient } from "@mastra/mcp";

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
  request.socket.destroy();
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const at = `127.0.0.1:${server.address().port}`;

const modules = ["mpm_event", "authz_core", "proxy", "proxy_http"];
const user = process.getuid() === 0 ? "User www-data\nGroup www-data" : "";
const proxies = {
  nginx: (folder, port) => [
    `daemon off; master_process off; pid ${folder}/pid; events {} http { access_log off; ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map((name) => `${name}_temp_path ${folder}/${name};`).join(" ")} server { listen 127.0.0.1:${port}; location / { proxy_pass http://${at}; } } }`,
    (file) => ["-e", "stderr", "-p", folder, "-c", file],
  ],
  haproxy: (_, port) => [
    `defaults\n mode http\n timeout connect 5s\n timeout client 50s\n timeout server 50s\nlisten mcp\n bind 127.0.0.1:${port}\n server s ${at}\n`,
    (file) => ["-db", "-f", file],
  ],
  caddy: (_, port) => [
    `{\n admin off\n}\nhttp://127.0.0.1:${port} {\n reverse_proxy ${at}\n}\n`,
    (file) => ["run", "--adapter", "caddyfile", "--config", file],
  ],
  apache2: (folder, port) => [
    `${modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join("\n")}\n${user}
ServerName finding.test\nListen 127.0.0.1:${port}\nPidFile ${folder}/pid\nDefaultRuntimeDir ${folder}\nErrorLog ${folder}/log\nProxyPass "/" "http://${at}/"\n`,
    (file) => ["-d", folder, "-f", file, "-DFOREGROUND"],
  ],
};

for (const [name, filled] of Object.entries(proxies)) {
  const folder = `${process.cwd()}/${name}`;
  mkdirSync(folder);
  const port = await freePort();
  const [text, args] = filled(folder, port);
  writeFileSync(`${folder}/file`, text);
  const child = spawn(name, args(`${folder}/file`), { stdio: "ignore", detached: true, env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder } });
  process.once("exit", () => end(child));
  while (!(await isThere(port))) await sleep(50);
  const url = new URL(`http://127.0.0.1:${port}/mcp`);

  // Without the client: a request before, and then the call, on one connection.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  await post(url, agent, "tools/list");
  runs = 0;
  const answer = await post(url, agent, "tools/call").then((status) => `HTTP ${status}`, () => "cut");

  const client = new MCPClient({ id: name, servers: { s: { url } } });
  const { s_t: tool } = await client.listTools();
  runs = 0;
  await Promise.resolve(tool.execute({}, {})).catch(() => {});
  console.log(`${name}: ${answer}; the tool ran ${runs} time${runs === 1 ? "" : "s"}`);
  end(child);
}
process.exit(0);

function post(url, agent, method) {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
    request(url, { method: "POST", agent, headers }, (response) => response.resume().once("end", () => resolve(response.statusCode)))
      .once("error", reject)
      .end(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { name: "t", arguments: {} } }));
  });
}

async function freePort() {
  const listener = createListener().listen(0, "127.0.0.1");
  await new Promise((resolve) => listener.once("listening", resolve));
  const { port } = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  return port;
}

function isThere(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(socket.destroy() && true)).once("error", () => resolve(false));
  });
}

function end({ pid }) {
  try {
    process.kill(-pid, "SIGTERM");
  } catch {}
}
JS
timeout 90 node run.mjs 2> log | tee seen
diff seen - <<'EXPECTED'
nginx: HTTP 502; the tool ran 1 time
haproxy: cut; the tool ran 2 times
caddy: HTTP 502; the tool ran 1 time
apache2: cut; the tool ran 2 times
EXPECTED
