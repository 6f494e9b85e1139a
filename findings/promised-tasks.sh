#!/usr/bin/env bash
# mcp-proxy 6.7.19 and supergateway 4.0.0 (--stateful) before a server over stdio that has the tasks of 2025-11-25
#
# Guessed: a bridge either knows tasks and carries them, or does not and leaves the capability out.
# Seen: both tell the client that the server has tasks. supergateway passes every message on, and carries them. mcp-proxy passes
# the `task` of a call on, so that the server creates one; but the server's handle is no result to mcp-proxy, which answers with an
# error (-32603), and it answers `tasks/get` itself with -32601: the work runs, and nobody can fetch what comes of it.
#
#   mcp-proxy 6.7.19: declares tasks; the server created 1; tools/call -32603; tasks/get -32601
#   supergateway 4.0.0: declares tasks; the server created 1; tools/call gives a handle; tasks/get completed
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts supergateway@4.0.0 mcp-proxy@6.7.19

cat > server.mjs <<'JS'
import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";
createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = JSON.parse(line);
  const answer = (result) => process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, result })}\n`);
  const at = "2026-11-29T12:00:00Z";
  const task = { taskId: "task-1", createdAt: at, lastUpdatedAt: at, ttl: 60_000, pollInterval: 500 };
  const capabilities = { tools: {}, tasks: { cancel: {}, requests: { tools: { call: {} } } } };
  if (method === "initialize") answer({ protocolVersion: params.protocolVersion, capabilities, serverInfo: { name: "s", version: "1" } });
  if (method === "tools/list") answer({ tools: [{ name: "t", inputSchema: { type: "object" }, execution: { taskSupport: "optional" } }] });
  if (method === "tools/call" && params.task !== undefined) {
    appendFileSync("created", "task\n");
    answer({ task: { ...task, status: "working" } });
  }
  if (method === "tasks/get") answer({ ...task, status: "completed" });
});
process.stdin.on("end", () => process.exit(0));
JS
cat > run.mjs <<'JS'
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const node = process.execPath;
const bridges = {
  "mcp-proxy 6.7.19": (port) => ["node_modules/mcp-proxy/dist/bin/mcp-proxy.mjs", "--host", "127.0.0.1", "--port", port, "--", node, "server.mjs"],
  "supergateway 4.0.0": (port) => ["node_modules/supergateway/dist/index.js", "--stdio", `${node} server.mjs`, "--outputTransport", "streamableHttp", "--stateful", "--port", port],
};
for (const [name, args] of Object.entries(bridges)) {
  writeFileSync("created", "");
  const probe = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => probe.once("listening", resolve));
  const port = String(probe.address().port);
  await new Promise((resolve) => probe.close(resolve));
  const bridge = spawn(node, args(port), { stdio: "ignore" });
  const url = `http://127.0.0.1:${port}/mcp`;
  while (!(await fetch(url, { method: "OPTIONS" }).then(() => true, () => false))) await sleep(100);
  let session;
  const post = async (message) => {
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25" };
    if (session !== undefined) headers["mcp-session-id"] = session;
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify({ jsonrpc: "2.0", ...message }) });
    session ??= answer.headers.get("mcp-session-id") ?? undefined;
    const data = (await answer.text()).split("\n").filter((line) => line.startsWith("data: {"));
    return data.length === 0 ? undefined : JSON.parse(data.at(-1).slice("data: ".length));
  };
  const clientInfo = { name: "finding", version: "1" };
  const { result } = await post({ id: 1, method: "initialize", params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo } });
  await post({ method: "notifications/initialized" });
  const created = await post({ id: 2, method: "tools/call", params: { name: "t", arguments: {}, task: { ttl: 60_000 } } });
  const taskId = created.result?.task?.taskId;
  const polled = await post({ id: 3, method: "tasks/get", params: { taskId } });
  const declares = result.capabilities.tasks === undefined ? "declares no tasks" : "declares tasks";
  const count = readFileSync("created", "utf8").split("\n").length - 1;
  const handle = taskId === undefined ? created.error.code : "gives a handle";
  console.log(`${name}: ${declares}; the server created ${count}; tools/call ${handle}; tasks/get ${polled.result?.status ?? polled.error.code}`);
  bridge.kill();
}
process.exit(0);
JS
timeout 60 node run.mjs | tee seen
diff seen - <<'EXPECTED'
mcp-proxy 6.7.19: declares tasks; the server created 1; tools/call -32603; tasks/get -32601
supergateway 4.0.0: declares tasks; the server created 1; tools/call gives a handle; tasks/get completed
EXPECTED
