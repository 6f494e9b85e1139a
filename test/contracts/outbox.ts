import { expect, onTestFinished, test } from "vitest";
import type { StoreOptions } from "../../src/store/options.ts";
import { type Delivery, eventId, type News } from "../../src/store/outbox.ts";
import type { TaskStore } from "../../src/store/task-store.ts";
import { completed, newTask } from "../store/samples.ts";

const QUESTION = { method: "elicitation/create" };

/** What every store promises of the deliveries that it keeps with the tasks. */
export function outboxContract(name: string, open: (options?: StoreOptions) => Promise<TaskStore>): void {
  const told = async (kinds: readonly News["kind"][] = ["created", "asked", "progress", "ended"]) => {
    const time = { now: 1_800_000_000_000 };
    const store = await open({
      clock: () => time.now,
      subscribers: ({ tool }, { kind }) =>
        tool === "render" && kinds.includes(kind) ? ["one", "other"] : [],
    });
    onTestFinished(() => store.close());
    return { store, time, waiting: () => store.outbox.waiting("one", 100) };
  };
  const kindsOf = (deliveries: readonly Delivery[]) => deliveries.map(({ kind }) => kind);

  test(`${name}: what happens to a task is in the outbox of each who wants to hear of it, in order`, async () => {
    const { store, time, waiting } = await told();
    let task = await store.create(newTask());
    await store.create(newTask({ tool: "search" }));
    time.now += 10;
    task = await store.update(task, { inputRequests: { a: QUESTION } });
    time.now += 10;
    task = await store.update(task, { statusMessage: "half" });
    time.now += 10;
    await store.end(task, { ...completed("done"), endedAt: time.now });
    const all = await waiting();
    expect(kindsOf(all)).toEqual(["created", "asked", "progress", "ended"]);
    expect(all.map(({ at }) => at - task.createdAt)).toEqual([0, 10, 20, 30]);
    expect(await store.outbox.waiting("other", 100)).toEqual(all);
    expect(await store.outbox.waiting("nobody", 100)).toEqual([]);
    expect(new Set(all.map(eventId)).size).toBe(4);
    expect(await store.outbox.waiting("one", 2, all[1])).toEqual(all.slice(2));
  });

  test(`${name}: an end that is said twice is one event`, async () => {
    const { store, time, waiting } = await told(["ended"]);
    const task = await store.create(newTask());
    await store.end(task, { ...completed("done"), endedAt: time.now });
    await store.end(task, { kind: "cancelled", endedAt: time.now + 5 });
    expect(new Set((await waiting()).map(eventId)).size).toBe(1);
  });

  test(`${name}: a task that is awaited in rounds is told of once its client knows it`, async () => {
    const { store, waiting } = await told();
    const task = await store.create(newTask({ rounds: { request: "r", key: "k" } }));
    expect(await waiting()).toEqual([]);
    await store.tell(task);
    expect(kindsOf(await waiting())).toEqual(["created"]);
  });

  test(`${name}: a delivery is put off with what is told, given up, and taken up again`, async () => {
    const { store, time, waiting } = await told(["ended"]);
    const { outbox } = store;
    const task = await store.create(newTask());
    await store.end(task, { ...completed("done"), endedAt: time.now });
    const [first] = (await waiting()) as [Delivery];
    const later = { ...first, dueAt: first.dueAt + 5_000, attempts: 1 };
    await outbox.hold("one", first, later.dueAt);
    await outbox.postpone("one", first, later, "told", "it answered 500");
    expect(await waiting()).toEqual([later]);
    expect(await outbox.keptOf("one", later)).toEqual({
      kept: { body: "told", dueAt: later.dueAt, failure: "it answered 500" },
      hold: { event: eventId(first), kind: "ended", at: first.at, until: later.dueAt },
    });
    // What is kept already stays.
    await outbox.keep("one", later, "another");
    await outbox.release("one", later);
    expect(await outbox.keptOf("one", later)).toEqual({
      kept: expect.objectContaining({ body: "told" }),
    });
    await outbox.giveUp("one", later, time.now + 9_000, "told", "it answered 410");
    expect(await waiting()).toEqual([]);
    const [given] = (await outbox.undelivered("one", 10)) as [Delivery];
    expect(given).toMatchObject({ kind: "ended", task: task.id, attempts: 1, dueAt: time.now + 9_000 });
    await outbox.takeUp("one", given, time.now + 10_000);
    expect(await outbox.undelivered("one", 10)).toEqual([]);
    expect(await waiting()).toEqual([{ ...first, dueAt: time.now + 10_000 }]);
    await outbox.done("one", { ...first, dueAt: time.now + 10_000 });
    expect(await waiting()).toEqual([]);
    expect(kindsOf(await outbox.waiting("other", 10))).toEqual(["ended"]);
  });
}
