/** What a running task could not write while its store was away is written once the store is back, without another event. */

import { expect, test, vi } from "vitest";
import { UnreadableValue } from "../../src/store/task-store.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { form, gate, story } from "../support/story.ts";
import { CLAIMANT, running } from "./running.ts";

test.each(["isCut", "isFull", "isDeaf"] as const)(
  "a question, while the store %s, is there once it is not",
  async (fault) => {
    const asks = gate();
    const { server, access, begin, seen } = await running(async (call) => {
      await asks.opened;
      await call.sse().ask("elicitation/create", form("Who?", "name"));
    });
    const { id, call } = await begin();
    await server.arrival("tools/call");
    access[fault] = true;
    asks.open();
    await vi.waitUntil(() => call.isAsking, { timeout: 60_000 });
    // It has been tried, and nothing else is going to happen to the call.
    await vi.waitUntil(() => access.refused > 1, { timeout: 60_000 });
    access[fault] = false;
    expect((await seen(id, ({ inputRequests }) => inputRequests.name))?.inputRequests).toHaveProperty("name");
  },
);

test("a question that the server takes back while the store is away is not asked any more", async () => {
  const takesBack = gate();
  const { access, begin, seen } = await running(async (call) => {
    const stream = call.sse();
    void stream.ask("elicitation/create", form("Who?", "name"), "q1");
    await takesBack.opened;
    stream.event({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: "q1" } });
  });
  const { id, call } = await begin();
  await seen(id, ({ inputRequests }) => inputRequests.name);
  access.isCut = true;
  takesBack.open();
  await vi.waitUntil(() => !call.isAsking && access.refused > 1, { timeout: 60_000 });
  access.isCut = false;
  expect((await seen(id, ({ inputRequests }) => !inputRequests.name))?.inputRequests).toEqual({});
});

test("progress that was told while the store was away is told", async () => {
  const goesOn = gate();
  const { server, access, begin, seen } = await running(async (call) => {
    const stream = call.sse();
    await goesOn.opened;
    const { progressToken } = (call.message.params?._meta ?? {}) as { progressToken?: unknown };
    stream.event({
      jsonrpc: "2.0",
      method: "notifications/progress",
      params: { progressToken, progress: 3, total: 4 },
    });
  });
  const { id } = await begin();
  await server.arrival("tools/call");
  access.isCut = true;
  goesOn.open();
  await vi.waitUntil(() => access.refused > 1, { timeout: 60_000 });
  access.isCut = false;
  expect(await seen(id, ({ statusMessage }) => statusMessage === "3 of 4")).toBeDefined();
});

test("a place to go on from that was reached while the store was away is kept", async () => {
  const goesOn = gate();
  const { server, access, begin, seen } = await running(async (call) => {
    const stream = call.sse();
    await goesOn.opened;
    stream.event({ jsonrpc: "2.0", method: "notifications/message", params: {} }, { id: "event-7" });
  });
  const { id } = await begin();
  await server.arrival("tools/call");
  access.isCut = true;
  goesOn.open();
  await vi.waitUntil(() => access.refused > 1, { timeout: 60_000 });
  access.isCut = false;
  expect(await seen(id, ({ checkpoint }) => checkpoint?.lastEventId === "event-7")).toBeDefined();
});

test("that a call has not been sent is said once the store takes it", async () => {
  const { access, begin, seen, slots } = await running(() => undefined, { maxConcurrent: 1 });
  slots.enter("ada", () => undefined);
  // The record is there, and what is said of it is refused.
  access.writesLeft = 1;
  const { id } = await begin();
  await vi.waitUntil(() => access.refused > 1, { timeout: 60_000 });
  access.writesLeft = Number.POSITIVE_INFINITY;
  expect(await seen(id, ({ isUnsent }) => isUnsent)).toBeDefined();
});

test.skipIf(withoutRedis("a question while Redis is away")).each(["killed", "stopped"])(
  "a question that is asked while Redis is %s is told when it is back",
  { timeout: 240_000 },
  async (how) => {
    const redis = await redisForTest();
    const asks = gate();
    const { user } = await story(
      {
        "tools/call": async (call) => {
          await asks.opened;
          const stream = call.sse();
          await stream.ask("elicitation/create", form("Who?", "name"));
          stream.event(call.answer({ content: [{ type: "text", text: "done" }] }));
          stream.end();
        },
      },
      { store: redis.url, policy: { mode: "always" } },
    );
    const { taskId } = await user.callTool("t");
    await user.taskWhen(taskId, ({ status }) => status === "working");
    await (how === "killed" ? redis.kill() : redis.pause());
    asks.open();
    // Longer than an operation may take: the question is refused at least once.
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    if (how === "killed") await redis.restart();
    else redis.resume();
    const is = (status: string) =>
      vi.waitUntil(
        async () => {
          const { message } = await user.send("tasks/get", { taskId });
          return message.result?.status === status;
        },
        { timeout: 60_000, interval: 50 },
      );
    await is("input_required");
    await user.result("tasks/update", {
      taskId,
      inputResponses: { name: { action: "accept", content: { name: "Ada" } } },
    });
    await is("completed");
  },
);

test("a task whose outcome is damaged in the store is not written for ever, and the gateway can stop", async () => {
  const { memory, engine, begin } = await running((call) => call.json({ content: [] }));
  const { id, call } = await begin();
  memory.damage(`end:${id}`);
  call.cancel("for the test");
  await engine.settled();
  await expect(engine.get(id, CLAIMANT)).rejects.toThrow(UnreadableValue);
});

test("an outcome is written though the task's record is damaged", async () => {
  const { server, memory, engine, elsewhere, begin } = await running(() => {});
  const { id } = await begin();
  await server.arrival("tools/call");
  memory.damage(`task:${id}`);
  await server.close();
  await engine.settled();
  expect(await elsewhere.ending(id)).toMatchObject({ kind: "failed" });
});
