/**
 * Shows the gateway at work: a real server from npm that has never heard of tasks, the gateway, the official client.
 * Exits with 0 only if everything happened that is printed. `--keep` leaves the server and the gateway running.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { printConnections } from "./connections.ts";
import { heading, say } from "./page.ts";
import { freePort, GATEWAY_COMMAND, type Program, Programs } from "./programs.ts";
import { type Receiver, startReceiver } from "./receiver.ts";
import { Story } from "./story.ts";
import { connect } from "./task-session.ts";

const DEADLINE_MS = 120_000;
const SECONDS = 5;
/** Real clients wait for 60 s; nobody wants to watch that. */
const TIMEOUT_MS = 2_000;
const SERVER_FOLDER = resolve(
  import.meta.dirname,
  "../../node_modules/@modelcontextprotocol/server-everything",
);

const { keep } = parseArgs({ options: { keep: { type: "boolean", default: false } } }).values;
const programs = new Programs();
const folder = await mkdtemp(join(tmpdir(), "taskgate-demo-"));
process.once("SIGINT", () => void finish(130)).once("SIGTERM", () => void finish(143));

const deadline = setTimeout(
  () => fail(new Error(`was expected to be over within ${DEADLINE_MS / 1_000} s`)),
  DEADLINE_MS,
);
try {
  const upstream = await startServer();
  const receiver = await startReceiver();
  const gateway = await configured(upstream, receiver);
  await gateway.start();
  await tell(upstream, gateway, receiver);
  clearTimeout(deadline);
  conclude();
  if (keep) printConnections(gateway.url, folder);
  else await finish(0);
} catch (error) {
  fail(error);
}

/** Starts the server, and gives its address. */
async function startServer(): Promise<string> {
  const { name, version } = JSON.parse(readFileSync(join(SERVER_FOLDER, "package.json"), "utf8"));
  const port = await freePort();
  await programs.start("the server", [join(SERVER_FOLDER, "dist/streamableHttp.js")], {
    ready: /listening on port/,
    env: { PORT: String(port) },
  });
  const upstream = `http://127.0.0.1:${port}/mcp`;
  say(`The server   ${name} ${version}, as it is on npm: ${upstream}`, 13);
  return upstream;
}

interface DemoGateway {
  readonly url: string;
  start(): Promise<void>;
  /** As `kill -9` does; then starts it again. */
  killAndStart(): Promise<void>;
}

/** The gateway with a file of its own in front of the server. */
async function configured(upstream: string, receiver: Receiver): Promise<DemoGateway> {
  const port = await freePort();
  const file = join(folder, "taskgate.yaml");
  // The elicitation comes at once: by default a client gets such a question with the answer to its call, and not in a task.
  const text = `listen: { port: ${port} }
store: { url: "level:${join(folder, "data")}" }
servers:
  everything:
    upstream: { url: "${upstream}" }
    tasks: { fallback: tools, fallbackAfter: 1s }
    tools: [{ match: startElicitation, mode: always }]
webhooks:
  agent: { url: "${receiver.url}", secret: "${receiver.secret}" }
`;
  await writeFile(file, text);
  say("The gateway  mcp-taskgate taskgate.yaml, which says:", 13);
  for (const line of text.trimEnd().split("\n"))
    say(`             ${line.replace(`${folder}/`, "").replace(receiver.secret, "whsec_…")}`, 13);
  let running: Program | undefined;
  const start = async () => {
    running = await programs.start("the gateway", [GATEWAY_COMMAND, file], { ready: /(http:\S+) → .*\n/ });
  };
  return {
    url: `http://127.0.0.1:${port}/everything/mcp`,
    start,
    killAndStart: async () => {
      await running?.stop("SIGKILL");
      await start();
    },
  };
}

async function tell(upstream: string, gateway: DemoGateway, receiver: Receiver): Promise<void> {
  const story = new Story();
  const { url } = gateway;
  const timeout = `a time-out of ${TIMEOUT_MS / 1_000} s`;
  heading(`Before: a client with ${timeout} calls a tool of ${SECONDS} s at the server`);
  await story.lostCall(upstream, SECONDS, TIMEOUT_MS);

  heading("After: the same tool through the gateway, by a client that knows tasks");
  const client = await connect(url, story.answer);
  assert.equal(client.era, "modern", "the gateway was expected to speak 2026-07-28");
  assert.ok(client.serverHasTasks, "the gateway was expected to have the Tasks extension");
  await story.longRunningTool(client.tasks, SECONDS);

  heading("The gateway is killed in the middle");
  await story.survivor(url, SECONDS, gateway.killAndStart);
  await client.close();

  heading("A tool that asks its user: startElicitation");
  const asker = await connect(url, story.answer);
  await story.askingTool(asker.tasks);
  await asker.close();

  heading(`A client that knows no tasks, with ${timeout}, and the model behind it`);
  await story.plainCall(url, SECONDS, TIMEOUT_MS);

  heading("Meanwhile a webhook was told, signed, of each of these tasks");
  for (const event of [
    "task.completed: longRunningOperation is completed",
    "task.completed: longRunningOperation is completed",
    "task.input_required: startElicitation is input_required",
    "task.completed: startElicitation is completed",
    "task.completed: longRunningOperation is completed",
  ]) {
    assert.equal(await receiver.told(), event);
    say(`  ${event}`, 2);
  }
}

function conclude(): void {
  heading("What you have seen");
  say("  a call that its client gives up at the server, and gets through the gateway", 2);
  say("  a task that outlived a kill -9 of its gateway", 2);
  say("  a question of the server, answered in the middle of a task", 2);
  say("  a long result for a client that knows no tasks", 2);
  say("  a receiver that need not poll, because it is told", 2);
  heading("What to do next");
  say("  node dist/cli.js http://localhost:3001/mcp            before a server of yours");
  say("  node dist/cli.js inspect http://localhost:3001/mcp    what that server is");
  say("  node dist/cli.js call URL TOOL --args '{}'            a call by hand");
  say("  node dist/cli.js wrap --client NAME                   before those of a client");
}

function fail(error: unknown): void {
  console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
  void finish(1);
}

async function finish(exitCode: number): Promise<void> {
  process.exitCode = exitCode;
  await programs.stop();
  if (!keep) await rm(folder, { recursive: true, force: true });
  process.exit();
}
