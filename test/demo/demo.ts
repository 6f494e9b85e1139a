/**
 * Shows the gateway at work: a real server from npm that has never heard of tasks, the gateway, the official client.
 * Exits with 0 only if everything happened that is printed. `--keep` leaves the server and the gateway running.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { printConnections } from "./connections.ts";
import { freePort, GATEWAY_COMMAND, Programs } from "./programs.ts";
import { Story } from "./story.ts";
import { connect } from "./task-session.ts";

const DEADLINE_MS = 60_000;
const SECONDS = 5;
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
  const { url } = await start();
  await tell(url);
  clearTimeout(deadline);
  console.log("\nEverything happened as it should.");
  console.log("Next, in front of a server of yours: node dist/cli.js http://localhost:3001/mcp");
  if (keep) printConnections(url, folder);
  else await finish(0);
} catch (error) {
  fail(error);
}

/** Starts the server and the gateway in front of it; says how. */
async function start(): Promise<{ url: string }> {
  const { name, version } = JSON.parse(readFileSync(join(SERVER_FOLDER, "package.json"), "utf8"));
  const port = await freePort();
  await programs.start("the server", [join(SERVER_FOLDER, "dist/streamableHttp.js")], {
    ready: /listening on port/,
    env: { PORT: String(port) },
  });
  const upstream = `http://127.0.0.1:${port}/mcp`;
  console.log(`The server   ${name} ${version}, as it is on npm: ${upstream}`);

  const store = `level:${join(folder, "data")}`;
  // It asks at once. By default a client gets such a question with the answer to its call, and not in a task.
  const options = [
    "--upstream",
    upstream,
    "--port",
    "0",
    "--store",
    store,
    "--tool",
    "startElicitation=always",
  ];
  const gateway = await programs.start("the gateway", [GATEWAY_COMMAND, ...options], {
    ready: /(http:\S+) → .*\n/,
  });
  console.log(`The gateway  mcp-taskgate ${options.join(" ")}`);
  console.log(`             ${gateway.ready[0].trim().replaceAll(/\s+/g, " ")}`);
  return { url: gateway.ready[1] ?? "" };
}

async function tell(url: string): Promise<void> {
  const story = new Story();
  const client = await connect(url, story.answer);
  assert.equal(client.era, "modern", "the gateway was expected to speak 2026-07-28");
  assert.ok(client.serverHasTasks, "the gateway was expected to have the Tasks extension");
  console.log("The client   @modelcontextprotocol/client and ext-tasks, speaking 2026-07-28\n");

  console.log(
    `A tool that takes ${SECONDS} s: longRunningOperation (a task, since it takes longer than 250 ms)`,
  );
  await story.longRunningTool(client.tasks, SECONDS);
  console.log(
    "\nA tool that asks its user: startElicitation (always a task: --tool startElicitation=always)",
  );
  await story.askingTool(client.tasks);
  await client.close();
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
