/** A `tools/call` that is sent again under its idempotency key: it is made once, and everybody is told the same. */

import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";

import { directory } from "../store/places.ts";
import { type GatewaySettings, gatewayFor } from "../support/gateway.ts";
import { byName, LegacyWire } from "../support/legacy-wire.ts";
import { type CallOptions, ModernClient } from "../support/modern-client.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { accept, asksOnce, count, form, gate, INPUT, story, textOf, textResult } from "../support/story.ts";

const META = "mcp-taskgate/idempotencyKey";
const ALWAYS = { policy: { mode: "always" } } as const;

const keyed = (key: string): CallOptions => ({ headers: { "idempotency-key": key } });

/** A server whose calls end when they are let go, each with another text. */
function counting() {
  const letGo = gate();
  let calls = 0;
  const scripts = {
    "tools/call": async (call: { text(text: string): void }) => {
      calls += 1;
      const nth = calls;
      await letGo.opened;
      call.text(`run ${nth}`);
    },
  };
  return { scripts, ...letGo };
}

test("a call that was answered is not made again: the answer is", async () => {
  const { scripts, open } = counting();
  open();
  const { user, server } = await story(scripts);
  const once = keyed(randomUUID());
  const answers = [await user.callTool("t", { a: 1 }, once), await user.callTool("t", { a: 1 }, once)];
  expect(answers.map(textOf)).toEqual(["run 1", "run 1"]);
  expect(answers[1]).toEqual(answers[0]);
  expect(count(server, "tools/call")).toBe(1);
});

test("requests at the same time wait for one call, and get one handle", async () => {
  const { scripts, open } = counting();
  const { user, server } = await story(scripts, { policy: { waitForMs: 300 } });
  const once = keyed(randomUUID());
  const handles = await Promise.all([1, 2, 3].map(() => user.callTool("t", {}, once)));
  expect(new Set(handles.map(({ taskId }) => taskId)).size).toBe(1);
  open();
  expect(textOf((await user.settled(handles[0].taskId)).result)).toBe("run 1");
  expect(textOf(await user.callTool("t", {}, once))).toBe("run 1");
  expect(count(server, "tools/call")).toBe(1);
});

test("a tool that is always a task gives its handle at once, each time", async () => {
  const { scripts, open } = counting();
  const { user, server } = await story(scripts, ALWAYS);
  const once = keyed(randomUUID());
  const [one, two] = [await user.callTool("t", {}, once), await user.callTool("t", {}, once)];
  expect([one.status, two.taskId]).toEqual(["working", one.taskId]);
  open();
  expect(textOf((await user.settled(one.taskId)).result)).toBe("run 1");
  expect(count(server, "tools/call")).toBe(1);
});

test("a client that hangs up and comes back finds its call", async () => {
  const { scripts, open } = counting();
  const { user, server } = await story(scripts, { policy: { waitForMs: 60_000 } });
  const once = keyed(randomUUID());
  const left = new AbortController();
  const first = user.callTool("t", {}, { ...once, signal: left.signal });
  await server.arrival("tools/call");
  left.abort();
  await expect(first).rejects.toThrow("abort");
  // Whoever answers this has heard of the hang-up.
  await user.result("tools/list");
  const again = user.callTool("t", {}, once);
  open();
  expect(textOf(await again)).toBe("run 1");
  expect(count(server, "notifications/cancelled")).toBe(0);
});

test("a client without tasks has its result and its error again", async () => {
  const { gateway, server } = await story({
    "tools/call": (call) =>
      call.message.params?.name === "bad" ? call.error(-32001, "out of paper") : call.text("done"),
  });
  const user = new ModernClient(new URL(gateway.routes[0]?.url ?? ""), { capabilities: {} });
  const [good, bad] = [keyed(randomUUID()), keyed(randomUUID())];
  for (let turn = 0; turn < 2; turn += 1) {
    expect(textOf(await user.callTool("t", {}, good))).toBe("done");
    const { message } = await user.send("tools/call", { name: "bad", arguments: {} }, bad);
    expect(message.error).toMatchObject({ message: "out of paper" });
  }
  expect(count(server, "tools/call")).toBe(2);
});

test("its questions are asked again, and the rounds that answer them are no calls of their own", async () => {
  const { gateway, server } = await story({ "tools/call": asksOnce });
  const user = new ModernClient(new URL(gateway.routes[0]?.url ?? ""), { capabilities: INPUT });
  const once = keyed(randomUUID());
  const [first, second] = [await user.callTool("t", {}, once), await user.callTool("t", {}, once)];
  expect([first.resultType, second.resultType]).toEqual(["input_required", "input_required"]);
  expect(second.inputRequests).toEqual(first.inputRequests);
  const { requestState } = second;
  const params = { requestState, inputResponses: { name: accept({ name: "Ada" }) } };
  const answer = textOf(await user.callTool("t", {}, { ...once, params }));
  expect(answer).toContain("Ada");
  expect(textOf(await user.callTool("t", {}, once))).toBe(answer);
  expect(count(server, "tools/call")).toBe(1);
});

test("a client that hangs up while it waits for a round's answer finds its call by the key", async () => {
  const letGo = gate();
  const { gateway, server } = await story({
    "tools/call": async (call) => {
      const stream = call.sse();
      await stream.ask("elicitation/create", form("Who are you?", "name"));
      await letGo.opened;
      stream.event(call.answer(textResult("done")));
      stream.end();
    },
  });
  const user = new ModernClient(new URL(gateway.routes[0]?.url ?? ""), { capabilities: INPUT });
  const once = keyed(randomUUID());
  const { requestState } = await user.callTool("t", {}, once);
  const params = { requestState, inputResponses: { name: accept({ name: "Ada" }) } };
  const left = new AbortController();
  const round = user.callTool("t", {}, { params, signal: left.signal });
  await server.arrival("answer");
  left.abort();
  await expect(round).rejects.toThrow("abort");
  // Whoever answers this has heard of the hang-up.
  await user.result("tools/list");
  const again = user.callTool("t", {}, once);
  letGo.open();
  expect(textOf(await again)).toBe("done");
  expect(count(server, "notifications/cancelled")).toBe(0);
  expect(count(server, "tools/call")).toBe(1);
});

test("the same key comes in a header, quoted or not, or in _meta, and other orders are the same arguments", async () => {
  const { scripts, open } = counting();
  open();
  const { user } = await story(scripts);
  const key = randomUUID();
  const ways: CallOptions[] = [keyed(key), keyed(`"${key}"`), { meta: { [META]: key } }];
  const texts = await Promise.all(
    ways.map(async (way, nth) =>
      textOf(
        await user.callTool(
          "t",
          nth === 0 ? { a: 1, b: [{ c: 2, d: 3 }] } : { b: [{ d: 3, c: 2 }], a: 1 },
          way,
        ),
      ),
    ),
  );
  expect(texts).toEqual(["run 1", "run 1", "run 1"]);
});

test.each([
  ["another tool", "u", { a: 1 }],
  ["other arguments", "t", { a: 2 }],
  ["a number that only looks the same to a double", "t", { a: 1, id: 2 ** 53 }],
])("a key that was used for another call is refused for %s", async (_what, name, args) => {
  const { scripts, open } = counting();
  open();
  const { user, server } = await story(scripts);
  const once = keyed(randomUUID());
  await user.callTool("t", { a: 1 }, once);
  const { status, message } = await user.send("tools/call", { name, arguments: args }, once);
  expect([status, message.error.code]).toEqual([422, -32602]);
  expect(message.error.message).toContain("idempotency key");
  expect(count(server, "tools/call")).toBe(1);
});

test.each([
  ["is too long", "k".repeat(300), "1 to 255 visible ASCII characters; got 300 characters"],
  ["has a blank", "a key of several words", "visible ASCII characters"],
  ["can be guessed, where callers are not told apart", "order-1", "at least 16 characters"],
])("a key that %s is refused, and nothing runs", async (_what, key, why) => {
  const { user, server } = await story({ "tools/call": (call) => call.text("done") });
  const { message } = await user.send("tools/call", { name: "t", arguments: {} }, keyed(key));
  expect(message.error).toMatchObject({ code: -32602, message: expect.stringContaining(why) });
  expect(count(server, "tools/call")).toBe(0);
});

test("a header and _meta that differ are refused, and so is a key that is no text", async () => {
  const { user, server } = await story({ "tools/call": (call) => call.text("done") });
  const both = { ...keyed(randomUUID()), meta: { [META]: randomUUID() } };
  const refused = await user.send("tools/call", { name: "t", arguments: {} }, both);
  expect(refused.message.error.message).toContain("must be the same");
  const number = await user.send("tools/call", { name: "t", arguments: {} }, { meta: { [META]: 7 } });
  expect(number.message.error.message).toContain(`_meta["${META}"] must be`);
  expect(count(server, "tools/call")).toBe(0);
});

test("what callers who are told apart call by one key is each one's own", async () => {
  const { scripts, open } = counting();
  open();
  const { gateway } = await story(scripts, { identify: byName });
  const url = new URL(gateway.routes[0]?.url ?? "");
  const as = (name: string) => new ModernClient(url, { headers: { "x-user": name } });
  const [ada, eve] = [as("ada"), as("eve")];
  expect(textOf(await ada.callTool("t", {}, keyed("1")))).toBe("run 1");
  expect(textOf(await eve.callTool("t", {}, keyed("1")))).toBe("run 2");
  expect(textOf(await ada.callTool("t", {}, keyed("1")))).toBe("run 1");
});

test("a task of 2025-11-25 is created once, and a client of 2026-07-28 finds it by the key", async () => {
  const { scripts, open } = counting();
  const { url, user: modern, server } = await story(scripts);
  const user = await LegacyWire.connect(url);
  const key = randomUUID();
  const call = { name: "t", arguments: {}, task: {}, _meta: { [META]: key } };
  const [one, two] = [await user.result("tools/call", call), await user.result("tools/call", call)];
  expect(two.task.taskId).toBe(one.task.taskId);
  open();
  expect(textOf(await modern.callTool("t", {}, keyed(key)))).toBe("run 1");
  expect(count(server, "tools/call")).toBe(1);
});

test("a task of 2025-11-25 that asks is asked of a client of 2026-07-28 as a task, and of no other", async () => {
  const { url, gateway, server, user } = await story({ "tools/call": asksOnce });
  const legacy = await LegacyWire.connect(url, { capabilities: { elicitation: {} } });
  const key = randomUUID();
  await legacy.result("tools/call", { name: "t", arguments: {}, task: {}, _meta: { [META]: key } });
  const plain = new ModernClient(new URL(gateway.routes[0]?.url ?? ""), { capabilities: INPUT });
  const { status, message } = await plain.send("tools/call", { name: "t", arguments: {} }, keyed(key));
  expect([status, message.error.code]).toEqual([400, -32021]);
  const { taskId } = await user.callTool("t", {}, keyed(key));
  await user.taskWhen(taskId, ({ status }) => status === "input_required");
  expect(count(server, "tools/call")).toBe(1);
});

test("a key whose task has expired is refused while anything is left of it", async () => {
  const { scripts, open } = counting();
  open();
  const { user, server } = await story(scripts, { policy: { ttlMs: 1 } });
  const once = keyed(randomUUID());
  const again = () => user.send("tools/call", { name: "t", arguments: {} }, once);
  await again();
  await expect.poll(async () => (await again()).status).toBe(409);
  expect((await again()).message.error.message).toContain("has expired; use another key");
  expect(count(server, "tools/call")).toBe(1);
});

test("a gateway that starts again gives the task that the one before it made", async () => {
  const { scripts, open } = counting();
  const store = `level:${await directory()}`;
  const { gateway, server, user } = await story(scripts, { store, ...ALWAYS });
  const once = keyed(randomUUID());
  open();
  const { taskId } = await user.callTool("t", {}, once);
  await user.settled(taskId);
  await gateway.close();
  const next = await gatewayFor({ upstream: server.url, store, ...ALWAYS });
  expect(await next.client().callTool("t", {}, once)).toMatchObject({ taskId });
  expect(count(server, "tools/call")).toBe(1);
});

describe.skipIf(withoutRedis("idempotency keys over Redis"))("two gateways", () => {
  test("at which the same call arrives at the same time make it once", async () => {
    const { url: store } = await redisForTest();
    const { scripts, open } = counting();
    const settings: Partial<GatewaySettings> = { store, policy: { waitForMs: 60_000 } };
    const { server, user } = await story(scripts, settings);
    const other = (await gatewayFor({ upstream: server.url, ...settings })).client();
    const keys = Array.from({ length: 20 }, () => randomUUID());
    const calls = keys.flatMap((key) => [user, other].map((client) => client.callTool("t", {}, keyed(key))));
    await server.until(() => count(server, "tools/call") === keys.length, "each call once");
    open();
    const texts = (await Promise.all(calls)).map(textOf);
    expect(texts.filter((_, nth) => nth % 2 === 0)).toEqual(texts.filter((_, nth) => nth % 2 === 1));
    expect(new Set(texts).size).toBe(keys.length);
    expect(count(server, "tools/call")).toBe(keys.length);
  });
});
