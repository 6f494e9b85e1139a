#!/usr/bin/env bash
# @modelcontextprotocol/client 2.4.0, sdk 1.32.2, @ai-sdk/mcp 2.0.99, @langchain/mcp-adapters 1.1.4, @mastra/mcp 2.0.0, mcporter 0.12.3 and
# @openai/agents 0.20.0, before a server over stdio
#
# An app has a server in its configuration with one variable of its own, closes its client, and lives on. The server takes SIGTERM for "finish what you
# do", and here has more to do than any client waits.
# Guessed: each closes the server's input, waits a little, sends SIGTERM and at last SIGKILL (2025-11-25, Lifecycle §Shutdown); the server has the few
# variables that any program needs, and its own.
# Seen: ai-sdk closes no input and sends SIGTERM alone, at once: the server stays as long as the app. mcporter gives the server all variables of
# the app's own environment, its secrets included; the others give PATH, HOME and the like. (openai-agents and mastra start each server twice.)
#
#   client 2.4.0: end of input, SIGTERM, gone; a few variables
#   sdk 1.32.2: end of input, SIGTERM, gone; a few variables
#   ai-sdk 2.0.99: SIGTERM, stays; a few variables
#   langchain 1.1.4: end of input, SIGTERM, gone; a few variables
#   mastra 2.0.0: end of input, SIGTERM, gone; a few variables; started 2 times
#   mcporter 0.12.3: end of input, SIGTERM, gone; all variables
#   openai-agents 0.20.0: end of input, SIGTERM, gone; a few variables; started 2 times
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @modelcontextprotocol/client@2.4.0 @modelcontextprotocol/sdk@1.32.2 @ai-sdk/mcp@2.0.99 \
  @langchain/mcp-adapters@1.1.4 @mastra/mcp@2.0.0 mcporter@0.12.3 @openai/agents@0.20.0 zod@4.3.6

cat > server.cjs <<'JS'
const { appendFileSync } = require("node:fs");
const { createInterface } = require("node:readline");
// A server of its own that nobody ends must not stay for ever.
setTimeout(() => process.exit(0), 60_000);
const note = (what) => appendFileSync(process.argv[2], `${what}\n`);
note(`started ${process.pid} ${process.env.OF_THE_APP === undefined ? "few" : "all"} ${process.env.OWN}`);
process.stdin.on("end", () => note("end of input"));
process.on("SIGTERM", () => note("SIGTERM"));
createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method } = JSON.parse(line);
  const results = {
    initialize: { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: { name: "s", version: "1" } },
    "tools/list": { tools: [{ name: "t", description: "t", inputSchema: { type: "object", properties: {} } }] },
  };
  const answer = method in results ? { result: results[method] } : { error: { code: -32601, message: "Method not found" } };
  if (id !== undefined) process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, ...answer })}\n`);
});
JS
cat > run.mjs <<'JS'
import { readFileSync } from "node:fs";
import { Experimental_StdioMCPTransport } from "@ai-sdk/mcp/mcp-stdio";
import { createMCPClient } from "@ai-sdk/mcp";
import { MultiServerMCPClient } from "@langchain/mcp-adapters";
import { MCPClient } from "@mastra/mcp";
import { Client as Client2 } from "@modelcontextprotocol/client";
import { StdioClientTransport as Stdio2 } from "@modelcontextprotocol/client/stdio";
import { Client as Client1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport as Stdio1 } from "@modelcontextprotocol/sdk/client/stdio.js";
import { MCPServerStdio } from "@openai/agents";
import { createRuntime } from "mcporter";

process.env.OF_THE_APP = "1";
const info = { name: "finding", version: "1" };
// Each lists the tools, and gives what closes the client.
const clients = {
  "client 2.4.0": async (server) => {
    const client = new Client2(info);
    await client.connect(new Stdio2(server));
    await client.listTools();
    return () => client.close();
  },
  "sdk 1.32.2": async (server) => {
    const client = new Client1(info);
    await client.connect(new Stdio1(server));
    await client.listTools();
    return () => client.close();
  },
  "ai-sdk 2.0.99": async (server) => {
    const client = await createMCPClient({ transport: new Experimental_StdioMCPTransport(server) });
    await client.tools();
    return () => client.close();
  },
  "langchain 1.1.4": async (server) => {
    const client = new MultiServerMCPClient({ mcpServers: { s: { transport: "stdio", ...server } } });
    await client.getTools();
    return () => client.close();
  },
  "mastra 2.0.0": async (server) => {
    const client = new MCPClient({ id: "finding", servers: { s: server } });
    await client.listTools();
    return () => client.disconnect();
  },
  "mcporter 0.12.3": async ({ command, args, env }) => {
    const runtime = await createRuntime({ servers: [{ name: "s", command: { kind: "stdio", command, args, cwd: process.cwd() }, env }] });
    await runtime.listTools("s");
    return () => runtime.close();
  },
  "openai-agents 0.20.0": async (server) => {
    const client = new MCPServerStdio({ name: "s", ...server });
    await client.connect();
    await client.listTools();
    return () => client.close();
  },
};
const isThere = (pid) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
const rows = Object.entries(clients).map(async ([name, connect], index) => {
  const file = `${process.cwd()}/${index}.txt`;
  const close = await connect({ command: process.execPath, args: [`${process.cwd()}/server.cjs`, file], env: { OWN: "1" } });
  const before = readFileSync(file, "utf8").trim().split("\n");
  await close();
  const starts = before.filter((line) => line.startsWith("started"));
  const [, pid, variables, own] = starts.at(-1).split(" ");
  const deadline = Date.now() + 15_000;
  while (isThere(Number(pid)) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 100));
  const heard = readFileSync(file, "utf8").trim().split("\n").slice(before.length);
  const fate = isThere(Number(pid)) ? "stays" : "gone";
  if (fate === "stays") process.kill(Number(pid), "SIGKILL");
  const started = starts.length === 1 ? "" : `; started ${starts.length} times`;
  return `${name}: ${[...heard, fate].join(", ")}; ${own === "1" ? "" : "not its own, "}${variables === "few" ? "a few variables" : "all variables"}${started}`;
});
for (const row of rows) console.log(await row);
process.exit(0);
JS
timeout 90 node run.mjs 2> log | tee seen
diff seen - <<'EXPECTED'
client 2.4.0: end of input, SIGTERM, gone; a few variables
sdk 1.32.2: end of input, SIGTERM, gone; a few variables
ai-sdk 2.0.99: SIGTERM, stays; a few variables
langchain 1.1.4: end of input, SIGTERM, gone; a few variables
mastra 2.0.0: end of input, SIGTERM, gone; a few variables; started 2 times
mcporter 0.12.3: end of input, SIGTERM, gone; all variables
openai-agents 0.20.0: end of input, SIGTERM, gone; a few variables; started 2 times
EXPECTED
