/** What one caller and all together may have at one time: who has its share is refused, and the others are not. */

import { expect, test } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { LIST_HEADERS, messageText, RawConnection, served } from "../http/served.ts";
import { byName, LegacyWire } from "../support/legacy-wire.ts";
import { listen } from "../support/listening.ts";
import { accept, asksOnce, count, gate, INPUT, type StorySettings, story } from "../support/story.ts";
import { talks } from "./paired/talks.ts";

const ALWAYS = { mode: "always" } as const;
const LONG = { "tools/call": () => undefined } as const;
const ADA = { headers: { "x-user": "ada" } };
const BOB = { headers: { "x-user": "bob" } };
const CALL = { name: "t", arguments: {} };
const AS_TASK = { ...CALL, task: {} };

function limited(limits: Partial<Config["limits"]>, more: StorySettings = {}): StorySettings {
  return { policy: ALWAYS, identify: byName, limits, ...more };
}

/** What is expected of the refusal that names a limit. */
function refusal(limit: string, max: number, status: 429 | 503 = 429) {
  const data = { limit, max, retryable: true, retryAfterMs: expect.any(Number) };
  const error = { code: -32603, message: `Limit exceeded: ${limit} is ${max}; try again later`, data };
  return { status, headers: { "retry-after": expect.stringMatching(/^[1-9]\d*$/) }, message: { error } };
}

test.for([
  ["always", "perCaller", 429],
  ["auto", "perCaller", 429],
  ["always", "total", 503],
] as const)(
  "%s: a task beyond %s.tasks is refused, and nothing of it is there",
  async ([mode, scope, status]) => {
    const settings = limited({ [scope]: { tasks: 1 } }, { policy: { mode, waitForMs: 20 } });
    const { client, server, url } = await story(LONG, settings);
    const [ada, bob] = [client(ADA), client(BOB)];
    const { taskId } = await ada.callTool("t");
    expect(await ada.send("tools/call", CALL)).toMatchObject(refusal(`limits.${scope}.tasks`, 1, status));
    // The other's share is its own only where there are shares.
    const others = await bob.send("tools/call", CALL);
    expect(others.status).toBe(scope === "perCaller" ? 200 : 503);
    expect(count(server, "tools/call")).toBeLessThanOrEqual(2);
    const inAdasName = await LegacyWire.connect(url, ADA);
    expect((await inAdasName.result("tasks/list")).tasks).toHaveLength(1);
    await ada.result("tasks/cancel", { taskId });
    expect(await ada.callTool("t")).toMatchObject({ resultType: "task" });
  },
);

test("2025-11-25: a task beyond perCaller.tasks is refused, and another's is not", async () => {
  const { url, server } = await story(LONG, limited({ perCaller: { tasks: 1 } }));
  const [ada, bob] = [await LegacyWire.connect(url, ADA), await LegacyWire.connect(url, BOB)];
  const { taskId } = await ada.begin("t");
  expect(await ada.send("tools/call", AS_TASK)).toMatchObject(refusal("limits.perCaller.tasks", 1));
  expect((await ada.result("tasks/list")).tasks).toHaveLength(1);
  await bob.begin("t");
  await server.arrival("tools/call", 2);
  await ada.result("tasks/cancel", { taskId });
  await ada.begin("t");
});

test("callers that are not told apart have what there is for all", async () => {
  const { user } = await story(LONG, {
    policy: ALWAYS,
    limits: { perCaller: { tasks: 1 }, total: { tasks: 2 } },
  });
  await user.callTool("t");
  await user.callTool("t");
  expect(await user.send("tools/call", CALL)).toMatchObject(refusal("limits.total.tasks", 2, 503));
});

test("of a client without tasks perCaller.tasks calls wait for their turn, and the next is refused", async () => {
  const one = { server: { maxConcurrent: 1 } };
  const { client, server } = await story(LONG, limited({ perCaller: { tasks: 1 } }, one));
  const [ada, bob] = [client({ ...ADA, capabilities: {} }), client({ ...BOB, capabilities: {} })];
  const calls = [ada.send("tools/call", CALL)];
  await server.arrival("tools/call");
  const waiting = [ada.send("tools/call", CALL), ada.send("tools/call", CALL)];
  expect(await Promise.race(waiting)).toMatchObject(refusal("limits.perCaller.tasks", 1));
  calls.push(bob.send("tools/call", CALL));
  await server.arrival("tools/call", 2);
  void Promise.allSettled([...calls, ...waiting]);
});

test("a held call beyond perCaller.tasks is given up, and the server is told", async () => {
  const { client, server } = await story(
    { "tools/call": asksOnce },
    limited({ perCaller: { tasks: 1 } }, { policy: { waitForMs: 60_000 } }),
  );
  const [ada, bob] = [client({ ...ADA, capabilities: INPUT }), client({ ...BOB, capabilities: INPUT })];
  const first = await ada.result("tools/call", CALL);
  expect(await ada.send("tools/call", CALL)).toMatchObject(refusal("limits.perCaller.tasks", 1));
  await server.arrival("notifications/cancelled");
  const others = await bob.result("tools/call", CALL);
  const answers = { inputResponses: { name: accept({ name: "x" }) } };
  for (const [user, { requestState }] of [
    [ada, first],
    [bob, others],
  ] as const)
    expect(await user.result("tools/call", { ...CALL, requestState, ...answers })).toMatchObject({
      resultType: "complete",
    });
  expect(await ada.result("tools/call", CALL)).toMatchObject({ resultType: "input_required" });
});

test("a stream beyond a caller's share is refused, whatever it is for, until another has ended", async () => {
  const { client, url } = await story(LONG, limited({ perCaller: { streams: 1 } }));
  const [ada, bob, older] = [client(ADA), client(BOB), await LegacyWire.connect(url, ADA)];
  const { taskId } = await ada.callTool("t");
  const listening = listen(ada, { taskIds: [taskId] });
  await listening.next();
  const expected = refusal("one caller's share of limits.total.streams", 1);
  expect(await ada.send("subscriptions/listen", { notifications: {} })).toMatchObject(expected);
  expect(await older.send("tasks/result", { taskId })).toMatchObject(expected);
  expect(await (await older.listen()).answer).toMatchObject({ status: 429 });
  await listen(bob, { taskIds: [] }).next();
  await ada.result("tasks/cancel", { taskId });
  expect(await older.send("tasks/result", { taskId })).toMatchObject({
    status: 200,
    message: { error: { code: -32603, message: expect.stringContaining("cancelled") } },
  });
  listening.leave();
  await expect.poll(async () => (await older.listen()).head).toMatchObject({ statusCode: 200 });
  expect(await ada.send("subscriptions/listen", { notifications: {} })).toMatchObject(expected);
});

test("a session beyond a caller's share is refused, and its server is not started", async () => {
  const { url, pids } = await talks({ identify: byName, limits: { perCaller: { sessions: 1 } } });
  const ada = await LegacyWire.connect(url, ADA);
  const before = await pids();
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "0" } };
  const open = () => {
    const body = { jsonrpc: "2.0", id: 1, method: "initialize", params };
    return ada.post(body, { "mcp-session-id": undefined }).answer;
  };
  expect(await open()).toMatchObject(refusal("one caller's share of limits.total.sessions", 1));
  expect(await pids()).toEqual(before);
  await LegacyWire.connect(url, BOB);
  await ada.end();
  await expect.poll(async () => (await open()).status).toBe(200);
});

test("who has stored as much as it may gets no new tasks, and keeps the results of those that it has", async () => {
  const done = gate();
  const { client, server } = await story(
    {
      "tools/call": async (call) => {
        await done.opened;
        call.text("x".repeat(1_000));
      },
    },
    limited({ perCaller: { storedBytes: 1_500 } }),
  );
  const [ada, bob] = [client(ADA), client(BOB)];
  const tasks = [await ada.callTool("t"), await ada.callTool("t"), await ada.callTool("t")];
  done.open();
  for (const { taskId } of tasks) expect(await ada.settled(taskId)).toMatchObject({ status: "completed" });
  expect(await ada.send("tools/call", CALL)).toMatchObject(
    refusal("one caller's share of limits.total.storedBytes", 1_500),
  );
  expect(count(server, "tools/call")).toBe(3);
  await bob.callTool("t");
});

test("headers beyond maxHeaders are answered with 431", async () => {
  const { url } = await served({ limits: { maxHeaderBytes: 2_048 } });
  const request = new RawConnection(url).post(url.pathname, {
    host: "127.0.0.1",
    "x-long": "x".repeat(3_000),
  });
  expect((await request.answer()).status).toBe(431);
});

test("connections beyond maxConnections are closed, and those that are there are served", async () => {
  const { url, client } = await served({ limits: { maxConnections: 1 } });
  const body = messageText();
  const headers = { ...LIST_HEADERS, connection: "close", "content-length": body.length };
  const first = new RawConnection(url).post(url.pathname, headers);
  expect(await new RawConnection(url).answer()).toMatchObject({ body: "" });
  await expect(client().send("tools/list")).rejects.toThrow();
  expect((await first.write(body).answer()).status).toBe(200);
});
