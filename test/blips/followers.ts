/** The stock clients that follow a task by themselves: each calls the tool `work` and gives the text of its result. */

import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client as Client2, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import {
  createTaskSessionFromClient,
  resultFromTaskOutcome,
  type TaskEnabledSession,
  type ToolDeclaration,
} from "@modelcontextprotocol/ext-tasks/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport as StreamableHTTP } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { connect } from "../demo/task-session.ts";
import { inspector, mcpRemote, node24 } from "../peers/peers.ts";
import type { Json } from "../support/modern-client.ts";

/** One connected client; it is closed when its result is there, or will never be. */
export interface Follower {
  /** Rejects with what the client says of a call that it has given up. */
  follow(args: Readonly<Record<string, string | number>>): Promise<string>;
  close(): Promise<void>;
}

const TOOL = "work";
/** Of 2025-11-25, where the client says which calls become tasks, by what the list of tools has about them. */
const DECLARATION: ToolDeclaration = { name: TOOL, inputSchema: { type: "object" }, taskSupport: "optional" };
const INFO = { name: "blips", version: "1.0.0" };
/** Longer than any blip, and than the time that stock clients wait for one answer. */
const TTL_MS = 600_000;
/** Programs end by themselves; this is for one that hangs. */
const PROGRAM_MS = 300_000;
const MCPC_TRIES = 10;
/** Installed by `blips.ts` alone. */
const MCPC = join(import.meta.dirname, "node_modules/@apify/mcpc/bin/mcpc");

/** By name, how a client is connected to a gateway's route; those first that take longest until they have called. */
export const FOLLOWERS = {
  "inspector 2.12.0": async (url) => {
    const home = await mkdtemp(join(tmpdir(), "blips-inspector-"));
    const options = ["--transport", "http", "--protocol-era", "modern", "--format", "json"];
    const call = ["--method", "tools/call", "--tool-name", TOOL, "--tool-args-json"];
    return {
      follow: async (args) => {
        const script = [inspector(), "--cli", url.href, ...options, ...call, JSON.stringify(args)];
        return textOf((await printed(node24(), script, home)).result);
      },
      close: () => rm(home, { recursive: true, force: true }),
    };
  },
  "mcpc 0.2.6": async (url) => {
    const home = await mkdtemp(join(tmpdir(), "blips-mcpc-"));
    const run = (...args: readonly string[]) => printed(process.execPath, [MCPC, ...args, "--json"], home);
    await connected(() => run("connect", url.href, "@blips", "--no-profile"));
    return {
      follow: async (args) => textOf(await run("@blips", "tools-call", TOOL, JSON.stringify(args), "--task")),
      close: async () => {
        await run("close", "@blips");
        await rm(home, { recursive: true, force: true });
      },
    };
  },
  "ext-tasks 0.2.2, 2026-07-28": async (url) => {
    const { tasks, close } = await connect(url.href, () => Promise.reject(new Error("nobody was to ask")));
    return ofSession(tasks, close);
  },
  "ext-tasks 0.2.2, 2025-11-25": async (url) => {
    const client = new Client2(INFO);
    await client.connect(new StreamableHTTPClientTransport(url));
    const tasks = createTaskSessionFromClient(client, { endpointId: url.href });
    return ofSession(tasks, async () => {
      await tasks.close();
      await client.close();
    });
  },
  "sdk 1.32.2 callToolStream": async (url) => ofSdk1(new StreamableHTTP(url) as Transport, async () => {}),
  "mcp-remote 0.15.1, sdk 1.32.2": async (url) => {
    const home = await mkdtemp(join(tmpdir(), "blips-mcp-remote-"));
    const transport = new StdioClientTransport({
      command: process.execPath,
      args: [mcpRemote(), url.href, "--allow-http", "--transport", "http-only"],
      env: { HOME: home, USERPROFILE: home, MCP_REMOTE_CONFIG_DIR: home },
      stderr: "ignore",
    });
    return ofSdk1(transport, () => rm(home, { recursive: true, force: true }));
  },
} as const satisfies Readonly<Record<string, (url: URL) => Promise<Follower>>>;

export type FollowerName = keyof typeof FOLLOWERS;

export const FOLLOWER_NAMES = Object.keys(FOLLOWERS) as readonly FollowerName[];

function ofSession(tasks: TaskEnabledSession, close: () => Promise<void>): Follower {
  return {
    follow: async (args) => {
      const execution = await tasks.callTool(TOOL, args, {
        declaration: DECLARATION,
        task: { preference: "require" },
      });
      return textOf(resultFromTaskOutcome((await execution.settle()).outcome));
    },
    close,
  };
}

async function ofSdk1(transport: Transport, cleanUp: () => Promise<void>): Promise<Follower> {
  const client = new Client(INFO);
  await client.connect(transport);
  return {
    follow: async (args) => {
      const call = { name: TOOL, arguments: { ...args } };
      const options = { task: { ttl: TTL_MS } };
      for await (const message of client.experimental.tasks.callToolStream(call, undefined, options)) {
        if (message.type === "result") return textOf(message.result);
        if (message.type === "error") throw message.error;
      }
      throw new Error("the stream of the call ended without a result");
    },
    close: async () => {
      await client.close();
      await cleanUp();
    },
  };
}

/** Its bridge has five seconds to start, which a busy machine may need for itself. */
async function connected(connect: () => Promise<unknown>): Promise<void> {
  for (let left = MCPC_TRIES; ; left -= 1) {
    try {
      return void (await connect());
    } catch (error) {
      if (left === 1 || !/Bridge failed to start/.test(String(error))) throw error;
    }
  }
}

/** What a program with a home of its own prints, as JSON. Rejects with what it says of a failure. */
async function printed(program: string, args: readonly string[], home: string): Promise<Json> {
  const env = { ...process.env, HOME: home, USERPROFILE: home, MCPC_HOME_DIR: home };
  const { stdout } = await promisify(execFile)(program, [...args], { timeout: PROGRAM_MS, env });
  return JSON.parse(stdout);
}

function textOf(result: unknown): string {
  const { text } = (result as Json).content?.[0] ?? {};
  if (typeof text !== "string") throw new Error(`there is no text in ${JSON.stringify(result)}`);
  return text;
}
