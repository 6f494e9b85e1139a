#!/usr/bin/env bash
# @modelcontextprotocol/ext-tasks 0.2.2 over client 2.4.0 (tasks of 2026-07-28 and of 2025-11-25), and sdk 1.32.2 (tasks of 2025-11-25)
#
# An app waits for a task, and gives up: it aborts the signal that it passed with the call, or closes its session and client, in good order.
# Guessed: giving up a task is told to the server, as giving up a request is: `tasks/cancel`.
# Seen: neither library sends `tasks/cancel` unless the app calls its own method for it. At most the poll that is under way is taken back. SDK 1
# takes back the `tools/call` as well, which was answered with the task long ago (2025-11-25, Cancellation: MUST NOT for a task).
#
#   ext-tasks 0.2.2, 2026-07-28, aborts: tells nothing
#   ext-tasks 0.2.2, 2026-07-28, closes: tells nothing
#   ext-tasks 0.2.2, 2025-11-25, aborts: notifications/cancelled for tasks/get
#   ext-tasks 0.2.2, 2025-11-25, closes: tells nothing
#   sdk 1.32.2, 2025-11-25, aborts: notifications/cancelled for tools/call, notifications/cancelled for tasks/get
#   sdk 1.32.2, 2025-11-25, closes: tells nothing
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @modelcontextprotocol/client@2.4.0 @modelcontextprotocol/ext-tasks@0.2.2 @modelcontextprotocol/sdk@1.32.2 zod@4.3.6

cat > run.mjs <<'JS'
import { createServer } from "node:http";
import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from "@modelcontextprotocol/client";
import { createTaskSessionFromClient } from "@modelcontextprotocol/ext-tasks/client";
import { Client as Client1 } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as Transport1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { CallToolResultSchema } from "@modelcontextprotocol/sdk/types.js";

const TASKS = "io.modelcontextprotocol/tasks";
const info = { name: "finding", version: "1" };
let heard = [];
const asked = new Map();
let polled = () => {};

/** A server with one tool that never ends. */
const server = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  if (request.method !== "POST") return response.writeHead(405).end();
  const { id, method, params } = JSON.parse(body);
  if (id !== undefined) asked.set(id, method);
  const isModern = request.headers["mcp-protocol-version"] === "2026-07-28";
  heard.push(method === "notifications/cancelled" ? `${method} for ${asked.get(params.requestId)}` : method);
  if (method === "tasks/get") polled();
  if (id === undefined) return response.writeHead(202).end();
  const now = new Date().toISOString();
  const task = { taskId: "a", status: "working", createdAt: now, lastUpdatedAt: now };
  const modernTask = { ...task, ttlMs: 600_000, pollIntervalMs: 100 };
  const legacyTask = { ...task, ttl: 600_000, pollInterval: 100 };
  const tool = { name: "t", inputSchema: { type: "object" }, execution: { taskSupport: "required" } };
  const modern = {
    "server/discover": { resultType: "complete", supportedVersions: ["2026-07-28"], ttlMs: 60_000, cacheScope: "private", capabilities: { tools: {}, extensions: { [TASKS]: {} } }, serverInfo: info },
    "tools/list": { resultType: "complete", ttlMs: 60_000, cacheScope: "private", tools: [{ name: "t", inputSchema: { type: "object" } }] },
    "tools/call": { resultType: "task", ...modernTask },
    "tasks/get": { resultType: "complete", ...modernTask },
    "tasks/cancel": { resultType: "complete" },
  };
  const legacy = {
    initialize: { protocolVersion: "2025-11-25", capabilities: { tools: {}, tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } }, serverInfo: info },
    "tools/list": { tools: [tool] },
    "tools/call": { task: legacyTask },
    "tasks/get": legacyTask,
    "tasks/cancel": { ...legacyTask, status: "cancelled" },
  };
  const result = (isModern ? modern : legacy)[method];
  const answer = result === undefined ? { error: { code: -32601, message: "Method not found" } } : { result };
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
}).listen(0, "127.0.0.1");
await new Promise((resolve) => server.once("listening", resolve));
const url = new URL(`http://127.0.0.1:${server.address().port}/mcp`);

/** The session of a client of 2026-07-28 sends requests about tasks on the client's own transport. */
async function extTasks(version) {
  const isModern = version === "2026-07-28";
  const capabilities = isModern ? { extensions: { [TASKS]: {} } } : { tasks: {} };
  const client = new Client2(info, { capabilities, ...(isModern ? { versionNegotiation: { mode: { pin: version } } } : {}) });
  const transport = new Transport2(url);
  await client.connect(transport);
  let lastId = 0;
  const waiting = new Map();
  const toClient = transport.onmessage;
  transport.onmessage = (message) => (waiting.get(message.id) ?? toClient)(message);
  const rawDispatch = (request, { signal } = {}) =>
    new Promise((resolve, reject) => {
      const id = `t${++lastId}`;
      waiting.set(id, ({ result, error }) => resolve(error ? { kind: "error", error } : { kind: "result", result }));
      signal?.addEventListener("abort", () => reject(signal.reason));
      transport.send({ jsonrpc: "2.0", id, ...request }).catch(reject);
    });
  const v2RequestFraming = { protocolVersion: version, clientInfo: info, clientCapabilities: capabilities };
  const session = createTaskSessionFromClient(client, { endpointId: "e", ...(isModern ? { rawDispatch, v2RequestFraming } : {}) });
  return {
    call: async (signal) => (await session.callTool("t", {}, { signal })).settle({ signal }),
    close: async () => {
      await session.close();
      await client.close();
    },
  };
}

async function sdk1() {
  const client = new Client1(info, { capabilities: { tasks: {} } });
  await client.connect(new Transport1(url));
  const call = async (signal) => {
    const stream = client.experimental.tasks.callToolStream({ name: "t", arguments: {} }, CallToolResultSchema, { signal, task: {} });
    for await (const message of stream) if (message.type === "error") throw message.error;
  };
  return { call, close: () => client.close() };
}

const clients = {
  "ext-tasks 0.2.2, 2026-07-28": () => extTasks("2026-07-28"),
  "ext-tasks 0.2.2, 2025-11-25": () => extTasks("2025-11-25"),
  "sdk 1.32.2, 2025-11-25": sdk1,
};
for (const [name, open] of Object.entries(clients)) {
  for (const how of ["aborts", "closes"]) {
    heard = [];
    const twice = new Promise((resolve) => {
      let polls = 0;
      polled = () => ++polls === 2 && resolve();
    });
    const app = await open();
    const left = new AbortController();
    const call = app.call(left.signal).then(() => "a result", (error) => `an error: ${error.message}`);
    await Promise.race([twice, call.then((end) => Promise.reject(new Error(`${name}: ${end}`)))]);
    const before = heard.length;
    if (how === "aborts") {
      left.abort();
      await call;
    }
    await app.close();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const after = [...new Set(heard.slice(before))].filter((method) => method !== "tasks/get");
    console.log(`${name}, ${how}: ${after.join(", ") || "tells nothing"}`);
  }
}
process.exit(0);
JS
timeout 90 node run.mjs | tee seen
diff seen - <<'EXPECTED'
ext-tasks 0.2.2, 2026-07-28, aborts: tells nothing
ext-tasks 0.2.2, 2026-07-28, closes: tells nothing
ext-tasks 0.2.2, 2025-11-25, aborts: notifications/cancelled for tasks/get
ext-tasks 0.2.2, 2025-11-25, closes: tells nothing
sdk 1.32.2, 2025-11-25, aborts: notifications/cancelled for tools/call, notifications/cancelled for tasks/get
sdk 1.32.2, 2025-11-25, closes: tells nothing
EXPECTED
