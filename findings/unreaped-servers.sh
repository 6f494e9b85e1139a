#!/usr/bin/env bash
# supergateway 4.0.0 (stdio server as Streamable HTTP, as its README starts it) and mcp-proxy 6.7.19 (the same), before
# server-everything 2025.12.18 started by npx
#
# A bridge is the first process of a container, as the last line of its Dockerfile has it, and serves three clients, one after the other.
# Guessed: what it started for them is gone when they are.
# Seen: mcp-proxy has one server for all of them. supergateway starts two processes for each request, npx and the server. Both end, and
# both stay as zombies: whoever is first in a container has to reap what its children leave behind, and Node only reaps its own. Each keeps
# a process id until the container ends, or can start nothing any more. With an init as the first process (here a shell that waits) none stays.
#
#   mcp-proxy 6.7.19 as the first process: 0 zombies after 3 requests
#   supergateway 4.0.0 as the first process: 6 zombies after 3 requests
#   supergateway 4.0.0 behind an init: 0 zombies after 3 requests
#
# Takes Linux, and root or the right to make user namespaces.
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts supergateway@4.0.0 mcp-proxy@6.7.19 @modelcontextprotocol/server-everything@2025.12.18

cat > run.mjs <<'JS'
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const node = process.execPath;
const server = ["npx", "--no-install", "mcp-server-everything", "stdio"];
const supergateway = (port) => [node, "node_modules/supergateway/dist/index.js", "--stdio", server.join(" "), "--outputTransport", "streamableHttp", "--port", port];
const bridges = {
  "mcp-proxy 6.7.19 as the first process": (port) => [node, "node_modules/mcp-proxy/dist/bin/mcp-proxy.mjs", "--host", "127.0.0.1", "--port", port, "--", ...server],
  "supergateway 4.0.0 as the first process": supergateway,
  "supergateway 4.0.0 behind an init": (port) => ["sh", "-c", '"$@" & wait', "init", ...supergateway(port)],
};
// As a container has them: process ids of its own.
const container = ["--pid", "--fork", "--kill-child", "--mount-proc", ...(process.getuid() === 0 ? [] : ["--user", "--map-root-user"])];

/** The states of all processes that have their ids in this namespace. */
function statesIn(namespace) {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const [own, status] = [readlinkSync(`/proc/${pid}/ns/pid`), readFileSync(`/proc/${pid}/status`, "utf8")];
      return own === namespace ? [/^State:\t(\w)/m.exec(status)[1]] : [];
    } catch {
      return [];
    }
  });
}

for (const [name, command] of Object.entries(bridges)) {
  const probe = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => probe.once("listening", resolve));
  const port = String(probe.address().port);
  await new Promise((resolve) => probe.close(resolve));
  const bridge = spawn("unshare", [...container, ...command(port)], { stdio: "ignore" });
  const url = `http://127.0.0.1:${port}/mcp`;
  while (!(await fetch(url, { method: "OPTIONS" }).then(() => true, () => false))) await sleep(100);
  const namespace = readlinkSync(`/proc/${bridge.pid}/ns/pid_for_children`);
  const running = statesIn(namespace).length;
  for (let request = 1; request <= 3; request += 1) {
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
    const params = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "finding", version: "1" } };
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params }) });
    await answer.text();
    const session = answer.headers.get("mcp-session-id");
    if (session !== null) await (await fetch(url, { method: "DELETE", headers: { ...headers, "mcp-session-id": session } })).text();
  }
  // Servers take a moment to end; one that all clients share does not.
  const isOver = () => statesIn(namespace).filter((state) => state !== "Z").length <= running;
  for (let tries = 1; tries <= 100 && !isOver(); tries += 1) await sleep(100);
  console.log(`${name}: ${statesIn(namespace).filter((state) => state === "Z").length} zombies after 3 requests`);
  bridge.kill("SIGKILL");
}
process.exit(0);
JS
timeout 120 node run.mjs 2> log | tee seen
diff seen - <<'EXPECTED'
mcp-proxy 6.7.19 as the first process: 0 zombies after 3 requests
supergateway 4.0.0 as the first process: 6 zombies after 3 requests
supergateway 4.0.0 behind an init: 0 zombies after 3 requests
EXPECTED
