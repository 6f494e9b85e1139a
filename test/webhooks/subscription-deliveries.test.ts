/** What becomes of a client's events whose receiver, gateway or store fails. */

import { expect, test, vi } from "vitest";
import { outboxOf } from "../../src/store/subscriptions.ts";
import { EVENT_ATTEMPTS, eventPauseMs, eventRestMs } from "../../src/webhooks/schedule.ts";
import { answering, SECRET, secretOf, startCallback } from "./callback.ts";
import { ADA, subscribed } from "./subscribed.ts";

const WAIT = { timeout: 60_000, interval: 20 } as const;

test("an event is tried five times in a quarter of an hour, each time signed anew, and then dropped", async () => {
  const callback = await startCallback();
  callback.take = answering(500);
  const { replica, pass, tried, untilTried } = await subscribed();
  const { telling, subscribe, endTask, store } = await replica();
  telling.begin();
  const { id } = await subscribe(callback.wish());
  await endTask();
  let passed = 0;
  for (let count = 1; count <= EVENT_ATTEMPTS; count += 1) {
    const ms = count === 1 ? 0 : eventPauseMs(count - 1, 0, 1);
    passed += ms;
    pass(ms);
    await untilTried(count);
  }
  await untilTried(EVENT_ATTEMPTS + 1);
  expect(passed).toBeLessThan(900_000);
  expect(tried).toEqual([...Array.from({ length: EVENT_ATTEMPTS }, () => "failed"), "given up"]);
  expect(new Set(callback.events.map(({ id: event }) => event)).size).toBe(1);
  for (const { signedBy } of callback.events) expect(signedBy).toEqual([SECRET]);
  await vi.waitUntil(async () => (await store.outbox.waiting(outboxOf(id), 10)).length === 0, WAIT);
  expect(await store.outbox.undelivered(outboxOf(id), 10)).toEqual([]);
  await vi.waitUntil(async () => (await store.subscriptions.health(id))?.failure === "http_5xx", WAIT);
  const again = await subscribe(callback.wish());
  expect(again.deliveryStatus).toMatchObject({
    lastDeliveryAt: null,
    lastError: "http_5xx",
    failedSince: expect.any(String),
  });
  callback.take = answering(204);
  await endTask();
  await untilTried(EVENT_ATTEMPTS + 2);
  expect(tried.at(-1)).toBe("delivered");
});

test.for([410, 413])(
  "an event that is answered %d is not told again, and the next one is",
  async (status) => {
    const callback = await startCallback();
    callback.take = answering(status);
    const { replica, tried, untilTried } = await subscribed();
    const { telling, subscribe, endTask, store } = await replica();
    telling.begin();
    const { id } = await subscribe(callback.wish());
    // The receiver is not left alone for it.
    for (let n = 1; n <= 7; n += 1) {
      await endTask();
      await untilTried(2 * n);
    }
    callback.take = answering(202);
    await endTask();
    await untilTried(15);
    expect(tried.filter((outcome) => outcome === "given up")).toHaveLength(7);
    expect(tried.at(-1)).toBe("delivered");
    expect((await store.subscriptions.find(id))?.is).toBe("subscription");
  },
);

test.for([
  ["answers elsewhere", answering(302, { location: "/other" }), "http_4xx"],
  ["does not answer", () => new Promise<void>(() => {}), "timeout"],
  [
    "closes the connection",
    (_: unknown, response: { destroy(): void }) => response.destroy(),
    "connection_refused",
  ],
  ["is not ready", answering(503), "http_5xx"],
] as const)("a receiver that %s is tried again", async ([, take, failure]) => {
  const callback = await startCallback();
  callback.take = take;
  const { replica, pass, tried, untilTried } = await subscribed({ timeoutMs: 300 });
  const { telling, subscribe, endTask, store } = await replica();
  telling.begin();
  const { id } = await subscribe(callback.wish());
  await endTask();
  await untilTried(1);
  await vi.waitUntil(async () => (await store.subscriptions.health(id))?.failure === failure, WAIT);
  callback.take = answering(204);
  await vi.waitUntil(async () => (await store.outbox.waiting(outboxOf(id), 1))[0]?.attempts === 1, WAIT);
  pass(7_000);
  await untilTried(2);
  expect(tried).toEqual(["failed", "delivered"]);
  expect(new Set(callback.events.map(({ path }) => path))).toEqual(new Set(["/callback?user=1"]));
  expect(new Set(callback.events.map(({ id: event }) => event)).size).toBe(1);
});

test("a receiver that hangs keeps nobody else waiting, not even at its own host", async () => {
  const callback = await startCallback();
  callback.take = (posted, response) =>
    posted.path.endsWith("slow") ? new Promise<void>(() => {}) : answering(204)(posted, response);
  const { replica } = await subscribed({ timeoutMs: 20_000 });
  const { telling, subscribe, endTask } = await replica();
  telling.begin();
  for (let n = 0; n < 10; n += 1) await subscribe(callback.wish({}, {}, `&n=${n}&slow`));
  const { id } = await subscribe(callback.wish({}, {}, "&quick"));
  for (let n = 0; n < 20; n += 1) await endTask();
  const toId = () => callback.events.filter(({ subscription }) => subscription === id).length;
  await callback.until(() => toId() === 20);
  // Two at a time for each subscription.
  expect(callback.events.length).toBeLessThanOrEqual(20 + 10 * 2);
});

test("what waits for a gateway is told by the next one, and what is over is not", async () => {
  const callback = await startCallback();
  const { replica, memory } = await subscribed();
  const first = await replica();
  const kept = await first.subscribe(callback.wish());
  const ended = await first.subscribe(callback.wish({ tool: "render" }));
  const id = await first.endTask();
  await first.telling.unsubscribe(ADA, callback.wish({ tool: "render" }));
  const second = await replica();
  second.telling.begin();
  await first.store.leave();
  first.access.isCut = true;
  await vi.waitUntil(() => {
    memory.publish({ kind: "left", replica: first.store.me });
    return callback.events.length > 0;
  }, WAIT);
  expect(callback.events).toMatchObject([{ subscription: kept.id, body: { data: { taskId: id } } }]);
  await vi.waitUntil(
    async () => (await second.store.outbox.waiting(outboxOf(ended.id), 10)).length === 0,
    WAIT,
  );
  expect(callback.events).toHaveLength(1);
});

test("a subscription whose time is over is told of nothing, and makes room", async () => {
  const callback = await startCallback();
  const { replica, pass } = await subscribed({ maxPerCaller: 1 });
  const { telling, subscribe, endTask, store } = await replica();
  const { id } = await subscribe(callback.wish({}, { ttlMs: 600_000 }));
  await endTask();
  pass(600_001);
  await endTask();
  telling.begin();
  await vi.waitUntil(async () => (await store.outbox.waiting(outboxOf(id), 10)).length === 0, WAIT);
  expect(callback.events).toEqual([]);
  const other = await subscribe(callback.wish({ tool: "render" }));
  await endTask();
  await callback.until(() => callback.events.length > 0);
  expect(callback.events.map(({ subscription }) => subscription)).toEqual([other.id]);
  // Asked for again it is the same, and has to be agreed to again.
  await telling.unsubscribe(ADA, callback.wish({ tool: "render" }));
  expect((await subscribe(callback.wish())).id).toBe(id);
  expect(callback.challenges).toHaveLength(3);
});

test("a secret that was changed at one gateway signs what another delivers", async () => {
  const [older, newer] = [secretOf(1), secretOf(2)];
  const callback = await startCallback([older, newer]);
  const { replica, pass, clock } = await subscribed();
  const [here, there] = [await replica(), await replica()];
  here.telling.begin();
  there.telling.begin();
  const wish = (secret: string) =>
    callback.wish({}, { delivery: { mode: "webhook", url: callback.url, secret } });
  await here.subscribe(wish(older));
  await there.endTask();
  await callback.until(() => callback.events.length === 1);
  expect((await there.subscribe(wish(newer))).id).toBe((await here.subscribe(wish(newer))).id);
  await here.endTask();
  await callback.until(() => callback.events.length === 2);
  const began = clock();
  pass(1_200_001);
  await there.subscribe(wish(newer));
  await there.endTask();
  await callback.until(() => callback.events.length === 3);
  expect(callback.events.map(({ signedBy }) => signedBy)).toEqual([[older], [older, newer], [newer]]);
  expect(clock() - began).toBe(1_200_001);
});

test("a receiver is asked again a day later", async () => {
  const callback = await startCallback();
  const { replica, pass } = await subscribed({ maxTtlMs: 7 * 86_400_000 });
  const { subscribe } = await replica();
  await subscribe(callback.wish());
  pass(86_300_000);
  await subscribe(callback.wish());
  expect(callback.challenges).toHaveLength(1);
  pass(200_000);
  callback.verify = answering(410);
  await expect(subscribe(callback.wish())).rejects.toMatchObject({ code: -32015 });
  expect(callback.challenges).toHaveLength(2);
});

test("a gateway that the store refuses grants nothing", async () => {
  const callback = await startCallback();
  const { replica } = await subscribed();
  const { subscribe, access } = await replica();
  access.isFull = true;
  await expect(subscribe(callback.wish())).rejects.toThrow("full");
  access.isFull = false;
  access.isCut = true;
  await expect(subscribe(callback.wish())).rejects.toThrow("cut off");
  access.isCut = false;
  expect(await subscribe(callback.wish())).toMatchObject({ id: expect.stringMatching(/^sub_/) });
});

test("of several that ask for the last place one gets it", async () => {
  const callback = await startCallback();
  const { replica } = await subscribed({ maxPerCaller: 3 });
  const { subscribe, store } = await replica();
  const asked = await Promise.allSettled(
    Array.from({ length: 8 }, (_, n) => subscribe(callback.wish({ tool: `tool ${n}` }))),
  );
  expect(asked.filter(({ status }) => status === "fulfilled")).toHaveLength(3);
  expect(await store.subscriptions.ofOwner(ADA)).toHaveLength(3);
});

test("a receiver that fails is left alone for a minute at most", () => {
  expect([0, 4, 5, 6, 100].map((failures) => eventRestMs(failures))).toEqual([0, 0, 5_000, 10_000, 60_000]);
  expect(eventRestMs(1, 3_600_000)).toBe(60_000);
  expect(eventPauseMs(1, 3_600_000, 0)).toBe(300_000);
});
