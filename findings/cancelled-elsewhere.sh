#!/usr/bin/env bash
# supergateway 4.0.0 (stdio server as Streamable HTTP, as its README starts it) and mcp-proxy 6.7.19 (the same)
#
# A client cancels a call that runs (`notifications/cancelled` with the request's id), through a bridge to a server over stdio.
# Guessed: the bridge hands the notification to the process that runs the call.
# Seen: mcp-proxy does, under the id that it gave the call. supergateway starts a process for every HTTP request, so that the
# notification reaches a process that knows of no call, and the call runs on. (With --stateful it has one process a session, and does.)
#
#   mcp-proxy 6.7.19: 1 process, cancelled in the process that ran the call
#   supergateway 4.0.0: several processes, cancelled in another process
#   supergateway 4.0.0 --stateful: 1 process, cancelled in the process that ran the call
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts supergateway@4.0.0 mcp-proxy@6.7.19

cat > server.mjs <<'JS'
import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";
const note = (what) => appendFileSync("heard", `${process.pid} ${what}\n`);
note("start");
createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = JSON.parse(line);
  if (method === "tools/call") note("call");
  if (method === "notifications/cancelled") note("cancelled");
  const answer = (result) => process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, result })}\n`);
  if (method === "initialize") answer({ protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "s", version: "1" } });
  if (method === "tools/list") answer({ tools: [{ name: "t", inputSchema: { type: "object" } }] });
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
  "supergateway 4.0.0": (port) => ["node_modules/supergateway/dist/index.js", "--stdio", `${node} server.mjs`, "--outputTransport", "streamableHttp", "--port", port],
  "supergateway 4.0.0 --stateful": (port) => [...bridges["supergateway 4.0.0"](port), "--stateful"],
};
const heard = () => readFileSync("heard", "utf8").trim().split("\n").filter(Boolean).map((line) => line.split(" "));
const pidOf = (what) => heard().find(([, event]) => event === what)?.[0];

for (const [name, args] of Object.entries(bridges)) {
  writeFileSync("heard", "");
  const probe = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => probe.once("listening", resolve));
  const port = String(probe.address().port);
  await new Promise((resolve) => probe.close(resolve));
  const bridge = spawn(node, args(port), { stdio: "ignore" });
  const url = `http://127.0.0.1:${port}/mcp`;
  while (!(await fetch(url, { method: "OPTIONS" }).then(() => true, () => false))) await sleep(100);
  let session;
  const post = async (message, signal) => {
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25" };
    if (session !== undefined) headers["mcp-session-id"] = session;
    const answer = await fetch(url, { method: "POST", headers, signal, body: JSON.stringify({ jsonrpc: "2.0", ...message }) });
    session ??= answer.headers.get("mcp-session-id") ?? undefined;
    await answer.text();
  };
  const clientInfo = { name: "finding", version: "1" };
  await post({ id: 1, method: "initialize", params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo } });
  await post({ method: "notifications/initialized" });
  const left = new AbortController();
  const call = post({ id: 2, method: "tools/call", params: { name: "t", arguments: {} } }, left.signal).catch(() => {});
  while (pidOf("call") === undefined) await sleep(100);
  await post({ method: "notifications/cancelled", params: { requestId: 2, reason: "not wanted any more" } });
  while (pidOf("cancelled") === undefined) await sleep(100);
  const processes = heard().filter(([, event]) => event === "start").length;
  const where = pidOf("cancelled") === pidOf("call") ? "the process that ran the call" : "another process";
  console.log(`${name}: ${processes === 1 ? "1 process" : "several processes"}, cancelled in ${where}`);
  left.abort();
  await call;
  bridge.kill();
}
process.exit(0);
JS
timeout 90 node run.mjs | tee seen
diff seen - <<'EXPECTED'
mcp-proxy 6.7.19: 1 process, cancelled in the process that ran the call
supergateway 4.0.0: several processes, cancelled in another process
supergateway 4.0.0 --stateful: 1 process, cancelled in the process that ran the call
EXPECTED
