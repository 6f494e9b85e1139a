/** Several processes of one server: how many there are, who gets one, and when they go. */

import { describe, expect, onTestFinished, test } from "vitest";
import { startUpstream, type UpstreamUnderTest } from "../contracts/upstream-witness.ts";
import {
  type CommandUnderTest,
  type GatewaySettings,
  type GatewayUnderTest,
  gatewayFor,
} from "../support/gateway.ts";
import type { ModernClient } from "../support/modern-client.ts";
import { EVERYTHING, textOf } from "../support/story.ts";

interface Told extends GatewayUnderTest {
  readonly server: UpstreamUnderTest;
  readonly user: ModernClient;
}

/** Nothing becomes a task that is not told to: a process may take long to start. */
const PATIENT = { waitForMs: 60_000 };
const ALWAYS = [{ match: "hold", mode: "always" }] as const;

describe("lease", () => {
  test("gives calls at the same time a process each, and the next calls the same processes", async () => {
    const { user, server } = await tell();
    await together(user, server, ["a", "b"]);
    const { started } = server.processes;
    await together(user, server, ["c", "d"]);
    // Two for calls, one for this client's lists, and the one that the gateway itself has asked at the start.
    expect([started, server.processes.started]).toEqual([4, 4]);
  });

  test("has no more processes than maxSessions, however many calls there are", async () => {
    const { user, server } = await tell({ maxSessions: 3 });
    const texts = Array.from({ length: 30 }, (_, n) => `${n}`);
    const results = await Promise.all(texts.map((text) => user.callTool("echo", { text })));
    expect(results.map(textOf)).toEqual(texts);
    expect(server.processes.peak).toBe(3);
    // One of its own at the start, one for lists, three for calls.
    expect(server.processes.started).toBeLessThanOrEqual(5);
  });

  test("gets a call and a list through one process, one after the other", async () => {
    const { user, server } = await tell({ maxSessions: 1 });
    const [echoed, listed] = await Promise.all([
      user.callTool("echo", { text: "hello" }),
      user.result("tools/list"),
    ]);
    expect(textOf(echoed)).toBe("hello");
    expect(listed.tools).not.toEqual([]);
    expect(server.processes.peak).toBe(1);
  });

  test("has those who are idle make room for other callers", async () => {
    const { client, server } = await tell({ maxSessions: 2 }, { identify: byName });
    for (const name of ["ada", "grace", "ada", "edsger"]) {
      const user = client({ headers: { "x-user": name } });
      expect(textOf(await user.callTool("echo", { text: name }))).toBe(name);
    }
    expect(server.processes.peak).toBe(2);
  });

  test("ends a process that nobody uses after idleTimeout, and starts one for who comes then", async () => {
    const { user, server } = await tell({ idleTimeoutMs: 200 });
    expect(textOf(await user.callTool("echo", { text: "one" }))).toBe("one");
    await server.untilRunning(0);
    expect(textOf(await user.callTool("echo", { text: "two" }))).toBe("two");
  });
});

test("per-call has a process for each call, and ends it afterwards", async () => {
  const { user, server } = await tell({ sessions: "per-call" });
  await user.callTool("echo", { text: "one" });
  const { started } = server.processes;
  await user.callTool("echo", { text: "two" });
  expect(server.processes.started).toBe(started + 1);
  // The gateway's own, and the client's for lists.
  await server.untilRunning(2);
});

test("single has one process for everything", async () => {
  const { user, server } = await tell({ sessions: "single" });
  await Promise.all([user.callTool("echo", { text: "one" }), user.callTool("echo", { text: "two" })]);
  expect(server.processes.peak).toBe(1);
});

describe("a call that waits for a process", () => {
  test.each<[string, Partial<CommandUnderTest>]>([
    ["one of a pool", { maxSessions: 1 }],
    ["the only one", { sessions: "single" }],
  ])("is never sent when its client leaves, and nothing is started for it: %s", async (_, settings) => {
    const { user, server } = await tell(settings, { tools: ALWAYS });
    await user.callTool("echo", { text: "there is a process" });
    const first = await user.callTool("hold", { label: "first" });
    await server.until("held", "first");
    const { started } = server.processes;

    const stop = new AbortController();
    const params = { name: "echo", arguments: { text: "unwanted" } };
    const second = user.send("tools/call", params, { signal: stop.signal });
    const gone = expect(second).rejects.toThrow();
    const third = user.callTool("echo", { text: "third" });
    stop.abort();
    await gone;
    // Whoever is answered now came after the end of that connection.
    for (let round = 0; round < 3; round += 1) await user.task(first.taskId);
    server.release("first");
    await user.settled(first.taskId);
    expect(textOf(await third)).toBe("third");
    expect(server.processes.started).toBe(started);
  });

  test("has nothing started for it once it was cancelled", async () => {
    const tools = [{ match: "*", mode: "always" }] as const;
    const { client, server } = await tell({ maxSessions: 1 }, { identify: byName, tools });
    const [ada, grace] = ["ada", "grace"].map((name) => client({ headers: { "x-user": name } })) as [
      ModernClient,
      ModernClient,
    ];
    // From now on her calls need no list first.
    await grace.settled((await grace.callTool("echo", { text: "hello" })).taskId);
    const first = await ada.callTool("hold", { label: "first" });
    await server.until("held", "first");
    const { started } = server.processes;

    const { taskId } = await grace.callTool("echo", { text: "unwanted" });
    await grace.result("tasks/cancel", { taskId });
    server.release("first");
    await ada.settled(first.taskId);
    await ada.settled((await ada.callTool("echo", { text: "second" })).taskId);
    expect(server.processes.started).toBe(started);
  });

  test("is told that it was never sent when maxRuntime is over", async () => {
    const tools = [...ALWAYS, { match: "echo", mode: "always", maxRuntimeMs: 300 }] as const;
    const { user, server } = await tell({ maxSessions: 1 }, { tools });
    const first = await user.callTool("hold", { label: "first" });
    await server.until("held", "first");
    const second = await user.callTool("echo", { text: "late" });
    expect(await user.settled(second.taskId)).toMatchObject({
      status: "failed",
      statusMessage: "The call waited longer than maxRuntime (300 ms) and was never sent",
    });
    server.release("first");
    expect((await user.settled(first.taskId)).status).toBe("completed");
    expect(server.held).toEqual(["first"]);
  });

  test("is not in the way of the gateway's end, and neither is a process that is being started", async () => {
    const { user, server, gateway } = await tell({ maxSessions: 2 }, { tools: ALWAYS });
    const calls = Array.from({ length: 10 }, (_, n) => user.callTool("hold", { label: `${n}` }));
    await Promise.all(calls);
    await gateway.close();
    await server.untilRunning(0);
    expect(server.processes.peak).toBeLessThanOrEqual(2);
  });
});

test("who listens for changes is in nobody's way, and is told of what may have been missed when there is room", async () => {
  const { client, server } = await tell({ maxSessions: 1, idleTimeoutMs: 200 });
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  const wanted = { notifications: { toolsListChanged: true } };
  const stream = client().stream("subscriptions/listen", wanted, { signal: stop.signal });
  expect((await stream.next()).value.method).toBe("notifications/subscriptions/acknowledged");
  const other = client({ capabilities: EVERYTHING });
  expect(textOf(await other.callTool("echo", { text: "me too" }))).toBe("me too");
  expect((await stream.next()).value.method).toBe("notifications/tools/list_changed");
  expect(server.processes.peak).toBe(1);
});

/** The server of the contract behind a gateway, with these settings of its upstream. */
async function tell(
  settings: Partial<CommandUnderTest> = {},
  more: Omit<GatewaySettings, "upstream"> = {},
): Promise<Told> {
  const server = await startUpstream("stdio");
  const upstream = { ...(server.settings.upstream as CommandUnderTest), ...settings };
  const tested = await gatewayFor({ upstream, policy: PATIENT, ...more });
  return { ...tested, server, user: tested.client({ capabilities: EVERYTHING }) };
}

/** Makes calls that are all under way before the first may end. */
async function together(user: ModernClient, server: UpstreamUnderTest, labels: string[]): Promise<void> {
  const answers = labels.map((label) => user.callTool("hold", { label }));
  for (const label of labels) await server.until("held", label);
  labels.forEach(server.release);
  const texts = (await Promise.all(answers)).map(textOf);
  expect(texts).toEqual(labels.map((label) => `${label} was released`));
}

const byName: GatewaySettings["identify"] = ({ headers }) => ({
  key: String(headers["x-user"]),
  headers: {},
  isIdentified: true,
});
