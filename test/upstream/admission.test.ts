/** Clients' own sessions beside those of the gateway: who has a place at the server until when. */

import { expect, onTestFinished, test } from "vitest";
import { createLog } from "../../src/log/log.ts";
import type { JsonRpcMessage } from "../../src/protocol/jsonrpc.ts";
import { UpstreamFailure } from "../../src/upstream/failure.ts";
import { upstreamAgents } from "../../src/upstream/transports/agents.ts";
import type { Transport } from "../../src/upstream/transports/transport.ts";
import { Upstream } from "../../src/upstream/upstream.ts";
import { startUpstream } from "../contracts/upstream-witness.ts";
import { type CommandUnderTest, configFor } from "../support/gateway.ts";
import { script } from "../support/stdio-servers/scripts.ts";

const OWNER = { caller: "ada", headers: {}, capabilities: {} };
const HOLDER = { onRequest: () => {}, onNotification: () => {} };

test("the sessions that one caller's clients open are no more than its share, and one is left for lists", async () => {
  const { upstream } = await berths({ maxSessions: 4 });
  const as = (caller: string) => ({ caller, isIdentified: true, headers: {} });
  const [first] = [await upstream.pair(as("eve"), initialize), await upstream.pair(as("eve"), initialize)];
  let hasThird = false;
  const third = upstream.pair(as("eve"), initialize).then(() => (hasThird = true));
  const others = await upstream.pair(as("ada"), initialize);
  expect(await upstream.control(OWNER).ask("tools/list")).toHaveProperty("result.tools");
  expect(hasThird).toBe(false);
  await Promise.all([first?.close(), others.close()]);
  await third;
});

test("a client's own session has a place until its transport is closed", async () => {
  const { upstream, server } = await berths({ maxSessions: 1 });
  const wire = await upstream.pair(OWNER, initialize);
  let isLeased = false;
  const leasing = upstream.lease(OWNER, HOLDER).then((lease) => {
    isLeased = true;
    return lease;
  });
  await server.untilRunning(1);
  expect(isLeased).toBe(false);
  await Promise.all([wire.close(), wire.close()]);
  (await leasing).release("quiet");
  expect(server.processes).toMatchObject({ started: 2, peak: 1 });
});

test("a session that nobody uses leaves for a client's own", async () => {
  const { upstream, server } = await berths({ maxSessions: 1 });
  (await upstream.lease(OWNER, HOLDER)).release("quiet");
  await upstream.control(OWNER).describe();
  await upstream.pair(OWNER, initialize);
  expect(server.processes).toMatchObject({ started: 3, running: 1, peak: 1 });
});

test("with sessions: single, too, there is one session and no second", async () => {
  const { upstream, server } = await berths({ sessions: "single", maxSessions: 8 });
  await upstream.control(OWNER).describe();
  const wire = await upstream.pair(OWNER, initialize);
  const listing = upstream.control(OWNER).ask("tools/list");
  await wire.close();
  expect(await listing).toHaveProperty("result.tools");
  expect(server.processes).toMatchObject({ started: 3, peak: 1 });
});

test("with sessions: single, whoever waits for a session that a call was about to open gets one when the call is over", async () => {
  const { upstream } = await berths({ sessions: "single" });
  const wire = await upstream.pair(OWNER, initialize);
  const over = new AbortController();
  const reason = new UpstreamFailure("The call is over", { mayHaveRun: false });
  const leasing = expect(upstream.lease(OWNER, HOLDER, over.signal)).rejects.toBe(reason);
  const listing = upstream.control(OWNER).ask("tools/list");
  // Both wait for the same session by then.
  await new Promise((resolve) => setImmediate(resolve));
  over.abort(reason);
  await leasing;
  await wire.close();
  expect(await listing).toHaveProperty("result.tools");
});

test("with sessions: single, nothing is started later for those who have given up", async () => {
  const { upstream, server } = await berths({ sessions: "single" });
  const wire = await upstream.pair(OWNER, initialize);
  for (const caller of ["ada", "bob", "eve"]) {
    const over = new AbortController();
    const reason = new UpstreamFailure("The call is over", { mayHaveRun: false });
    const leasing = expect(upstream.lease({ ...OWNER, caller }, HOLDER, over.signal)).rejects.toBe(reason);
    // It waits for the session by then.
    await new Promise((resolve) => setImmediate(resolve));
    over.abort(reason);
    await leasing;
  }
  const leasing = upstream.lease(OWNER, HOLDER);
  await wire.close();
  (await leasing).release("quiet");
  expect(server.processes).toMatchObject({ started: 2, peak: 1 });
});

test("a client's session that does not come about leaves its place, and its process ends", async () => {
  const { upstream, server } = await berths({ maxSessions: 1 });
  const failing = upstream.pair(OWNER, async (wire) => {
    await initialize(wire);
    throw new Error("the client has gone");
  });
  await expect(failing).rejects.toThrow("the client has gone");
  await server.untilRunning(0);
  await upstream.pair(OWNER, initialize);
});

test("a client's session that the server does not open within startTimeout fails", async () => {
  const { command, args } = script("silent");
  const { upstream } = await berths({ command, args, startTimeoutMs: 300 });
  await expect(upstream.pair(OWNER, initialize)).rejects.toMatchObject({
    message: "The server did not answer initialize within 300 ms (startTimeout)",
    facts: { mayHaveRun: false },
  });
});

test("clients' sessions end with the gateway, and so does one that is being opened, and who waits for one", async () => {
  const { upstream, server } = await berths({ maxSessions: 3 });
  await upstream.pair(OWNER, initialize);
  let begun = () => {};
  const opening = new Promise<void>((resolve) => (begun = resolve));
  const never = upstream.pair(OWNER, (wire) => {
    begun();
    return wire.ask({ jsonrpc: "2.0", id: 1, method: "initialize", params: {} }).ended;
  });
  const ended = expect(never).rejects.toThrow("The session with the server was closed");
  await opening;
  const waiting = expect(upstream.lease(OWNER, HOLDER)).rejects.toThrow("The gateway is stopping");
  await upstream.close();
  await Promise.all([ended, waiting]);
  await server.untilRunning(0);
  await expect(upstream.pair(OWNER, initialize)).rejects.toThrow("The gateway is stopping");
});

/** What a client does with its transport. */
async function initialize(wire: Transport): Promise<Transport> {
  const answer = new Promise<JsonRpcMessage>((resolve) => {
    wire.onMessage = resolve;
  });
  const params = {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "test", version: "1" },
  };
  const { ended } = wire.ask({ jsonrpc: "2.0", id: 1, method: "initialize", params });
  expect(await Promise.race([answer, ended])).toHaveProperty("result.serverInfo");
  ended.catch(() => {});
  wire.setProtocolVersion("2025-11-25");
  await wire.initialized();
  return wire;
}

async function berths(settings: Partial<CommandUnderTest>) {
  const server = await startUpstream("stdio");
  const config = configFor({ upstream: { ...(server.settings.upstream as CommandUnderTest), ...settings } });
  const agents = upstreamAgents();
  onTestFinished(() => agents.destroy());
  const upstream = new Upstream({
    config: (config.servers[0] as (typeof config.servers)[number]).upstream,
    agents,
    clientInfo: { name: "test", version: "1" },
    maxMessageBytes: 1_000_000,
    log: createLog("silent"),
  });
  onTestFinished(() => upstream.close());
  return { upstream, server };
}
