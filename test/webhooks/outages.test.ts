/** What becomes of order, and of what is kept, while receivers do not take events. */

import { createHash } from "node:crypto";
import type { ServerResponse } from "node:http";
import { expect, test, vi } from "vitest";
import { eventId } from "../../src/store/outbox.ts";
import type { Outcome } from "../../src/store/task-store.ts";
import { newTask } from "../store/samples.ts";
import { answering, type Received, startReceiver } from "./receiver.ts";
import { told } from "./replicas.ts";

const WAIT = { timeout: 60_000, interval: 60 } as const;
const SHORT = { ttlMs: 60_000, pollIntervalMs: 500, maxPollIntervalMs: 500, maxRuntimeMs: 60_000 };

const typesOf = (received: readonly Received[], id: string) =>
  received.filter(({ body }) => body.data.task.taskId === id).map(({ body }) => body.type);

test("after an outage of ten minutes each task is told in order", async () => {
  const receiver = await startReceiver();
  receiver.take = answering(503);
  const { replica, pass, clock, untilTried } = await told([
    receiver.webhook({ events: ["created", "completed"] }),
  ]);
  const { telling, store } = await replica();
  telling.begin();
  const tasks = [];
  for (let n = 0; n < 6; n += 1) tasks.push(await store.create(newTask()));
  await untilTried(5);
  pass(1_000);
  for (const task of tasks)
    await store.end(task, { kind: "completed", endedAt: clock(), result: "{}" } as Outcome);
  receiver.take = answering(204);
  const before = receiver.received.length;
  await vi.waitUntil(() => {
    pass(600_000);
    return receiver.received.length - before >= 12;
  }, WAIT);
  for (const { id } of tasks)
    expect(typesOf(receiver.received.slice(before), id)).toEqual(["task.created", "task.completed"]);
});

test("what happens to a task within a millisecond is told in order", async () => {
  const receiver = await startReceiver();
  const { replica, clock } = await told([receiver.webhook({ events: ["created", "progress", "completed"] })]);
  const { telling, store } = await replica();
  const task = await store.create(newTask());
  const moved = await store.update(task, { statusMessage: "half of it" });
  await store.end(moved, { kind: "completed", endedAt: clock(), result: "{}" } as Outcome);
  telling.begin();
  await receiver.until(() => receiver.received.length === 3);
  expect(receiver.types()).toEqual(["task.created", "task.progress", "task.completed"]);
});

test("what another gateway writes late, or by a slow clock, outlives its task as well", async () => {
  const receiver = await startReceiver();
  receiver.take = answering(503);
  const { replica, pass, untilTried } = await told([receiver.webhook({ events: ["completed"] })]);
  const { telling, endTask, store } = await replica();
  const behind = await replica({ aheadMs: -50_000 });
  telling.begin();
  for (let n = 0; n < 40; n += 1) await endTask();
  await untilTried(5);
  const isKept = async () => {
    telling.wake();
    const all = await store.outbox.waiting("receiver", 100);
    const kept = await Promise.all(all.map((one) => store.outbox.keptOf("receiver", one)));
    return kept.every(({ kept }) => kept !== undefined);
  };
  await vi.waitUntil(isKept, WAIT);
  const id = await behind.endTask({ terms: SHORT });
  await vi.waitUntil(isKept, WAIT);
  receiver.take = answering(204);
  await vi.waitUntil(() => {
    pass(600_000);
    return typesOf(receiver.received, id).length > 0;
  }, WAIT);
});

test("an event that cannot be read any more keeps no other waiting", async () => {
  const receiver = await startReceiver();
  receiver.take = answering(503);
  const { memory, replica, pass, untilTried } = await told([receiver.webhook({ events: ["completed"] })]);
  const { telling, endTask, store } = await replica();
  telling.begin();
  const ids = new Set([await endTask()]);
  await untilTried(1);
  await telling.close(Promise.resolve());
  const [delivery] = await store.outbox.waiting("receiver", 1);
  if (delivery === undefined) throw new Error("nothing waits");
  memory.damage(
    `post:${createHash("sha256").update("receiver").digest("base64url").slice(0, 16)}:${eventId(delivery)}`,
  );
  receiver.take = answering(204);
  const next = await replica();
  pass(60_000);
  ids.add(await endTask());
  next.telling.begin();
  await vi.waitUntil(() => {
    pass(60_000);
    return new Set(receiver.received.slice(1).map(({ body }) => body.data.task.taskId)).size === 2;
  }, WAIT);
});

test("a receiver that does not end its answers has taken the events, and takes more", async () => {
  const receiver = await startReceiver();
  receiver.take = (_, response) => void response.writeHead(200).write("{");
  const { replica, tried, untilTried } = await told([
    receiver.webhook({ events: ["completed"], timeoutMs: 120_000 }),
  ]);
  const { telling, endTask } = await replica();
  telling.begin();
  for (let n = 0; n < 24; n += 1) await endTask();
  await untilTried(24);
  expect(new Set(tried)).toEqual(new Set(["delivered"]));
});

test("receivers of one origin do not wait for one another", async () => {
  const receiver = await startReceiver();
  const silent: ServerResponse[] = [];
  receiver.take = ({ path }, response) => {
    if (path === "/hook") return answering(204)({} as Received, response);
    silent.push(response);
    return new Promise<void>(() => {});
  };
  const events = ["completed"] as const;
  const { replica, tried, untilTried } = await told([
    receiver.webhook({ name: "one", url: new URL("/one", receiver.url), events }),
    receiver.webhook({ name: "other", url: new URL("/other", receiver.url), events }),
    receiver.webhook({ name: "third", events, timeoutMs: 1_000 }),
  ]);
  const { telling, endTask } = await replica();
  telling.begin();
  for (let n = 0; n < 20; n += 1) await endTask();
  await receiver.until(() => silent.length === 16);
  for (let n = 0; n < 20; n += 1) await endTask();
  await untilTried(40);
  expect(tried.slice(0, 40)).toEqual(Array.from({ length: 40 }, () => "delivered"));
});

test("after an hour's outage several gateways tell each event about once", async () => {
  const receiver = await startReceiver();
  receiver.take = answering(503);
  const { replica, pass, tried } = await told([receiver.webhook({ events: ["completed"] })]);
  const all = [await replica(), await replica(), await replica()] as const;
  for (const { telling } of all) telling.begin();
  const count = 300;
  for (let n = 0; n < count; n += 3) for (const { endTask } of all) await endTask();
  // Each of them has found that it takes nothing.
  const failed = async () => {
    pass(1_000);
    const statuses = await Promise.all(all.map(({ telling }) => telling.statuses()));
    return statuses.every(([status]) => (status?.failures ?? 0) >= 5);
  };
  await vi.waitUntil(failed, WAIT);
  // None is under way, to be put off for longer than this test passes.
  await vi.waitUntil(() => tried.length === receiver.received.length, WAIT);
  receiver.take = answering(204);
  const before = receiver.received.length;
  pass(3_600_000);
  const isEach = () => new Set(receiver.received.slice(before).map(({ id }) => id)).size === count;
  await vi.waitUntil(() => {
    pass(200);
    return isEach();
  }, WAIT);
  await vi.waitUntil(async () => (await all[0].telling.statuses())[0]?.waiting === 0, WAIT);
  expect(receiver.received.length - before).toBeLessThan(count * 1.1);
});

test("an event that another gateway is just putting off is not lost", async () => {
  const receiver = await startReceiver();
  const { replica } = await told([receiver.webhook({ events: ["completed"] })]);
  const { telling, endTask, store } = await replica();
  await endTask();
  const [entry] = await store.outbox.waiting("receiver", 1);
  if (entry === undefined) throw new Error("nothing waits");
  // The later entry is there already, and what is kept is still of the earlier one.
  await store.outbox.keep("receiver", { ...entry, dueAt: entry.dueAt - 1 }, '{"type":"task.completed"}');
  telling.begin();
  await receiver.until(() => receiver.received.length === 1);
  expect(receiver.received[0]?.id).toBe(eventId(entry));
});
