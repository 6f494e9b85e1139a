/** How fast one caller may ask: what comes too fast waits a little, is refused in the end, and slows nobody else. */

import { expect, test } from "vitest";
import type { CallerLimits } from "../../src/config/config.ts";
import { byName, LegacyWire } from "../support/legacy-wire.ts";
import { listen } from "../support/listening.ts";
import type { Answer } from "../support/modern-client.ts";
import { count, gate, type StorySettings, story } from "../support/story.ts";
import { talks } from "./paired/talks.ts";

const ADA = { headers: { "x-user": "ada" } };
const BOB = { headers: { "x-user": "bob" } };
const CALL = { name: "t", arguments: {} };
const AN_HOUR_MS = 3_600_000;

function limited(perCaller: CallerLimits, more: StorySettings = {}): StorySettings {
  return { identify: byName, limits: { perCaller }, ...more };
}

function tooFast(limit: string, max: string) {
  const data = { limit, max, retryable: true, retryAfterMs: expect.any(Number) };
  const error = { code: -32603, message: `Limit exceeded: ${limit} is ${max}; try again later`, data };
  return { status: 429, headers: { "retry-after": expect.stringMatching(/^\d+$/) }, message: { error } };
}

test("a call beyond the rate is refused and not sent, in every generation, and another's is answered meanwhile", async () => {
  const rate = { count: 1, perMs: AN_HOUR_MS };
  const { client, url, server } = await story(
    { "tools/call": (call) => call.text("done") },
    limited({ calls: rate }, { policy: { waitForMs: 60_000 } }),
  );
  const ada = client(ADA);
  const older = await LegacyWire.connect(url, { ...ADA, version: "2025-06-18" });
  const withTasks = await LegacyWire.connect(url, ADA);
  expect((await ada.send("tools/call", CALL)).status).toBe(200);
  const refused = Promise.all([
    ada.send("tools/call", CALL),
    older.send("tools/call", CALL),
    withTasks.send("tools/call", CALL),
    withTasks.send("tools/call", { ...CALL, task: {} }),
    older.post([{ jsonrpc: "2.0", id: 1, method: "tools/call", params: CALL }]).answer,
  ]);
  expect((await client(BOB).send("tools/call", CALL)).status).toBe(200);
  for (const answer of await refused) expect(answer).toMatchObject(tooFast("limits.perCaller.calls", "1/h"));
  expect(count(server, "tools/call")).toBe(2);
});

test("a server's rate holds for anonymous callers", async () => {
  const calls = { count: 1, perMs: AN_HOUR_MS };
  const { client, server } = await story(
    { "tools/call": (call) => call.text("done") },
    { limits: { perRoute: { calls } }, policy: { waitForMs: 60_000 } },
  );
  expect((await client().send("tools/call", CALL)).status).toBe(200);
  expect(await client().send("tools/call", CALL)).toMatchObject(tooFast("limits.perRoute.calls", "1/h"));
  expect(count(server, "tools/call")).toBe(1);
});

test("calls that come a little too fast are all answered", async () => {
  const { client } = await story(
    { "tools/call": (call) => call.text("done") },
    limited({ calls: { count: 10, perMs: 500 } }, { policy: { waitForMs: 60_000 } }),
  );
  const ada = client(ADA);
  const answers = await Promise.all(Array.from({ length: 15 }, () => ada.send("tools/call", CALL)));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
});

test("a call in a paired session is refused on the request that it came with", async () => {
  const { url } = await talks(limited({ calls: { count: 1, perMs: AN_HOUR_MS } }));
  const ada = await LegacyWire.connect(url, ADA);
  const call = { name: "pid", arguments: {} };
  expect((await ada.send("tools/call", call)).status).toBe(200);
  expect(await ada.send("tools/call", call)).toMatchObject(tooFast("limits.perCaller.calls", "1/h"));
});

test("polls that come together in a paired session count one by one", async () => {
  const perCaller = { polls: { count: 2, perMs: AN_HOUR_MS } };
  const { url } = await talks({ identify: byName, limits: { perCaller, maxWaitMs: 0 } });
  const ada = await LegacyWire.connect(url, ADA);
  const poll = (id: number) => ({ jsonrpc: "2.0", id, method: "tasks/get", params: { taskId: "none" } });
  expect(await ada.post([1, 2, 3].map(poll)).answer).toMatchObject(tooFast("limits.perCaller.polls", "2/h"));
});

/** Names callers, and says how many requests there have been. */
function counted() {
  const seen = { requests: 0 };
  const identify: typeof byName = (...asked) => {
    seen.requests += 1;
    return byName(...asked);
  };
  return { seen, identify };
}

test("what waits for its turn in a paired session that ends meanwhile finds none", async () => {
  const { seen, identify } = counted();
  const { url } = await talks(limited({ calls: { count: 1, perMs: 900 } }, { identify }));
  const ada = await LegacyWire.connect(url, ADA);
  const before = seen.requests;
  const both = [1, 2].map(() => ada.send("tools/call", { name: "pid", arguments: {} }));
  await expect.poll(() => seen.requests - before).toBe(2);
  await ada.end();
  expect((await Promise.all(both)).map(({ status }) => status)).toContain(404);
});

test("a legacy call that waits for its turn while the gateway is told to stop is refused", async () => {
  const { seen, identify } = counted();
  const { url, gateway, server } = await story(
    { "tools/call": (call) => call.text("done") },
    { identify, limits: { perCaller: { calls: { count: 1, perMs: 900 } }, drainTimeoutMs: 10_000 } },
  );
  const ada = await LegacyWire.connect(url, ADA);
  const before = seen.requests;
  const both = [1, 2].map(() => ada.send("tools/call", CALL));
  await expect.poll(() => seen.requests - before).toBe(2);
  await gateway.close();
  expect((await Promise.all(both)).map(({ status }) => status)).toContain(503);
  expect(count(server, "tools/call")).toBeLessThan(2);
});

test("where none may wait, polls beyond the rate are refused, and calls are not", async () => {
  const perCaller = { polls: { count: 10, perMs: AN_HOUR_MS } };
  const { client, url } = await story(
    { "tools/call": () => undefined },
    { identify: byName, limits: { perCaller, maxWaitMs: 0 }, policy: { mode: "always" } },
  );
  const [ada, older] = [client(ADA), await LegacyWire.connect(url, ADA)];
  const { taskId } = await ada.callTool("t");
  await ada.task(taskId);
  await older.task(taskId);
  const refused = ["tasks/get", "tasks/cancel", "tasks/result"].map((method) =>
    older.send(method, { taskId }),
  );
  for (const answer of await Promise.all([...refused, ada.send("tasks/update", { taskId })]))
    expect(answer).toMatchObject(tooFast("limits.perCaller.polls", "10/h"));
  await ada.callTool("t");
});

test("a subscription counts as a poll of each of its tasks, and as none without tasks", async () => {
  const perCaller = { polls: { count: 50, perMs: AN_HOUR_MS } };
  const { client } = await story(
    { "tools/call": () => undefined },
    { identify: byName, limits: { perCaller, maxWaitMs: 0 }, policy: { mode: "always" } },
  );
  const ada = client(ADA);
  const { taskId } = await ada.callTool("t");
  // A fifth of the rate may come at once: ten.
  const nine = [taskId, ...Array.from({ length: 8 }, (_, at) => `none-${at}`)];
  const subscribe = (taskIds: readonly string[]) =>
    ada.send("subscriptions/listen", { notifications: { taskIds } });
  expect((await listen(ada, { taskIds: nine }).next()).params.notifications).toEqual({ taskIds: [taskId] });
  await listen(ada, { toolsListChanged: true }).next();
  expect(await subscribe([taskId, "none"])).toMatchObject(tooFast("limits.perCaller.polls", "50/h"));
  await ada.task(taskId);
  expect(await subscribe([taskId])).toMatchObject(tooFast("limits.perCaller.polls", "50/h"));
  expect((await listen(client(BOB), { taskIds: [taskId] }).next()).params.notifications).toEqual({
    taskIds: [],
  });
});

test("a subscription to more tasks than the rate allows waits, and is not refused", async () => {
  const perCaller = { polls: { count: 10, perMs: AN_HOUR_MS } };
  const { client } = await story(
    { "tools/call": () => undefined },
    { identify: byName, limits: { perCaller, maxWaitMs: 1_000 }, policy: { mode: "always" } },
  );
  const ada = client(ADA);
  const { taskId } = await ada.callTool("t");
  const taskIds = [taskId, ...Array.from({ length: 20 }, (_, at) => `none-${at}`)];
  expect((await listen(ada, { taskIds }).next()).params.notifications).toEqual({ taskIds: [taskId] });
});

test("polls beyond the rate wait, and none is refused, in every generation", async () => {
  const perCaller = { polls: { count: 10, perMs: AN_HOUR_MS } };
  const { client, url } = await story(
    { "tools/call": () => undefined },
    { identify: byName, limits: { perCaller, maxWaitMs: 1_000 }, policy: { mode: "always" } },
  );
  const [ada, older] = [client(ADA), await LegacyWire.connect(url, ADA)];
  const { taskId } = await ada.callTool("t");
  const polls = Array.from({ length: 20 }, (_, at) =>
    (at % 2 === 0 ? ada : older).send("tasks/get", { taskId }),
  );
  for (const { status, message } of await Promise.all(polls))
    expect([status, message.result?.status]).toEqual([200, "working"]);
});

test("the more tasks a caller has, the longer is the interval that it is told", async () => {
  const perCaller = { polls: { count: 10, perMs: 1_000 } };
  const { client, url } = await story(
    { "tools/call": () => undefined },
    { identify: byName, limits: { perCaller }, policy: { mode: "always", pollIntervalMs: 10 } },
  );
  const [ada, older] = [client(ADA), await LegacyWire.connect(url, ADA)];
  const first = await ada.callTool("t");
  // Ten tasks in eight tenths of ten polls a second.
  for (let task = 1; task < 9; task += 1) await ada.callTool("t");
  const last = await older.begin("t");
  expect([first.pollIntervalMs, last.pollInterval]).toEqual([125, 1_250]);
  expect(await ada.task(first.taskId)).toMatchObject({ pollIntervalMs: 1_250 });
  expect((await client(BOB).callTool("t")).pollIntervalMs).toBe(125);
});

test("a task that is polled much too fast is told of late, but as soon as it has ended", async () => {
  const done = gate();
  const { seen, identify } = counted();
  const { user, server } = await story(
    {
      "tools/call": async (call) => {
        await done.opened;
        call.text("done");
      },
    },
    {
      identify,
      limits: { maxWaitMs: 10_000 },
      policy: { mode: "always", pollIntervalMs: AN_HOUR_MS, maxPollIntervalMs: AN_HOUR_MS },
    },
  );
  const { taskId } = await user.callTool("t");
  await server.arrival("tools/call");
  const running = async () => (await user.task(taskId)).statusMessage;
  await expect.poll(running, { interval: 500, timeout: 9_000 }).toBe("running");
  const before = seen.requests;
  const polls = Array.from({ length: 70 }, () => user.send("tasks/get", { taskId }));
  const answers: Answer[] = [];
  for (const poll of polls) void poll.then((answer) => answers.push(answer));
  await expect.poll(() => seen.requests - before, { timeout: 60_000 }).toBe(70);
  // Some are answered at once, and the others wait.
  await expect.poll(() => answers.length, { timeout: 60_000 }).toBeGreaterThan(10);
  done.open();
  const states = (await Promise.all(polls)).map(({ message }) => message.result?.status);
  expect(new Set(states)).toEqual(new Set(["working", "completed"]));
  expect(states.filter((status) => status === "completed").length).toBeGreaterThanOrEqual(40);
});
