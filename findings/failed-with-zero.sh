#!/usr/bin/env bash
# @modelcontextprotocol/inspector 2.12.0 (--cli), mcporter 0.12.3 and @apify/mcpc 0.2.6
#
# A script calls a tool by the command line of a client, and the tool fails: by a result with `isError`, or by a JSON-RPC error.
# Guessed: the exit code is not 0 either way.
# Seen: mcpc exits with 0 where the result says isError, and writes it to standard output like any other. inspector has a code of its own for that, 5.
#
#   inspector 2.12.0: good 0, isError 5, error 1
#   mcporter 0.12.3: good 0, isError 1, error 1
#   mcpc 0.2.6: good 0, isError 0, error 2
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @modelcontextprotocol/inspector@2.12.0 mcporter@0.12.3 @apify/mcpc@0.2.6

cat > run.mjs <<'JS'
import { spawn } from "node:child_process";
import { createServer } from "node:http";

const outcomes = {
  good: { result: { content: [{ type: "text", text: "done" }] } },
  isError: { result: { content: [{ type: "text", text: "went wrong" }], isError: true } },
  error: { error: { code: -32603, message: "went wrong" } },
};
let outcome;
let calls = 0;
const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  if (request.method !== "POST") return response.writeHead(405).end();
  const { id, method } = JSON.parse(body);
  if (id === undefined) return response.writeHead(202).end();
  if (method === "tools/call") calls += 1;
  const answers = {
    initialize: { result: { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: { name: "s", version: "1" } } },
    ping: { result: {} },
    "tools/list": { result: { tools: [{ name: "t", inputSchema: { type: "object", properties: {} } }] } },
    "tools/call": outcome,
  };
  const answer = answers[method] ?? { error: { code: -32601, message: "Method not found" } };
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const url = `http://127.0.0.1:${server.address().port}/mcp`;

const run = (program, ...args) =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [`node_modules/${program}`, ...args], { stdio: "ignore", env: { ...process.env, HOME: process.cwd() } });
    child.once("exit", resolve);
  });
const MCPC = "@apify/mcpc/bin/mcpc";
const clients = {
  "inspector 2.12.0": () =>
    run("@modelcontextprotocol/inspector/clients/launcher/build/index.js", "--cli", url, "--transport", "http", "--method", "tools/call", "--tool-name", "t"),
  "mcporter 0.12.3": () => run("mcporter/dist/cli.js", "call", `${url}.t`, "--allow-http"),
  "mcpc 0.2.6": () => run(MCPC, "@finding", "tools-call", "t"),
};
// mcpc gives its own helper five seconds to start, which is not enough on a busy machine.
for (let tries = 1; (await run(MCPC, "connect", url, "@finding")) !== 0; tries += 1) if (tries === 6) throw new Error("mcpc does not connect");
for (const [name, call] of Object.entries(clients)) {
  const row = [];
  for (const [what, answer] of Object.entries(outcomes)) {
    outcome = answer;
    calls = 0;
    const code = await call();
    row.push(`${what} ${calls === 0 ? "not called, " : ""}${code}`);
  }
  console.log(`${name}: ${row.join(", ")}`);
}
await run(MCPC, "@finding", "close");
process.exit(0);
JS
timeout 90 node run.mjs | tee seen
diff seen - <<'EXPECTED'
inspector 2.12.0: good 0, isError 5, error 1
mcporter 0.12.3: good 0, isError 1, error 1
mcpc 0.2.6: good 0, isError 0, error 2
EXPECTED
