/** What a client does behind a proxy, step by step. Each step says what it saw, or throws. */

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { request } from "undici";
import { FOLLOWERS, type FollowerName } from "../blips/followers.ts";
import { connect } from "../demo/task-session.ts";
import { type Json, ModernClient } from "../support/modern-client.ts";
import type { Witness } from "../survival/support/witness.ts";
import { workOf } from "../survival/support/work.ts";

export interface Scene {
  /** The proxy. */
  readonly origin: URL;
  readonly witness: Witness;
}

export interface Step {
  readonly name: string;
  /** Mostly waits, and is left out of a quick run. */
  readonly isLong?: true;
  /** Of several gateways only one can serve it. */
  readonly livesInOneGateway?: true;
  /** What it saw, in a word or two; "yes" unless given. Rejects when it does not go as it should. */
  readonly run: (scene: Scene) => Promise<unknown>;
}

const INFO = { name: "proxies", version: "1.0.0" };
const SIZE = 100;
/** So that each of two gateways gets some. */
const CALLS = 4;
const LARGE = 3_000_000;
const BLOCKING_MS = 75_000;
const QUIET_MS = 180_000;
const FOLLOWED: readonly FollowerName[] = [
  "ext-tasks 0.2.2, 2026-07-28",
  "ext-tasks 0.2.2, 2025-11-25",
  "sdk 1.32.2 callToolStream",
];

export const STEPS: readonly Step[] = [
  { name: "handshake, list, quick call, end of the session", run: connects },
  {
    name: "the same in a session that lives in one gateway (2025-11-25 before a server of 2026-07-28)",
    livesInOneGateway: true,
    run: (scene) => hasSession(scene, "modern"),
  },
  { name: "task and polls, three stock clients", run: followsTasks },
  { name: "a question on the stream of its call, on the session's stream, and of a task", run: isAsked },
  { name: "3 MB to the server and back", run: sendsMuch },
  { name: "`Host` and `Authorization` reach the gateway", run: isKnown },
  {
    name: "hang-up of a client that accepts streams, told to the server after",
    run: (scene) => hangsUp(scene),
  },
  {
    name: "hang-up of a client that accepts JSON only, told after",
    isLong: true,
    run: (scene) => hangsUp(scene, JSON_ONLY),
  },
  { name: "75 s blocking call, stream", isLong: true, run: (scene) => blocks(scene) },
  { name: "75 s blocking call, JSON only", isLong: true, run: (scene) => blocks(scene, JSON_ONLY) },
  { name: "3 min of quiet on `subscriptions/listen`, then an event", isLong: true, run: listens },
  { name: "3 min of quiet on the session's stream, then a question", isLong: true, run: listensInSession },
];

const JSON_ONLY = { accept: "application/json" };

async function connects(scene: Scene): Promise<void> {
  await hasSession(scene, "kept");
  for (const kind of ["kept", "modern"] as const) {
    const modern = await connect(routeOf(scene, kind).href, () =>
      Promise.reject(new Error("nobody was to ask")),
    );
    try {
      expected("the era", modern.era, "modern");
      expected("tools", (await modern.client.listTools()).tools.length > 0, true);
      const plain = new ModernClient(routeOf(scene, kind), { capabilities: {} });
      await works(({ name, arguments: args }) => plain.callTool(name, args));
    } finally {
      await modern.close();
    }
  }
}

async function hasSession(scene: Scene, kind: "kept" | "modern"): Promise<void> {
  const session = await legacySession(routeOf(scene, kind));
  expected(
    "tools",
    (await session.client.listTools()).tools.some(({ name }) => name === "work"),
    true,
  );
  for (let call = 0; call < CALLS; call += 1) await works((params) => session.client.callTool(params));
  await session.close();
  expected("the status in an ended session", await statusIn(session.id ?? "", routeOf(scene, kind)), 404);
}

async function followsTasks(scene: Scene): Promise<void> {
  for (const name of FOLLOWED) {
    const follower = await FOLLOWERS[name](routeOf(scene, "kept"));
    try {
      const id = randomUUID();
      expected("the result", await follower.follow({ id, ms: 1_500, size: SIZE }), workOf(id, SIZE));
    } finally {
      await follower.close();
    }
  }
}

/** A server that waits for an answer shows that its question was not held back. */
async function isAsked(scene: Scene): Promise<void> {
  const session = await legacySession(routeOf(scene, "kept"));
  for (const on of ["call", "session"]) {
    const id = randomUUID();
    const result = await session.client.callTool({ name: "ask", arguments: { id, ms: 10, on } });
    expected("what was answered", textOf(result), `${id} accept Ada`);
  }
  await session.close();
  const { tasks, close } = await connect(routeOf(scene, "modern").href, async () => ANSWER as never);
  try {
    const id = randomUUID();
    const execution = await tasks.callTool("ask", { id, ms: 10 }, { task: { preference: "require" } });
    const { outcome } = await execution.settle();
    expected("how it ended", JSON.stringify(outcome).includes(`${id} accept Ada`), true);
  } finally {
    await close();
  }
}

async function sendsMuch(scene: Scene): Promise<void> {
  const id = randomUUID();
  const client = new ModernClient(routeOf(scene, "modern"), { capabilities: {} });
  const args = { id, ms: 0, size: LARGE, filler: "x".repeat(LARGE) };
  expected("the whole result", textOf(await client.callTool("work", args)) === workOf(id, LARGE), true);
}

/** A gateway on loopback refuses other hosts, and keeps the tasks of one credential from another. */
async function isKnown(scene: Scene): Promise<void> {
  const elsewhere = await request(routeOf(scene, "kept"), {
    method: "POST",
    headers: { host: "elsewhere.example" },
  });
  await elsewhere.body.dump();
  expected("the status for another host", elsewhere.statusCode, 403);
  const ofUser = (user: string) =>
    new ModernClient(routeOf(scene, "kept"), { headers: { authorization: `Bearer ${user}` } });
  const { taskId } = await ofUser("ada").callTool("work", { id: randomUUID(), ms: 10, size: SIZE });
  await ofUser("ada").settled(taskId);
  const { message } = await ofUser("bob").send("tasks/get", { taskId });
  expected("another caller's task", message?.error?.code, -32602);
}

async function hangsUp(scene: Scene, headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const id = randomUUID();
  const leaving = new AbortController();
  const client = new ModernClient(routeOf(scene, "kept"), { capabilities: {} });
  const params = { name: "work", arguments: { id, ms: BLOCKING_MS, size: SIZE } };
  const answer = client.send("tools/call", params, { headers, signal: leaving.signal });
  answer.catch(() => undefined);
  await Promise.race([scene.witness.until(id, ({ calls }) => calls > 0), answer]);
  const leftAt = performance.now();
  leaving.abort();
  await scene.witness.until(id, ({ cancelled }) => cancelled > 0);
  return `${((performance.now() - leftAt) / 1_000).toFixed(1)} s`;
}

async function blocks(scene: Scene, headers: Readonly<Record<string, string>> = {}): Promise<void> {
  const id = randomUUID();
  const client = new ModernClient(routeOf(scene, "kept"), { capabilities: {} });
  const params = { name: "work", arguments: { id, ms: BLOCKING_MS, size: SIZE } };
  const { status, message, text } = await client.send("tools/call", params, { headers });
  if (message?.result === undefined) throw new Error(`HTTP ${status}: ${text.slice(0, 200)}`);
  expected("the result", textOf(message.result), workOf(id, SIZE));
}

async function listens(scene: Scene): Promise<void> {
  const client = new ModernClient(routeOf(scene, "kept"));
  const { taskId } = await client.callTool("work", { id: randomUUID(), ms: QUIET_MS, size: SIZE });
  const leaving = new AbortController();
  const options = { signal: leaving.signal };
  try {
    for await (const { params } of client.stream(
      "subscriptions/listen",
      { notifications: { taskIds: [taskId] } },
      options,
    ))
      if (params?.status === "completed") return;
    throw new Error("the stream ended before the task");
  } finally {
    leaving.abort();
  }
}

async function listensInSession(scene: Scene): Promise<void> {
  const session = await legacySession(routeOf(scene, "kept"));
  try {
    await sleep(QUIET_MS);
    const id = randomUUID();
    const result = await session.client.callTool({ name: "ask", arguments: { id, ms: 10, on: "session" } });
    expected("what was answered", textOf(result), `${id} accept Ada`);
    expected("how often the stream was opened", session.streams, 1);
  } finally {
    await session.close();
  }
}

const ANSWER = { action: "accept" as const, content: { name: "Ada" } };

/** The client of SDK 1, which answers questions, and listens on the stream of its session. */
async function legacySession(url: URL) {
  let streams = 0;
  const transport = new StreamableHTTPClientTransport(url, {
    fetch: (input, init) => {
      if (init?.method === "GET") streams += 1;
      return fetch(input, init);
    },
  });
  const client = new Client(INFO, { capabilities: { elicitation: {} } });
  client.setRequestHandler(ElicitRequestSchema, () => ANSWER);
  await client.connect(transport as Transport);
  return {
    client,
    id: transport.sessionId,
    get streams() {
      return streams;
    },
    close: async () => {
      await transport.terminateSession();
      await client.close();
    },
  };
}

async function statusIn(sessionId: string, url: URL): Promise<number> {
  const { statusCode, body } = await request(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2025-11-25",
      "mcp-session-id": sessionId,
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" }),
  });
  await body.dump();
  return statusCode;
}

async function works(
  call: (params: {
    readonly name: string;
    readonly arguments: { [name: string]: string | number };
  }) => Promise<unknown>,
): Promise<void> {
  const id = randomUUID();
  expected(
    "the result",
    textOf(await call({ name: "work", arguments: { id, ms: 10, size: SIZE } })),
    workOf(id, SIZE),
  );
}

function routeOf({ origin }: Scene, kind: "kept" | "modern"): URL {
  return new URL(`/${kind}/mcp`, origin);
}

function textOf(result: unknown): unknown {
  return (result as Json).content?.[0]?.text;
}

function expected<T>(what: string, seen: T, wanted: T): void {
  if (seen !== wanted) throw new Error(`${what}: expected ${shown(wanted)}, got ${shown(seen)}`);
}

function shown(value: unknown): string {
  return String(JSON.stringify(value)).slice(0, 200);
}
