/** Clients' own subscriptions to what happens to their tasks. */

import { expect, test } from "vitest";
import type { StorySettings } from "../support/story.ts";
import { asksOnce, EVERYTHING, story, textResult } from "../support/story.ts";
import { answering, type Callback, EVENT, EVENTS, SECRET, secretOf, startCallback } from "./callback.ts";

const CAPABILITY = "io.modelcontextprotocol/events";

async function world(settings: Partial<StorySettings> = {}) {
  const told = await story(
    {
      "tools/call": (call) =>
        call.message.params?.name === "ask" ? asksOnce(call) : call.json(textResult("done")),
    },
    {
      callers: { identify: "header", header: "x-user", trustedProxies: ["127.0.0.1"] },
      policy: { mode: "always" },
      events: EVENTS,
      ...settings,
    },
  );
  const as = (name: string) => told.client({ capabilities: EVERYTHING, headers: { "x-user": name } });
  return { ...told, as };
}

/** What a request is refused with. */
async function refusal(
  client: ReturnType<Awaited<ReturnType<typeof world>>["as"]>,
  method: string,
  params: object,
) {
  const { message } = await client.send(method, { ...params });
  return message.error;
}

test("a client is told when its task has ended, and gets the result by tasks/get", async () => {
  const { as } = await world();
  const callback = await startCallback();
  const ada = as("ada");
  const { capabilities } = await ada.result("server/discover");
  expect(capabilities).toMatchObject({ events: {}, extensions: { [CAPABILITY]: {} } });
  const listed = await ada.result("events/list");
  expect(listed).toMatchObject({
    resultType: "complete",
    events: [{ name: EVENT, delivery: ["webhook"], inputSchema: { type: "object" } }],
  });
  const granted = await ada.result("events/subscribe", callback.wish());
  expect(granted).toMatchObject({ resultType: "complete", cursor: null, truncated: false });
  expect(granted).not.toHaveProperty("deliveryStatus");
  expect(Date.parse(granted.refreshBefore) - Date.now()).toBeGreaterThan(86_000_000);
  expect(callback.challenges).toHaveLength(1);
  expect(callback.challenges[0]).toMatchObject({
    id: expect.stringMatching(/^msg_verification_/),
    subscription: granted.id,
    path: "/callback?user=1",
    signedBy: [SECRET],
  });
  const { taskId } = await ada.callTool("quick");
  await callback.until(() => callback.events.length > 0);
  const [event] = callback.events;
  expect(event).toMatchObject({
    subscription: granted.id,
    path: "/callback?user=1",
    signedBy: [SECRET],
    body: { name: EVENT, data: { taskId, status: "completed", server: "tested", tool: "quick" } },
  });
  expect(event?.body.eventId).toBe(event?.id);
  expect(Object.keys(event?.body)).toEqual(["eventId", "name", "timestamp", "data"]);
  expect((await ada.task(taskId)).result.content).toEqual([{ type: "text", text: "done" }]);
});

test("a client is told that its task asks for something", async () => {
  const { as } = await world();
  const callback = await startCallback();
  const ada = as("ada");
  await ada.result("events/subscribe", callback.wish({ statuses: ["input_required"] }));
  const { taskId } = await ada.callTool("ask");
  await callback.until(() => callback.events.length > 0);
  expect(callback.events[0]?.body.data).toMatchObject({ taskId, status: "input_required" });
  await ada.result("tasks/cancel", { taskId });
});

test("nobody is told of another caller's tasks", async () => {
  const { as } = await world();
  const [ofAda, ofEve] = [await startCallback(), await startCallback()];
  const [ada, eve] = [as("ada"), as("eve")];
  const { id } = await ada.result("events/subscribe", ofAda.wish());
  await eve.result("events/subscribe", ofEve.wish());
  // The same url and arguments are another subscription.
  expect((await eve.result("events/subscribe", ofAda.wish())).id).not.toBe(id);
  const adas = await ada.callTool("quick");
  await ofAda.until(() => ofAda.events.length > 0);
  const eves = await eve.callTool("quick");
  await ofEve.until(() => ofEve.events.length > 0);
  await ofAda.until(() => ofAda.events.length > 1);
  const toldTo = (callback: Callback) =>
    callback.events.map(({ subscription, body }) => [subscription === id, body.data.taskId]);
  expect(toldTo(ofEve)).toEqual([[false, eves.taskId]]);
  expect(toldTo(ofAda)).toEqual([
    [true, adas.taskId],
    [false, eves.taskId],
  ]);
  // Nor can she subscribe to one, or end what is not hers.
  expect(await refusal(eve, "events/subscribe", ofEve.wish({ taskId: adas.taskId }))).toMatchObject({
    code: -32011,
    data: { kind: "task" },
  });
  await eve.result("events/unsubscribe", ofAda.wish());
  const again = await ada.callTool("quick");
  await ofAda.until(() => ofAda.events.some(({ body }) => body.data.taskId === again.taskId));
});

test("who is not told apart has no subscriptions", async () => {
  const { client } = await world({ callers: { identify: "anonymous" } });
  const callback = await startCallback();
  const { capabilities } = await client().result("server/discover");
  expect(capabilities).not.toHaveProperty("events");
  expect(capabilities.extensions).not.toHaveProperty(CAPABILITY);
  for (const method of ["events/list", "events/subscribe", "events/unsubscribe"])
    expect(await refusal(client(), method, callback.wish())).toMatchObject({ code: -32012 });
  expect(callback.challenges).toEqual([]);
});

test("without the setting there is no such method", async () => {
  const { as } = await world({ events: undefined });
  const { capabilities } = await as("ada").result("server/discover");
  expect(capabilities).not.toHaveProperty("events");
  expect(await refusal(as("ada"), "events/list", {})).toMatchObject({ code: -32601 });
});

test("of a task that the client names it hears at once if that has ended", async () => {
  const { as } = await world();
  const callback = await startCallback();
  const ada = as("ada");
  const { taskId } = await ada.callTool("quick");
  const other = await ada.callTool("quick");
  await ada.settled(taskId);
  await ada.result("events/subscribe", callback.wish({ taskId }));
  await callback.until(() => callback.events.length > 0);
  await ada.callTool("quick");
  await ada.settled(other.taskId);
  const asking = await ada.callTool("ask");
  await ada.taskWhen(asking.taskId, ({ status }) => status === "input_required");
  await ada.result("events/subscribe", callback.wish({ taskId: asking.taskId }));
  await callback.until(() => callback.events.length > 1);
  expect(callback.events.map(({ body }) => [body.data.taskId, body.data.status])).toEqual([
    [taskId, "completed"],
    [asking.taskId, "input_required"],
  ]);
  await ada.result("tasks/cancel", { taskId: asking.taskId });
  await callback.until(() => callback.events.length > 2);
  expect(callback.events[2]?.body.data).toMatchObject({ taskId: asking.taskId, status: "cancelled" });
});

test("asking again is the same subscription, by another secret, and both sign for a while", async () => {
  const { as } = await world();
  const [older, newer] = [secretOf(1), secretOf(2)];
  const callback = await startCallback([older, newer]);
  const ada = as("ada");
  const delivery = { mode: "webhook", url: callback.url };
  const wish = (secret: string) => callback.wish({ tool: "quick" }, { delivery: { ...delivery, secret } });
  const first = await ada.result("events/subscribe", wish(older));
  await ada.callTool("quick");
  await callback.until(() => callback.events.length > 0);
  const again = await ada.result("events/subscribe", wish(newer));
  expect(again.id).toBe(first.id);
  expect(Date.parse(again.refreshBefore)).toBeGreaterThanOrEqual(Date.parse(first.refreshBefore));
  // The receiver has agreed a moment ago.
  expect(callback.challenges).toHaveLength(1);
  await ada.callTool("quick");
  await callback.until(() => callback.events.length > 1);
  expect(callback.events.map(({ signedBy }) => signedBy)).toEqual([[older], [older, newer]]);
  const told = await ada.result("events/subscribe", wish(newer));
  expect(told.deliveryStatus).toMatchObject({
    active: true,
    lastDeliveryAt: expect.any(String),
    lastError: null,
  });
});

test("a subscription that its client ends is told of nothing more", async () => {
  const { as } = await world();
  const callback = await startCallback();
  const ada = as("ada");
  const { id } = await ada.result("events/subscribe", callback.wish());
  const other = await ada.result("events/subscribe", callback.wish({ tool: "quick" }));
  await ada.result("events/unsubscribe", callback.wish());
  // Its answer may have got lost.
  expect(await ada.result("events/unsubscribe", callback.wish())).toMatchObject({ resultType: "complete" });
  await ada.callTool("quick");
  await callback.until(() => callback.events.length > 0);
  await ada.callTool("quick");
  await callback.until(() => callback.events.length > 1);
  expect(callback.events.map(({ subscription }) => subscription)).toEqual([other.id, other.id]);
  expect((await ada.result("events/subscribe", callback.wish())).id).toBe(id);
});

test.for([
  ["another text", (response) => response.end('{"challenge":"x"}'), "challenge_failed"],
  ["no JSON", (response) => response.end("ok"), "challenge_failed"],
  ["more than anybody reads", (response) => response.end("x".repeat(100_000)), "challenge_failed"],
  ["elsewhere", (response) => response.writeHead(302, { location: "/x" }).end(), "challenge_failed"],
  ["no", (response) => response.writeHead(403).end(), "http_4xx"],
  ["with a failure", (response) => response.writeHead(500).end(), "http_5xx"],
  ["by closing", (response) => response.destroy(), "connection_refused"],
  ["not at all", () => {}, "timeout"],
  ["without an end", (response) => response.write("{"), "timeout"],
] as readonly (readonly [string, (response: import("node:http").ServerResponse) => unknown, string])[])(
  "a receiver that answers the challenge %s is told nothing",
  async ([, answer, reason]) => {
    const { as } = await world({ events: { ...EVENTS, timeoutMs: 300 } });
    const callback = await startCallback();
    callback.verify = (_, response) => void answer(response);
    expect(await refusal(as("ada"), "events/subscribe", callback.wish())).toMatchObject({
      code: -32015,
      data: { reason },
    });
    callback.verify = () => {};
    await as("ada").callTool("quick");
    expect(callback.challenges).toHaveLength(1);
    expect(callback.events).toEqual([]);
  },
);

test.for([
  ["http", { url: "http://receiver.example/" }, "delivery.url must be https"],
  ["a password", { url: "https://user:word@receiver.example/" }, "delivery.url must contain no user"],
  ["a fragment", { url: "https://receiver.example/#there" }, "delivery.url must have no fragment"],
  ["no URL", { url: "receiver" }, "delivery.url must be an https URL"],
  ["none at all", { url: undefined }, "delivery.url must be an https URL"],
  ["a long one", { url: `https://receiver.example/${"x".repeat(2_000)}` }, "at most 2000 characters"],
  ["loopback", { url: "https://localhost/" }, "must name a host with a public address"],
  ["loopback of IPv6", { url: "https://[::1]/" }, "must name a host with a public address"],
  ["a network of its own", { url: "https://10.0.0.1/" }, "must name a host with a public address"],
  ["no network at all", { url: "https://[fe80::1]/" }, "must name a host with a public address"],
  ["a short secret", { secret: `whsec_${Buffer.alloc(23).toString("base64")}` }, "delivery.secret must be"],
  ["a long secret", { secret: `whsec_${Buffer.alloc(65).toString("base64")}` }, "delivery.secret must be"],
  ["a secret of no form", { secret: Buffer.alloc(32).toString("base64") }, "delivery.secret must be"],
  ["no secret", { secret: undefined }, "delivery.secret must be"],
] as const)("a subscription with %s is refused", async ([, delivery, message]) => {
  const { as } = await world();
  const callback = await startCallback();
  const wish = callback.wish();
  const asked = { ...wish, delivery: { ...wish.delivery, ...delivery } };
  const error = await refusal(as("ada"), "events/subscribe", asked);
  expect(error).toMatchObject({ code: -32602, message: expect.stringContaining(message) });
  expect(callback.challenges).toEqual([]);
});

test.for([
  [{ name: "mcp.task.updated" }, { code: -32011, data: { kind: "event" } }],
  [{ name: 5 }, { code: -32602 }],
  [{ arguments: [] }, { code: -32602, message: expect.stringContaining("arguments must be an object") }],
  [{ arguments: { task: "x" } }, { code: -32602, message: expect.stringContaining('no "task"') }],
  [{ arguments: { taskId: 5 } }, { code: -32602, message: expect.stringContaining("arguments.taskId") }],
  [{ arguments: { statuses: [] } }, { code: -32602, message: expect.stringContaining("arguments.statuses") }],
  [{ arguments: { statuses: ["working"] } }, { code: -32602 }],
  [{ arguments: { statuses: ["failed", "failed"] } }, { code: -32602 }],
  [{ arguments: { tool: "x".repeat(300) } }, { code: -32602, message: expect.stringContaining("tool") }],
  [{ arguments: { taskId: "A".repeat(24) } }, { code: -32011, data: { kind: "task" } }],
  [{ ttlMs: 0 }, { code: -32602, message: expect.stringContaining("ttlMs") }],
  [{ ttlMs: 1.5 }, { code: -32602 }],
  [{ maxAgeMs: -1 }, { code: -32602, message: expect.stringContaining("maxAgeMs") }],
  [{ cursor: 5 }, { code: -32602, message: expect.stringContaining("cursor") }],
  [{ delivery: { mode: "poll" } }, { code: -32014, data: { feature: "delivery.mode", value: "poll" } }],
  [{ delivery: [] }, { code: -32602 }],
] as const)("a subscription with %j is refused", async ([more, error]) => {
  const { as } = await world();
  const callback = await startCallback();
  expect(await refusal(as("ada"), "events/subscribe", callback.wish({}, more))).toMatchObject(error);
  expect(callback.challenges).toEqual([]);
});

test("the numbers of the errors are a setting", async () => {
  const { as } = await world({ events: { ...EVENTS, errorNumbers: "sep" } });
  const callback = await startCallback();
  const wish = callback.wish({}, { name: "mcp.task.updated" });
  expect(await refusal(as("ada"), "events/subscribe", wish)).toMatchObject({ code: -32023 });
  callback.verify = answering(404);
  expect(await refusal(as("ada"), "events/subscribe", callback.wish())).toMatchObject({
    code: -32027,
    data: { reason: "http_4xx" },
  });
});

test.for([
  ["what is usual", undefined, 86_400_000],
  ["for ever", null, 86_400_000],
  ["less than is worth a write", 1_000, 600_000],
  ["an hour", 3_600_000, 3_600_000],
  ["a year", 365 * 86_400_000, 86_400_000],
] as const)("a client that asks for %s is told by when to ask again", async ([, ttlMs, granted]) => {
  const { as } = await world();
  const callback = await startCallback();
  const wish = callback.wish({}, ttlMs === undefined ? {} : { ttlMs });
  const before = Date.now();
  const { refreshBefore } = await as("ada").result("events/subscribe", wish);
  const ms = Date.parse(refreshBefore);
  expect(ms).toBeGreaterThanOrEqual(before + granted - 1_000);
  expect(ms).toBeLessThanOrEqual(Date.now() + granted + 1_000);
});

test("a client that wants what was before is told that it may lack some of it", async () => {
  const { as } = await world();
  const callback = await startCallback();
  const granted = await as("ada").result("events/subscribe", callback.wish({}, { cursor: "5" }));
  expect(granted).toMatchObject({ cursor: null, truncated: true });
});

test("there are so many subscriptions for a caller, and for all", async () => {
  const { as } = await world({ events: { ...EVENTS, maxPerCaller: 2, maxSubscriptions: 3 } });
  const callback = await startCallback();
  const [ada, eve] = [as("ada"), as("eve")];
  for (const tool of ["a", "b"]) await ada.result("events/subscribe", callback.wish({ tool }));
  expect(await refusal(ada, "events/subscribe", callback.wish({ tool: "c" }))).toMatchObject({
    code: -32013,
    data: { limit: "events.maxPerCaller", max: 2 },
  });
  // Those that there are can be asked for again.
  await ada.result("events/subscribe", callback.wish({ tool: "a" }));
  await eve.result("events/subscribe", callback.wish({ tool: "a" }));
  expect(await refusal(eve, "events/subscribe", callback.wish({ tool: "b" }))).toMatchObject({
    code: -32013,
    data: { limit: "events.maxSubscriptions", max: 3 },
  });
  await ada.result("events/unsubscribe", callback.wish({ tool: "b" }));
  await eve.result("events/subscribe", callback.wish({ tool: "b" }));
});

test("a subscription that nobody has is not found", async () => {
  const { as } = await world();
  const callback = await startCallback();
  expect(await refusal(as("ada"), "events/unsubscribe", callback.wish())).toMatchObject({
    code: -32011,
    data: { kind: "subscription" },
  });
});
