/** What becomes of events whose receiver, gateway or store fails. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer, type Socket } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import type { Outcome } from "../../src/store/task-store.ts";
import { pauseMs } from "../../src/webhooks/schedule.ts";
import { newTask } from "../store/samples.ts";
import { answering, type Receiver, startReceiver } from "./receiver.ts";
import { told } from "./replicas.ts";

const ended = (receiver: Receiver) => receiver.webhook({ events: ["completed"] });

test("a receiver that is down for an hour hears of everything when it is back, by the same ids", async () => {
  const receiver = await startReceiver();
  receiver.take = answering(503);
  const { replica, pass, tried, untilTried } = await told([ended(receiver)]);
  const { telling, endTask } = await replica();
  telling.begin();
  const ids = new Set<string>();
  for (let n = 0; n < 20; n += 1) ids.add(await endTask());
  pass(1);
  await untilTried(1);
  // It is left alone for some minutes in between.
  for (let minutes = 0; minutes < 60; minutes += 5) {
    const before = tried.length;
    pass(5 * 60_000);
    await untilTried(before + 1);
  }
  expect(tried.length).toBeLessThan(100);
  const triedBefore = new Map(receiver.received.map(({ id, text }) => [id, text]));
  receiver.take = answering(200);
  const isAll = () => tried.filter((outcome) => outcome === "delivered").length === ids.size;
  await vi.waitUntil(
    () => {
      pass(60_000);
      return isAll();
    },
    { timeout: 60_000, interval: 60 },
  );
  const delivered = receiver.received.slice(-ids.size);
  expect(new Set(delivered.map(({ body }) => body.data.task.taskId))).toEqual(ids);
  for (const [id, text] of triedBefore) expect(delivered.find((one) => one.id === id)?.text).toBe(text);
});

test("what waits for a receiver outlives its task, though it was not tried", async () => {
  const receiver = await startReceiver();
  receiver.take = answering(503);
  const { replica, pass, untilTried } = await told([ended(receiver)]);
  const { telling, endTask, store } = await replica();
  telling.begin();
  const terms = { ttlMs: 1_000, pollIntervalMs: 500, maxPollIntervalMs: 500, maxRuntimeMs: 1_000 };
  const ids: string[] = [];
  for (let n = 0; n < 30; n += 1) ids.push(await endTask({ terms }));
  await untilTried(5);
  // It is left alone now, and looked at all the same.
  const isKept = async () => {
    const all = await store.outbox.waiting("receiver", 100);
    const kept = await Promise.all(all.map((one) => store.outbox.keptOf("receiver", one)));
    return kept.every(({ kept }) => kept !== undefined);
  };
  await vi.waitUntil(
    () => {
      telling.wake();
      return isKept();
    },
    { timeout: 60_000, interval: 100 },
  );
  receiver.take = answering(200);
  await vi.waitUntil(
    () => {
      pass(60_000);
      return ids.every((id) => receiver.received.slice(-30).some(({ body }) => body.data.task.taskId === id));
    },
    { timeout: 60_000, interval: 60 },
  );
});

test("an event outlives its task, and is given up after ten tries in three days", async () => {
  const receiver = await startReceiver();
  receiver.take = answering(500);
  const { replica, pass, tried, untilTried } = await told([ended(receiver)]);
  const { telling, endTask, store } = await replica();
  telling.begin();
  const id = await endTask();
  for (let count = 1; count <= 10; count += 1) {
    pass(count === 1 ? 1 : pauseMs(count - 1, 0, 1));
    await untilTried(count);
  }
  await untilTried(11);
  expect(tried.at(-1)).toBe("given up");
  expect(await store.read(id)).toBeUndefined();
  expect(new Set(receiver.received.map(({ id: event, text }) => `${event} ${text}`)).size).toBe(1);
  const [event] = (await telling.undelivered("receiver", 10)) ?? [];
  expect(event).toMatchObject({
    webhook: "receiver",
    kind: "ended",
    attempts: 10,
    failure: "it answered 500",
  });
  receiver.take = answering(204);
  expect(await telling.redeliver("receiver", "msg_other")).toBe(0);
  expect(await telling.redeliver("receiver")).toBe(1);
  pass(6 * 60_000);
  await untilTried(12);
  expect(receiver.received.at(-1)?.id).toBe(event?.event);
  expect(await telling.undelivered("receiver", 10)).toEqual([]);
  await vi.waitUntil(async () => (await telling.statuses())[0]?.waiting === 0, { timeout: 60_000 });
});

test.for([410, 413])("a receiver that answers %d is not told of it again", async (status) => {
  const receiver = await startReceiver();
  receiver.take = answering(status);
  const { replica, tried, untilTried } = await told([ended(receiver)]);
  const { telling, endTask } = await replica();
  telling.begin();
  await endTask();
  await untilTried(2);
  expect(tried).toEqual(["failed", "given up"]);
  expect(await telling.statuses()).toMatchObject([{ waiting: 0, undelivered: 1, failures: 1 }]);
});

test("a receiver that says when to come back is left alone until then", async () => {
  const receiver = await startReceiver();
  receiver.take = answering(429, { "retry-after": "600" });
  const { replica, pass, tried, untilTried } = await told([ended(receiver)]);
  const { telling, endTask } = await replica();
  telling.begin();
  await endTask();
  await untilTried(1);
  receiver.take = answering(204);
  pass(599_000);
  await endTask();
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(tried).toEqual(["failed"]);
  pass(2_000);
  await untilTried(3);
  expect(tried).toEqual(["failed", "delivered", "delivered"]);
});

test.for([
  ["answers elsewhere", "it answered 302", answering(302, { location: "/other" })],
  ["does not answer", "no answer within 200 ms", () => new Promise<void>(() => {})],
  [
    "closes the connection",
    "UND_ERR_SOCKET",
    (_: unknown, response: { destroy(): void }) => response.destroy(),
  ],
] as const)("a receiver that %s is tried again", async ([, failure, take]) => {
  const receiver = await startReceiver();
  receiver.take = take;
  const { replica, pass, untilTried } = await told([receiver.webhook({ timeoutMs: 200 })]);
  const { telling, endTask } = await replica();
  telling.begin();
  await endTask();
  await untilTried(1);
  await vi.waitUntil(async () => (await telling.statuses())[0]?.failure === failure, { timeout: 60_000 });
  expect(receiver.received.map(({ path }) => path)).toEqual(["/hook"]);
  receiver.take = answering(204);
  pass(7_000);
  await untilTried(2);
  expect(receiver.received.map(({ path }) => path)).toEqual(["/hook", "/hook"]);
});

test("what follows about a task waits for what came before", async () => {
  const receiver = await startReceiver();
  let isDown = true;
  receiver.take = ({ body }, response) => {
    response.writeHead(isDown && body.type === "task.created" ? 500 : 204).end();
  };
  const { replica, pass, clock, untilTried, tried } = await told([
    receiver.webhook({ events: ["created", "completed"] }),
  ]);
  const { telling, store } = await replica();
  telling.begin();
  const task = await store.create(newTask());
  telling.wake();
  await untilTried(1);
  pass(1);
  await store.end(task, { kind: "completed", endedAt: clock(), result: "{}" } as Outcome);
  pass(1);
  await vi.waitUntil(
    async () => (await store.outbox.waiting("receiver", 10)).every(({ dueAt, at }) => dueAt > at),
    {
      timeout: 60_000,
    },
  );
  isDown = false;
  pass(7_000);
  await untilTried(3);
  expect(tried).toEqual(["failed", "delivered", "delivered"]);
  expect(receiver.types()).toEqual(["task.created", "task.created", "task.completed"]);
});

test("of three gateways each delivers its share, and what one leaves the others deliver", async () => {
  const receiver = await startReceiver();
  const { replica, pass } = await told([ended(receiver)]);
  const replicas = [await replica(), await replica(), await replica()] as const;
  const [dead, ...alive] = replicas;
  for (const { telling } of replicas) telling.begin();
  for (let n = 0; n < 100; n += 1) for (const { endTask } of replicas) await endTask();
  await receiver.until(() => receiver.received.length >= 300);
  expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(300);
  // Its process is killed after the outcomes are durable, and before it could deliver any.
  await dead.telling.close(Promise.resolve());
  for (let n = 0; n < 30; n += 1) await dead.endTask();
  await dead.store.leave();
  dead.access.isCut = true;
  await vi.waitUntil(
    () => {
      pass(1);
      return new Set(receiver.received.map(({ id }) => id)).size === 330;
    },
    { timeout: 60_000, interval: 100 },
  );
  for (const { telling } of alive)
    await vi.waitUntil(async () => (await telling.statuses())[0]?.waiting === 0, { timeout: 60_000 });
  expect(receiver.received.length).toBeLessThan(340);
});

test("an event whose note of delivery is lost is delivered again, by the same id", async () => {
  const receiver = await startReceiver();
  const { replica } = await told([ended(receiver)]);
  const here = await replica();
  const there = await replica();
  here.telling.begin();
  receiver.take = async (_, response) => {
    here.access.isCut = true;
    response.end();
  };
  // Of those that are this gateway's to deliver, one is enough.
  for (let n = 0; n < 20 && receiver.received.length === 0; n += 1) {
    await there.endTask();
    here.telling.wake();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await receiver.until(() => receiver.received.length > 0);
  receiver.take = answering(204);
  await here.telling.close(Promise.resolve());
  here.access.isCut = false;
  await here.store.leave();
  here.access.isCut = true;
  there.telling.begin();
  await vi.waitUntil(async () => (await there.telling.statuses())[0]?.waiting === 0, { timeout: 60_000 });
  const id = receiver.received[0]?.id;
  expect(receiver.received.filter((one) => one.id === id).length).toBeGreaterThan(1);
});

test("one dead receiver of three keeps nobody else waiting, whatever happens in a minute", async () => {
  const [one, other] = [await startReceiver(), await startReceiver()];
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => void sockets.add(socket)).listen(0, "127.0.0.1");
  await once(silent, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const dead = new URL(`http://127.0.0.1:${(silent.address() as AddressInfo).port}/`);
  const events = ["completed"] as const;
  const { replica } = await told([
    one.webhook({ name: "one", events }),
    one.webhook({ name: "dead", url: dead, events, timeoutMs: 300 }),
    other.webhook({ name: "other", events }),
  ]);
  const { telling, endTask } = await replica();
  telling.begin();
  const count = 600;
  await Promise.all(Array.from({ length: count }, () => endTask()));
  await one.until(() => one.received.length === count && other.received.length === count);
  expect(new Set(one.received.map(({ id }) => id)).size).toBe(count);
  // It is left alone after a few failures.
  expect(sockets.size).toBeLessThan(30);
  expect((await telling.statuses())[1]).toMatchObject({ name: "dead", waiting: count });
});

test("a store that is away makes events wait, and loses none", async () => {
  const receiver = await startReceiver();
  const { replica, pass } = await told([ended(receiver)]);
  const here = await replica();
  here.telling.begin();
  await here.endTask();
  await receiver.until(() => receiver.received.length === 1);
  const there = await replica();
  await there.telling.close(Promise.resolve());
  here.access.isCut = true;
  await there.endTask();
  here.telling.wake();
  await vi.waitUntil(() => here.access.refused > 0, { timeout: 60_000 });
  here.access.isCut = false;
  pass(1);
  await receiver.until(() => receiver.received.length === 2);
});

test("a test says how the receiver takes it", async () => {
  const receiver = await startReceiver();
  const { replica } = await told([ended(receiver)]);
  const { telling } = await replica();
  expect(await telling.test("receiver")).toEqual({ kind: "accepted", status: 204 });
  expect(receiver.types()).toEqual(["webhook.test"]);
  receiver.take = answering(401);
  expect(await telling.test("receiver")).toMatchObject({ kind: "refused", status: 401 });
  expect(await telling.test("nobody")).toBeUndefined();
});
