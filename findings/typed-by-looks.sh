#!/usr/bin/env bash
# @modelcontextprotocol/inspector 2.12.0 (--cli), mcporter 0.12.3 and @apify/mcpc 0.2.6
#
# A tool has one parameter, and its input schema says that it is a string: an account number, a version, a flag's name. Each client gets the value
# on its command line, and all three can see the schema in `tools/list`.
# Guessed: what goes to the server is the string that was written.
# Seen: inspector and mcpc read the value as JSON whatever the schema says, so that an account number loses its last digits and "1.0" is 1. mcporter keeps
# numbers as they were written, and makes booleans and lists of what looks like them.
#
#   inspector 2.12.0: 1.0 1; 12345678901234567890 12345678901234567000; true true; [1] [1]
#   mcporter 0.12.3: 1.0 "1.0"; 12345678901234567890 "12345678901234567890"; true true; [1] [1]
#   mcpc 0.2.6: 1.0 1; 12345678901234567890 12345678901234567000; true true; [1] [1]
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @modelcontextprotocol/inspector@2.12.0 mcporter@0.12.3 @apify/mcpc@0.2.6

cat > run.mjs <<'JS'
import { spawn } from "node:child_process";
import { createServer } from "node:http";

const values = ["1.0", "12345678901234567890", "true", "[1]"];
let got;
const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  if (request.method !== "POST") return response.writeHead(405).end();
  const { id, method, params } = JSON.parse(body);
  if (id === undefined) return response.writeHead(202).end();
  if (method === "tools/call") got = params.arguments?.account;
  const results = {
    initialize: { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: { name: "s", version: "1" } },
    ping: {},
    "tools/list": { tools: [{ name: "t", inputSchema: { type: "object", properties: { account: { type: "string" } }, required: ["account"] } }] },
    "tools/call": { content: [{ type: "text", text: "done" }] },
  };
  const answer = method in results ? { result: results[method] } : { error: { code: -32601, message: "Method not found" } };
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const url = `http://127.0.0.1:${server.address().port}/mcp`;

const run = (...args) =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, args.map((arg, index) => (index === 0 ? `node_modules/${arg}` : arg)), { stdio: "ignore", env: { ...process.env, HOME: process.cwd() } });
    child.once("exit", resolve);
  });
const MCPC = "@apify/mcpc/bin/mcpc";
const clients = {
  "inspector 2.12.0": (value) =>
    run("@modelcontextprotocol/inspector/clients/launcher/build/index.js", "--cli", url, "--transport", "http", "--method", "tools/call", "--tool-name", "t", "--tool-arg", `account=${value}`),
  "mcporter 0.12.3": (value) => run("mcporter/dist/cli.js", "call", `${url}.t`, "--allow-http", `account=${value}`),
  "mcpc 0.2.6": (value) => run(MCPC, "@finding", "tools-call", "t", `account:=${value}`),
};
// mcpc gives its own helper five seconds to start, which is not enough on a busy machine.
for (let tries = 1; (await run(MCPC, "connect", url, "@finding")) !== 0; tries += 1) if (tries === 6) throw new Error("mcpc does not connect");
for (const [name, call] of Object.entries(clients)) {
  const row = [];
  for (const value of values) {
    got = undefined;
    await call(value);
    row.push(`${value} ${JSON.stringify(got) ?? "not sent"}`);
  }
  console.log(`${name}: ${row.join("; ")}`);
}
await run(MCPC, "@finding", "close");
process.exit(0);
JS
timeout 120 node run.mjs | tee seen
diff seen - <<'EXPECTED'
inspector 2.12.0: 1.0 1; 12345678901234567890 12345678901234567000; true true; [1] [1]
mcporter 0.12.3: 1.0 "1.0"; 12345678901234567890 "12345678901234567890"; true true; [1] [1]
mcpc 0.2.6: 1.0 1; 12345678901234567890 12345678901234567000; true true; [1] [1]
EXPECTED
