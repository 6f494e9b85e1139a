#!/usr/bin/env bash
# @modelcontextprotocol/client 2.4.0 and ext-tasks 0.2.2, protocol revision 2026-07-28
#
# A tool asks its user 12 questions, one after the other, as a set-up wizard does.
# Guessed: the client answers each, whichever way it is asked.
# Seen: asked by `input_required` results (MRTR), the client answers ten and ends the call with an error at the eleventh
# (`inputRequired.maxRounds`, 10 by default). Asked by a task's `inputRequests`, the same client with ext-tasks answers all 12.
#
#   rounds: 10 answered, Multi-round-trip request 'tools/call' still required input after 10 rounds (inputRequired.maxRounds)
#   task: 12 answered, completed
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @modelcontextprotocol/client@2.4.0 @modelcontextprotocol/ext-tasks@0.2.2

cat > run.mjs <<'JS'
import { createServer } from "node:http";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { createTaskSessionFromClient } from "@modelcontextprotocol/ext-tasks/client";

const QUESTIONS = 12;
const VERSION = "2026-07-28";
const TASKS = "io.modelcontextprotocol/tasks";
const info = { name: "finding", version: "1" };
const capabilities = { elicitation: { form: {} }, extensions: { [TASKS]: {} } };
const question = (number) => ({
  [`q${number}`]: { method: "elicitation/create", params: { mode: "form", message: `Question ${number}?`, requestedSchema: { type: "object", properties: {} } } },
});
let answered = 0;

const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  const { id, method, params } = JSON.parse(body);
  const say = (result) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, result: { resultType: "complete", ...result } }));
  };
  const content = [{ type: "text", text: "done" }];
  const task = { taskId: "task-1", status: "working", createdAt: "2026-11-29T12:00:00Z", lastUpdatedAt: "2026-11-29T12:00:00Z", ttlMs: 60_000, pollIntervalMs: 50 };
  if (method === "server/discover")
    return say({ supportedVersions: [VERSION], capabilities: { tools: {}, extensions: { [TASKS]: {} } }, serverInfo: info, ttlMs: 0, cacheScope: "private" });
  if (method === "tools/list")
    return say({ tools: ["rounds", "task"].map((name) => ({ name, inputSchema: { type: "object" } })), ttlMs: 0, cacheScope: "private" });
  if (method === "tools/call" && params.name === "task") return say({ ...task, resultType: "task" });
  if (method === "tools/call") {
    if (params.inputResponses !== undefined) answered += 1;
    if (answered === QUESTIONS) return say({ content });
    return say({ resultType: "input_required", requestState: `after ${answered}`, inputRequests: question(answered + 1) });
  }
  if (method === "tasks/update") {
    answered += 1;
    return say({});
  }
  if (answered === QUESTIONS) return say({ ...task, status: "completed", result: { resultType: "complete", content } });
  say({ ...task, status: "input_required", inputRequests: question(answered + 1) });
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));

const transport = new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${server.address().port}/mcp`));
const client = new Client(info, { capabilities, versionNegotiation: { mode: { pin: VERSION } } });
const accept = async () => ({ action: "accept", content: {} });
client.setRequestHandler("elicitation/create", accept);
await client.connect(transport);
const how = await client.callTool({ name: "rounds", arguments: {} }).then(() => "completed", (error) => error.message);
console.log(`rounds: ${answered} answered, ${how}`);

answered = 0;
// The client takes no results of the type `task`, so what has to do with tasks goes round it, on its own transport.
const waiting = new Map();
const toClient = transport.onmessage;
transport.onmessage = (message) => {
  const settle = waiting.get(message.id);
  if (settle === undefined) return toClient(message);
  settle(message.error === undefined ? { kind: "result", result: message.result } : { kind: "error", error: message.error });
};
let last = 0;
const rawDispatch = ({ method, params }) =>
  new Promise((resolve, reject) => {
    const id = `raw-${++last}`;
    waiting.set(id, resolve);
    transport.send({ jsonrpc: "2.0", id, method, params }, { headers: { "Mcp-Method": method } }).catch(reject);
  });
const session = createTaskSessionFromClient(client, {
  endpointId: "finding",
  onInputRequest: accept,
  rawDispatch,
  v2RequestFraming: { protocolVersion: VERSION, clientInfo: info, clientCapabilities: capabilities },
});
const execution = await session.callTool("task", {});
const { outcome } = await execution.settle();
console.log(`task: ${answered} answered, ${outcome.status}`);
process.exit(0);
JS
timeout 60 node run.mjs | tee seen
diff seen - <<'EXPECTED'
rounds: 10 answered, Multi-round-trip request 'tools/call' still required input after 10 rounds (inputRequired.maxRounds)
task: 12 answered, completed
EXPECTED
