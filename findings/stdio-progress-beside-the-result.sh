#!/usr/bin/env bash
# @modelcontextprotocol/sdk 1.32.2 and @modelcontextprotocol/client 2.4.0, over stdio
#
# A server writes three progress notifications and the result in one go, as any tool does whose last steps are quick.
# Guessed: the client hears all three, in their order, before the result.
# Seen: neither hears any of them; with 300 ms between the last progress and the result both hear all three.
# (Over Streamable HTTP both hear all three either way.)
#
#   sdk 1.32.2 together: []
#   sdk 1.32.2 apart: [1,2,3]
#   client 2.4.0 together: []
#   client 2.4.0 apart: [1,2,3]
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0

cat > server.mjs <<'JS'
import { createInterface } from "node:readline";
const text = (message) => `${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`;
createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  if (method === "initialize") {
    const { protocolVersion } = params;
    return process.stdout.write(text({ id, result: { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "s", version: "1" } } }));
  }
  const { progressToken } = params._meta;
  const progress = [1, 2, 3].map((done) => text({ method: "notifications/progress", params: { progressToken, progress: done } })).join("");
  const result = text({ id, result: { content: [] } });
  if (params.arguments.apart === undefined) return process.stdout.write(progress + result);
  process.stdout.write(progress);
  setTimeout(() => process.stdout.write(result), 300);
});
JS
cat > run.mjs <<'JS'
import { Client as Client1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport as Stdio1 } from "@modelcontextprotocol/sdk/client/stdio.js";
import { Client as Client2 } from "@modelcontextprotocol/client";
import { StdioClientTransport as Stdio2 } from "@modelcontextprotocol/client/stdio";

const server = { command: process.execPath, args: ["server.mjs"] };
const info = { name: "finding", version: "1" };
for (const [name, Client, Stdio] of [["sdk 1.32.2", Client1, Stdio1], ["client 2.4.0", Client2, Stdio2]]) {
  for (const how of ["together", "apart"]) {
    const client = new Client(info);
    await client.connect(new Stdio(server));
    const heard = [];
    const options = { onprogress: ({ progress }) => heard.push(progress) };
    const call = { name: "t", arguments: how === "apart" ? { apart: "yes" } : {} };
    await (Client === Client1 ? client.callTool(call, undefined, options) : client.callTool(call, options));
    await client.close();
    console.log(`${name} ${how}: ${JSON.stringify(heard)}`);
  }
}
JS
timeout 60 node run.mjs | tee seen
diff seen - <<'EXPECTED'
sdk 1.32.2 together: []
sdk 1.32.2 apart: [1,2,3]
client 2.4.0 together: []
client 2.4.0 apart: [1,2,3]
EXPECTED
