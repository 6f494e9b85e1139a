/** A store that is away for a while: requests about tasks wait for it, because no stock client survives one that is refused. */

import { expect, onTestFinished, test, vi } from "vitest";
import { CellStore } from "../../src/store/cell-store.ts";
import { StoreUnavailable } from "../../src/store/task-store.ts";
import { gatewayFor } from "../support/gateway.ts";
import { LegacyWire } from "../support/legacy-wire.ts";
import { listen } from "../support/listening.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { accept, asksOnce, count, form, story, textOf, textResult } from "../support/story.ts";

const ALWAYS = { policy: { mode: "always" } } as const;
const QUICK = { "tools/call": asksOnce } as const;

type Method = "create" | "read" | "answer" | "end";

/** The store of this process is away, as far as this is concerned, until it is said to be back. */
function away(...methods: readonly Method[]) {
  const spies = methods.map((method) =>
    vi.spyOn(CellStore.prototype, method).mockRejectedValue(new StoreUnavailable("away")),
  );
  const back = () => {
    for (const spy of spies) spy.mockRestore();
  };
  onTestFinished(back);
  const tries = () => spies.reduce((all, spy) => all + spy.mock.calls.length, 0);
  return { back, tries, tried: () => expect.poll(tries).toBeGreaterThan(2) };
}

test.for([
  ["tasks/get", "read"],
  ["tasks/cancel", "read"],
  ["tasks/update", "read"],
] as const)("a modern client's %s waits until the store is back", async ([method, what]) => {
  const { user } = await story({ "tools/call": (call) => call.text("done") }, ALWAYS);
  const { taskId } = await user.callTool("t");
  await user.settled(taskId);
  const store = away(what);
  const answer = user.send(method, { taskId, inputResponses: {} });
  await store.tried();
  store.back();
  expect(await answer).toMatchObject({ status: 200, message: { result: { resultType: "complete" } } });
});

test("an answer and a cancellation wait until the store takes them", async () => {
  const { user } = await story(QUICK, ALWAYS);
  const [asking, other] = [await user.callTool("t"), await user.callTool("t")];
  for (const { taskId } of [asking, other])
    await user.taskWhen(taskId, ({ status }) => status === "input_required");
  const store = away("answer", "end");
  const inputResponses = { name: accept({ name: "Ada" }) };
  const answers = [
    user.send("tasks/update", { taskId: asking.taskId, inputResponses }),
    user.send("tasks/cancel", { taskId: other.taskId }),
  ];
  await store.tried();
  store.back();
  for (const answer of answers) expect((await answer).status).toBe(200);
  expect(textOf((await user.settled(asking.taskId)).result)).toContain("Ada");
  expect(await user.task(other.taskId)).toMatchObject({ status: "cancelled" });
});

test("a call that is always a task waits until the store is back, and is sent once", async () => {
  const { user, server } = await story({ "tools/call": (call) => call.text("done") }, ALWAYS);
  const store = away("create");
  const creation = user.callTool("t");
  await store.tried();
  expect(count(server, "tools/call")).toBe(0);
  store.back();
  expect(await user.settled((await creation).taskId)).toMatchObject({ status: "completed" });
  expect(count(server, "tools/call")).toBe(1);
});

test("a call that waits for the store is not begun for a client that has gone, or by a gateway that stops", async () => {
  const { user, server, gateway } = await story({ "tools/call": (call) => call.text("done") }, ALWAYS);
  const store = away("create");
  const leaving = new AbortController();
  const left = user.send("tools/call", { name: "t" }, { signal: leaving.signal });
  const refused = user.send("tools/call", { name: "t" });
  await store.tried();
  leaving.abort();
  await expect(left).rejects.toThrow();
  const closed = gateway.close();
  expect(await refused).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
  store.back();
  await closed;
  expect(count(server, "tools/call")).toBe(0);
});

test.for(["tasks/get", "tasks/result"])(
  "a 2025-11-25 client's %s waits until the store is back, and so does its new task",
  async (method) => {
    const { url } = await story({ "tools/call": (call) => call.text("done") }, ALWAYS);
    const user = await LegacyWire.connect(url);
    const { taskId } = await user.begin("t");
    await user.taskThat(taskId, "completed");
    const store = away("read", "create");
    const answers = [user.send(method, { taskId }), user.send("tools/call", { name: "t", task: {} })];
    await store.tried();
    store.back();
    for (const answer of answers)
      expect(await answer).toMatchObject({ status: 200, message: { result: expect.anything() } });
  },
);

test("a 2025-11-25 client's answer to a question waits until the store takes it", async () => {
  const { url } = await story(QUICK, ALWAYS);
  const user = await LegacyWire.connect(url);
  const { taskId } = await user.begin("t");
  const waiting = user.open("tasks/result", { taskId });
  const { id } = await waiting.heard("elicitation/create");
  const store = away("answer");
  const sent = user.respond(id, { result: accept({ name: "Ada" }) });
  await store.tried();
  store.back();
  expect((await sent).status).toBe(202);
  expect((await waiting.answer).message.result.content[0].text).toContain("Ada");
});

test("whoever waits for a result goes on waiting while the store is away", async () => {
  const { url, server } = await story(
    { "tools/call": () => undefined },
    {
      ...ALWAYS,
      limits: { maxWaitMs: 1 },
    },
  );
  const user = await LegacyWire.connect(url);
  const { taskId } = await user.begin("t");
  const call = await server.arrival("tools/call");
  const waiting = user.open("tasks/result", { taskId });
  await user.task(taskId);
  const store = away("read", "end");
  call.json(textResult("done"));
  await store.tried();
  store.back();
  expect((await waiting.answer).message.result).toMatchObject(textResult("done"));
});

test("a round of a call waits until the store is back", async () => {
  const { client } = await story({
    "tools/call": async (call) => {
      const stream = call.sse();
      const answer = await stream.ask("elicitation/create", form("Who are you?", "name"));
      stream.event(call.answer(textResult(JSON.stringify(answer))));
      stream.end();
    },
  });
  const user = client({ capabilities: { elicitation: { form: {} } } });
  const { requestState } = await user.callTool("t");
  const store = away("read", "answer");
  const inputResponses = { name: accept({ name: "Ada" }) };
  const round = user.send("tools/call", { name: "t", arguments: {}, requestState, inputResponses });
  await store.tried();
  store.back();
  expect(textOf((await round).message.result)).toContain("Ada");
});

test("a task that runs here is told of from memory, with the questions that are open", async () => {
  const { user } = await story(QUICK, { ...ALWAYS, limits: { maxWaitMs: 0 } });
  const { taskId } = await user.callTool("t");
  const known = await user.taskWhen(taskId, ({ status }) => status === "input_required");
  const store = away("read");
  const { ttlMs: _, pollIntervalMs: _interval, ...told } = await user.task(taskId);
  expect(known).toMatchObject(told);
  expect(store.tries()).toBeGreaterThan(0);
});

test.for([
  ["longer than requests may wait", 40],
  ["when none may wait", 0],
] as const)("a store that is away %s is an error that has a status", async ([, maxWaitMs]) => {
  const { user, url } = await story(
    { "tools/call": (call) => call.text("done") },
    {
      ...ALWAYS,
      limits: { maxWaitMs },
    },
  );
  const older = await LegacyWire.connect(url);
  const { taskId } = await user.callTool("t");
  await user.settled(taskId);
  away("read", "create");
  const answers = [
    user.send("tasks/get", { taskId }),
    user.send("tools/call", { name: "t" }),
    older.send("tasks/get", { taskId }),
    older.send("tools/call", { name: "t", task: {} }),
  ];
  for (const answer of answers)
    expect(await answer).toMatchObject({
      status: 503,
      headers: { "retry-after": "1" },
      message: { error: { code: -32603, data: { retryable: true } } },
    });
});

test.skipIf(withoutRedis("a Redis that is emptied"))(
  "a store that is emptied has what runs again, for whoever listens, and whoever asks another gateway",
  async () => {
    const redis = await redisForTest();
    const server = await startScriptedServer({
      "tools/call": (call) => (call.message.params?.name === "quick" ? call.text("done") : undefined),
    });
    onTestFinished(server.close);
    const settings = { upstream: server.url, store: redis.url, ...ALWAYS };
    const [here, there] = [await gatewayFor(settings), await gatewayFor(settings)];
    const user = here.client();
    const ended = await user.callTool("quick");
    await user.settled(ended.taskId);
    const { taskId } = await user.callTool("t");
    const call = await server.arrival("tools/call", 2);
    await redis.command("FLUSHALL");
    expect(await user.task(taskId)).toMatchObject({ status: "working" });
    expect((await user.send("tasks/get", { taskId: ended.taskId })).message.error.code).toBe(-32602);
    const elsewhere = async () => (await there.client().send("tasks/get", { taskId })).message.result?.status;
    await expect.poll(elsewhere, { timeout: 60_000 }).toBe("working");
    call.json(textResult("done"));
    expect(await user.settled(taskId)).toMatchObject({ status: "completed" });
  },
);

test("whoever listens to a task goes on hearing of it after the store was away", async () => {
  const { user, server } = await story({ "tools/call": () => undefined }, ALWAYS);
  const { taskId } = await user.callTool("t");
  const call = await server.arrival("tools/call");
  await user.taskWhen(taskId, ({ statusMessage }) => statusMessage === "running");
  const listening = listen(user, { taskIds: [taskId] });
  await listening.next();
  expect((await listening.next()).params).toMatchObject({ status: "working" });
  const store = away("read");
  call.json(textResult("done"));
  await store.tried();
  store.back();
  expect((await listening.next()).params).toMatchObject({ status: "completed" });
});
