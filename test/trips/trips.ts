/**
 * How many files of `src` a reader passes who follows a request from its socket to the server and back: `npm run trips`. With `--files`
 * it names them. Which of them tell the story of a quick call is said in `src/README.md`.
 */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Config } from "../../src/config/config.ts";
import { readConfig } from "../../src/config/load.ts";
import { type Gateway, startGateway } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { GATEWAY_COMMAND, Programs } from "../demo/programs.ts";
import { type Json, ModernClient, read } from "../support/modern-client.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { Coverage } from "./coverage.ts";

const LOG = createLog("silent");
/** Long enough for a call to have become a task. */
const SLOW_MS = 600;
const POLL_MS = 100;

const server = await startScriptedServer(
  {
    "tools/call": async (call) => {
      if (call.message.params?.name === "stuck") return;
      if (call.message.params?.name === "slow") await pause(SLOW_MS);
      call.text("done");
    },
  },
  { protocolVersion: "2025-11-25" },
);
const folder = await mkdtemp(join(tmpdir(), "taskgate-trips-"));
const coverage = await Coverage.begin();
try {
  const gateway = await startGateway(readConfig(configOf("memory:"), {}).config, { log: LOG });
  const quick = quickCall(gateway);
  const asTask = taskAndPoll(gateway);
  const legacy = await legacyTask(gateway);
  // The first time sessions are opened, and what is learned about the server is kept.
  for (const trip of [quick, asTask, legacy]) await trip();
  print("quick call of 2026-07-28", await coverage.always(quick));
  print("task of 2026-07-28, polled to its end", await coverage.always(asTask));
  print("task of 2025-11-25, polled to its end", await coverage.always(legacy));
  await gateway.close();
  const store = `level:${join(folder, "tasks")}`;
  const config = readConfig(configOf(store), {}).config;
  const taskId = await leftBehind(store);
  const files = await coverage.once(() => orphan(config, taskId));
  print("orphan, from the start of the gateway that finds it", files);
} finally {
  coverage.end();
  await server.close();
  await rm(folder, { recursive: true });
}

function configOf(store: string) {
  return {
    listen: { port: 0 },
    store: { url: store },
    log: { level: "warn" },
    limits: { drainTimeout: "0ms" },
    servers: {
      trips: {
        upstream: { url: server.url.href, transport: "streamable-http" },
        tasks: { waitFor: `${SLOW_MS / 2}ms`, pollInterval: `${POLL_MS}ms` },
      },
    },
  };
}

function clientOf({ routes: [route] }: Gateway): ModernClient {
  return new ModernClient(new URL(route?.url ?? ""));
}

function quickCall(gateway: Gateway): () => Promise<unknown> {
  const client = clientOf(gateway);
  return async () => {
    const { content } = await client.callTool("quick");
    if (content === undefined) throw new Error("the call was not answered within its window");
  };
}

function taskAndPoll(gateway: Gateway): () => Promise<unknown> {
  const client = clientOf(gateway);
  return async () => {
    const { taskId } = await client.callTool("slow");
    await client.settled(taskId);
  };
}

/** In a session that is open already. */
async function legacyTask(gateway: Gateway): Promise<() => Promise<unknown>> {
  const client = clientOf(gateway);
  let session: string | undefined;
  const ask = async (method: string, params: JsonObject): Promise<Json> => {
    const answer = await read(
      await client.post(JSON.stringify({ jsonrpc: "2.0", id: method, method, params }), {
        "mcp-protocol-version": "2025-11-25",
        "mcp-session-id": session,
      }),
    );
    session = answer.headers["mcp-session-id"]?.toString() ?? session;
    if (answer.message?.result === undefined) throw new Error(`${method} gave no result: ${answer.text}`);
    return answer.message.result;
  };
  await ask("initialize", {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "trips", version: "0" },
  });
  return async () => {
    const { task } = await ask("tools/call", { name: "slow", arguments: {}, task: {} });
    for (let status = task.status; status === "working"; await pause(POLL_MS))
      ({ status } = await ask("tasks/get", { taskId: task.taskId }));
    await ask("tasks/result", { taskId: task.taskId });
  };
}

/** A task whose gateway has been killed. */
async function leftBehind(store: string): Promise<string> {
  const file = join(folder, "config.json");
  await writeFile(file, JSON.stringify(configOf(store)));
  const programs = new Programs();
  const ready = /(http:\S+) →/;
  const program = await programs.start("the gateway", [GATEWAY_COMMAND, "--config", file], { ready });
  const { taskId } = await new ModernClient(new URL(program.ready[1] ?? "")).callTool("stuck");
  await program.stop("SIGKILL");
  return taskId;
}

async function orphan(config: Config, taskId: string): Promise<void> {
  const gateway = await startGateway(config, { log: LOG });
  await clientOf(gateway).settled(taskId);
  await gateway.close();
}

function print(trip: string, files: readonly string[]): void {
  console.log(`${String(files.length).padStart(3)} files  ${trip}`);
  if (process.argv.includes("--files")) for (const file of files) console.log(`             ${file}`);
}
