#!/usr/bin/env bash
# @modelcontextprotocol/client 2.4.0 and ext-tasks 0.2.2, protocol revision 2026-07-28
#
# A task asks two questions at one time: the first takes the app's handler two seconds, the second none. Then a task has one question, for which the
# handler throws, as it does when the model behind `sampling` has a fault.
# Guessed: each answer is sent when it is there; a handler that throws ends the wait, or cancels what was asked.
# Seen: the second question is asked once the first is answered, and both answers are sent together. A handler that throws is a `cancel` for an
# elicitation. For sampling and roots nothing is sent: the app is asked again with every poll, without end; the errors are only printed.
#
#   two at one time: asked slow, asked quick, sent slow and quick together
#   the handler throws for elicitation: asked once, sent cancel; the task completed
#   the handler throws for sampling: asked again and again, nothing sent; the wait goes on
#   the handler throws for roots: asked again and again, nothing sent; the wait goes on
set -euo pipefail
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT && cd "$dir"
echo '{"type":"module"}' > package.json
npm install --silent --no-audit --no-fund --ignore-scripts @modelcontextprotocol/client@2.4.0 @modelcontextprotocol/ext-tasks@0.2.2

cat > run.mjs <<'JS'
import { createServer } from "node:http";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { createTaskSessionFromClient } from "@modelcontextprotocol/ext-tasks/client";

const VERSION = "2026-07-28";
const TASKS = "io.modelcontextprotocol/tasks";
const info = { name: "finding", version: "1" };
const capabilities = { elicitation: { form: {} }, sampling: {}, roots: {}, extensions: { [TASKS]: {} } };
const elicitation = (message) => ({ method: "elicitation/create", params: { mode: "form", message, requestedSchema: { type: "object", properties: {} } } });
const sampling = { method: "sampling/createMessage", params: { messages: [{ role: "user", content: { type: "text", text: "?" } }], maxTokens: 5 } };

/** Runs one task with these questions, with a server and a client of its own. `enough`: how often the app is asked before nobody waits any longer. */
async function run(questions, onInputRequest, enough = Number.POSITIVE_INFINITY) {
  const sent = [];
  const asked = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const { id, method, params } = JSON.parse(body);
    const say = (result) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ jsonrpc: "2.0", id, result: { resultType: "complete", ...result } }));
    };
    const task = { taskId: "task-1", status: "working", createdAt: "2026-11-29T12:00:00Z", lastUpdatedAt: "2026-11-29T12:00:00Z", ttlMs: 60_000, pollIntervalMs: 50 };
    if (method === "server/discover")
      return say({ supportedVersions: [VERSION], capabilities: { tools: {}, extensions: { [TASKS]: {} } }, serverInfo: info, ttlMs: 0, cacheScope: "private" });
    if (method === "tools/list") return say({ tools: [{ name: "t", inputSchema: { type: "object" } }], ttlMs: 0, cacheScope: "private" });
    if (method === "tools/call") return say({ ...task, resultType: "task" });
    if (method === "tasks/update") {
      sent.push(params.inputResponses);
      for (const key of Object.keys(params.inputResponses)) delete questions[key];
      return say({});
    }
    if (Object.keys(questions).length > 0) return say({ ...task, status: "input_required", inputRequests: questions });
    say({ ...task, status: "completed", result: { resultType: "complete", content: [{ type: "text", text: "done" }] } });
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));

  const transport = new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${server.address().port}/mcp`));
  const client = new Client(info, { capabilities, versionNegotiation: { mode: { pin: VERSION } } });
  await client.connect(transport);
  // The client takes no results of the type `task`, so what has to do with tasks goes round it, on its own transport.
  const waiting = new Map();
  const toClient = transport.onmessage;
  transport.onmessage = (message) => {
    const settle = waiting.get(message.id);
    if (settle === undefined) return toClient(message);
    settle(message.error === undefined ? { kind: "result", result: message.result } : { kind: "error", error: message.error });
  };
  const rawDispatch = ({ method, params }) =>
    new Promise((resolve, reject) => {
      const id = `raw-${waiting.size}`;
      waiting.set(id, resolve);
      transport.send({ jsonrpc: "2.0", id, method, params }, { headers: { "Mcp-Method": method } }).catch(reject);
    });
  let stop;
  const stopped = new Promise((resolve) => (stop = resolve));
  const session = createTaskSessionFromClient(client, {
    endpointId: "finding",
    onInputRequest: async (request) => {
      asked.push(request.params?.message ?? request.kind);
      if (asked.length >= enough) stop("the wait goes on");
      return onInputRequest(request);
    },
    rawDispatch,
    v2RequestFraming: { protocolVersion: VERSION, clientInfo: info, clientCapabilities: capabilities },
  });
  const execution = await session.callTool("t", {});
  const end = await Promise.race([execution.settle().then(({ outcome }) => `the task ${outcome.status}`), stopped]);
  server.close();
  server.closeAllConnections();
  return { asked: [...asked], sent: [...sent], end };
}

const both = await run({ slow: elicitation("slow"), quick: elicitation("quick") }, async ({ params }) => {
  if (params.message === "slow") await new Promise((resolve) => setTimeout(resolve, 2_000));
  return { action: "accept", content: {} };
});
const updates = both.sent.map((answers) => `sent ${Object.keys(answers).join(" and ")}${Object.keys(answers).length > 1 ? " together" : ""}`);
console.log(`two at one time: ${[...both.asked.map((name) => `asked ${name}`), ...updates].join(", ")}`);

for (const [kind, question] of Object.entries({ elicitation: elicitation("?"), sampling, roots: { method: "roots/list", params: {} } })) {
  const { asked, sent: answers, end } = await run({ key: question }, async () => { throw new Error("nobody there"); }, 20);
  console.log(
    `the handler throws for ${kind}: asked ${asked.length === 1 ? "once" : asked.length >= 20 ? "again and again" : `${asked.length} times`}, ` +
      `${answers.map(({ key }) => `sent ${key.action ?? JSON.stringify(key)}`).join(", ") || "nothing sent"}; ${end}`,
  );
}
process.exit(0);
JS
timeout 60 node run.mjs 2> log | tee seen
diff seen - <<'EXPECTED'
two at one time: asked slow, asked quick, sent slow and quick together
the handler throws for elicitation: asked once, sent cancel; the task completed
the handler throws for sampling: asked again and again, nothing sent; the wait goes on
the handler throws for roots: asked again and again, nothing sent; the wait goes on
EXPECTED
