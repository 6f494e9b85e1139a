/**
 * Clients as they are published, each as its documentation says, with a model behind it that does what the results of tools say.
 *
 *   node drivers.mjs NAME URL MS     prints {"result":true,"seconds":75} or {"lost":"why","seconds":60} on its last line
 */

import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

const INFO = { name: "clients", version: "1.0.0" };
const MAX_PRINTED_BYTES = 10_000_000;
/** How often the model goes on asking for one result. */
const MAX_TURNS = 50;
const MAX_WORDS = 200;

/** By name and version, how a client connects; what that gives calls a tool and gives the text of its result. */
export const DRIVERS = {
  "@modelcontextprotocol/client 2.4.0": async (url) => {
    const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
    const client = new Client(INFO);
    await client.connect(new StreamableHTTPClientTransport(url));
    await client.listTools();
    return async (name, args) => textOf(await client.callTool({ name, arguments: args }));
  },
  "@modelcontextprotocol/sdk 1.32.2": (url) => sdk1(url),
  "the same, `resetTimeoutOnProgress`": (url) =>
    sdk1(url, { onprogress: () => {}, resetTimeoutOnProgress: true }),
  "ext-tasks 0.2.2 over client 2.4.0": (url) => extTasks(url),
  'the same, `preference: "prefer"`': (url) => extTasks(url, { task: { preference: "prefer" } }),
  "@mastra/mcp 2.0.0": async (url) => {
    const { MCPClient } = await import("@mastra/mcp");
    const tools = await new MCPClient({ servers: { s: { url } } }).listTools();
    return async (name, args) => textOf(await tools[`s_${name}`].execute(args, {}));
  },
  "@openai/agents 0.20.0": async (url) => {
    const { MCPServerStreamableHttp } = await import("@openai/agents");
    const server = new MCPServerStreamableHttp({ url: url.href, name: "s" });
    await server.connect();
    await server.listTools();
    return async (name, args) => textOf(await server.callTool(name, args));
  },
  "@langchain/mcp-adapters 1.1.4": async (url) => {
    const { MultiServerMCPClient } = await import("@langchain/mcp-adapters");
    const client = new MultiServerMCPClient({ mcpServers: { s: { transport: "http", url: url.href } } });
    const tools = await client.getTools();
    return async (name, args) => textOf(await tools.find((tool) => tool.name === name).invoke(args));
  },
  "@ai-sdk/mcp 2.0.99": async (url) => {
    const { createMCPClient } = await import("@ai-sdk/mcp");
    const tools = await (await createMCPClient({ transport: { type: "http", url: url.href } })).tools();
    return async (name, args) => textOf(await tools[name].execute(args, { toolCallId: "1", messages: [] }));
  },
  "mcporter 0.12.3, a process a call": async (url) => async (name, args) => {
    const script = join(import.meta.dirname, "node_modules/mcporter/dist/cli.js");
    const server = ["--http-url", url.href, "--allow-http", "--name", "s"];
    const tool = ["--tool", name, "--args", JSON.stringify(args), "--output", "text"];
    const options = { maxBuffer: MAX_PRINTED_BYTES };
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [script, "call", ...server, ...tool],
      options,
    );
    return stdout;
  },
};

async function sdk1(url, options) {
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport } = await import(
    "@modelcontextprotocol/sdk/client/streamableHttp.js"
  );
  const client = new Client(INFO);
  await client.connect(new StreamableHTTPClientTransport(url));
  await client.listTools();
  return async (name, args) => textOf(await client.callTool({ name, arguments: args }, undefined, options));
}

async function extTasks(url, options) {
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const ext = await import("@modelcontextprotocol/ext-tasks/client");
  const client = new Client(INFO);
  await client.connect(new StreamableHTTPClientTransport(url));
  const session = ext.createTaskSessionFromClient(client, { endpointId: url.href });
  return async (name, args) => {
    const { outcome } = await (await session.callTool(name, args, options)).settle();
    return textOf(ext.resultFromTaskOutcome(outcome));
  };
}

/** The text of a result, in whichever form a library gives it to a model. */
function textOf(result) {
  if (typeof result === "string") return result;
  const parts = Array.isArray(result) ? result.flat() : (result?.content ?? []);
  const text = parts.map((part) => (typeof part === "string" ? part : (part?.text ?? ""))).join("");
  return text === "" ? JSON.stringify(result) : text;
}

/** Calls the tool, and while it is told that the tool still runs, the tool that it is told to call. */
async function modelled(call, args) {
  let text = await call("work", args);
  for (let turn = 0; turn < MAX_TURNS; turn += 1) {
    const [, name, given] = /call the tool (\w+) with (\{[^}]*\})/.exec(text.replaceAll('\\"', '"')) ?? [];
    if (name === undefined) return text;
    text = await call(name, JSON.parse(given));
  }
  throw new Error("the model has asked often enough");
}

const [name, url, ms] = process.argv.slice(2);
if (process.argv[1] === import.meta.filename) {
  let calledAt = performance.now();
  const end = await DRIVERS[name](new URL(url))
    .then((call) => {
      calledAt = performance.now();
      return modelled(call, { ms: Number(ms) });
    })
    .then((text) => (text.includes("the work is done") ? { result: true } : { lost: text }))
    .catch((error) => ({ lost: String(error?.message ?? error) }));
  const seconds = Math.round((performance.now() - calledAt) / 1_000);
  console.log(`\n${JSON.stringify({ ...end, lost: end.lost?.slice(0, MAX_WORDS), seconds })}`);
  process.exit(0);
}
