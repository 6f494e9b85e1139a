#!/usr/bin/env bash
# @modelcontextprotocol/sdk 1.32.2, @modelcontextprotocol/server 2.4.0, fastmcp 4.20.16, tmcp 1.20.0 with @tmcp/transport-stdio 0.5.0, and
# @genkit-ai/mcp 1.42.0 with genkit 1.42.0, over stdio
#
# A client closes the server's input, which is how a session over stdio ends (2025-11-25, Lifecycle §Shutdown), and what a server hears of a client
# that was killed. The server has a timer, as programs have with a pool of connections, a cache or a poller.
# Guessed: the server exits. A call that runs is answered first, or given up.
# Seen: four of five stay, until somebody kills them, and nobody is left who would. Without a timer they exit. A call that runs is given up by
# server 2 and fastmcp (its `signal` is aborted, and what it returns is not sent) and by tmcp; sdk 1 and genkit answer it.
#
#   sdk 1.32.2: exits without a timer, stays with one; the call that runs: answered
#   server 2.4.0: exits without a timer, stays with one; the call that runs: not answered
#   fastmcp 4.20.16: exits without a timer, stays with one; the call that runs: not answered
#   tmcp 1.20.0: exits without a timer, exits with one; the call that runs: not answered
#   genkit 1.42.0: exits without a timer, stays with one; the call that runs: answered
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps @modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/server@2.4.0 fastmcp@4.20.16 \
  tmcp@1.20.0 @tmcp/transport-stdio@0.5.0 @genkit-ai/mcp@1.42.0 genkit@1.42.0 zod@4.3.6

# Each has one tool, which answers two seconds after it said on stderr that it runs.
cat > tool.mjs <<'JS'
if (process.argv[2] === "timer") setInterval(() => {}, 1_000);
export async function work() {
  console.error("the call runs");
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  return "the answer";
}
export const content = async () => ({ content: [{ type: "text", text: await work() }] });
JS
cat > sdk.mjs <<'JS'
import { content } from "./tool.mjs";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
const server = new McpServer({ name: "s", version: "1.0.0" });
server.registerTool("t", { description: "t" }, content);
await server.connect(new StdioServerTransport());
JS
sed 's#@modelcontextprotocol/sdk/server/mcp.js#@modelcontextprotocol/server#; s#@modelcontextprotocol/sdk/server/stdio.js#@modelcontextprotocol/server/stdio#' sdk.mjs > server.mjs
cat > fastmcp.mjs <<'JS'
import { work } from "./tool.mjs";
import { FastMCP } from "fastmcp";
const server = new FastMCP({ name: "s", version: "1.0.0" });
server.addTool({ name: "t", description: "t", execute: work });
await server.start({ transportType: "stdio" });
JS
cat > tmcp.mjs <<'JS'
import { content } from "./tool.mjs";
import { McpServer } from "tmcp";
import { StdioTransport } from "@tmcp/transport-stdio";
const server = new McpServer({ name: "s", version: "1.0.0", description: "s" }, { adapter: undefined, capabilities: { tools: {} } });
server.tool({ name: "t", description: "t" }, content);
new StdioTransport(server).listen();
JS
cat > genkit.mjs <<'JS'
import { work } from "./tool.mjs";
import { createMcpServer } from "@genkit-ai/mcp";
import { genkit, z } from "genkit/beta";
const ai = genkit({});
ai.defineTool({ name: "t", description: "t", outputSchema: z.string() }, work);
await createMcpServer(ai, { name: "s", version: "1.0.0" }).start();
JS

cat > run.mjs <<'JS'
import { spawn } from "node:child_process";

const servers = { "sdk 1.32.2": "sdk", "server 2.4.0": "server", "fastmcp 4.20.16": "fastmcp", "tmcp 1.20.0": "tmcp", "genkit 1.42.0": "genkit" };
const PATIENCE_MS = 8_000;

/** Starts a server, calls its tool, closes its input once the call runs, and says what came of both. */
async function end(file, ...more) {
  const child = spawn(process.execPath, [`${file}.mjs`, ...more], { stdio: "pipe" });
  const exited = new Promise((resolve) => child.once("exit", () => resolve("exits")));
  const seen = (stream, text) =>
    new Promise((resolve) => {
      let all = "";
      stream.on("data", (chunk) => (all += chunk).includes(text) && resolve(true));
    });
  const [initialized, answered, runs] = [seen(child.stdout, '"protocolVersion"'), seen(child.stdout, "the answer"), seen(child.stderr, "the call runs")];
  const send = (message) => child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  send({ id: 1, method: "initialize", params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "c", version: "1" } } });
  await initialized;
  send({ method: "notifications/initialized" });
  send({ id: 2, method: "tools/call", params: { name: "t", arguments: {} } });
  await runs;
  child.stdin.end();
  const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, undefined));
  const fate = (await Promise.race([exited, patience])) ?? "stays";
  const isAnswered = await Promise.race([answered, new Promise((resolve) => setTimeout(resolve, 100, false))]);
  child.kill("SIGKILL");
  return { fate, isAnswered };
}
for (const [name, file] of Object.entries(servers)) {
  const [plain, timed] = await Promise.all([end(file), end(file, "timer")]);
  console.log(`${name}: ${plain.fate} without a timer, ${timed.fate} with one; the call that runs: ${plain.isAnswered ? "answered" : "not answered"}`);
}
process.exit(0);
JS
timeout 100 node run.mjs | tee seen
diff seen - <<'EXPECTED'
sdk 1.32.2: exits without a timer, stays with one; the call that runs: answered
server 2.4.0: exits without a timer, stays with one; the call that runs: not answered
fastmcp 4.20.16: exits without a timer, stays with one; the call that runs: not answered
tmcp 1.20.0: exits without a timer, exits with one; the call that runs: not answered
genkit 1.42.0: exits without a timer, stays with one; the call that runs: answered
EXPECTED
