import { describe, expect, onTestFinished, test } from "vitest";
import { toJson } from "../../src/protocol/jsonrpc.ts";
import type { StoreOptions } from "../../src/store/options.ts";
import type { NewTask, Outcome, TaskRecord, TaskStore } from "../../src/store/task-store.ts";
import { firstCursor, listedIds, pagesOf } from "../store/pages.ts";
import { newTask } from "../store/samples.ts";

const ADA = { route: "reports", caller: "ada" };
const BOB = { route: "reports", caller: "bob" };
const START = 1_800_000_000_000;

/** What every task store promises of the list of a caller's tasks. `open` gives an empty store; the suite closes it. */
export function taskListContract(name: string, open: (options?: StoreOptions) => Promise<TaskStore>): void {
  const opened = async (options?: StoreOptions) => {
    const time = { now: START };
    const store = await open({ clock: () => time.now, ...options });
    onTestFinished(() => store.close());
    return { store, time };
  };

  describe(`${name}: the list of a caller's tasks`, () => {
    test.each([
      [1, [1, 1, 1, 1, 1, 1, 1]],
      [2, [2, 2, 2, 1]],
      [3, [3, 3, 1]],
      [6, [6, 1]],
      [7, [7]],
      [8, [7]],
    ])("seven tasks in pages of %i: oldest first, each once", async (limit, sizes) => {
      const { store, time } = await opened();
      const tasks = await createMany(store, 7, () => void time.now++);

      const pages = await pagesOf(store, ADA, limit);

      expect(pages.map((page) => page.length)).toEqual(sizes);
      expect(pages.flat()).toEqual(tasks.map((task) => ({ task })));
    });

    test("tasks of one millisecond have an order", async () => {
      const { store } = await opened();
      const tasks = await Promise.all(Array.from({ length: 50 }, () => store.create(listed())));

      const ids = await listedIds(store, ADA, 3);

      expect(ids).toEqual(tasks.map(({ id }) => id).toSorted());
    });

    test("who has no tasks has an empty list", async () => {
      const { store } = await opened();

      expect(await store.list(ADA, { limit: 10 })).toEqual({ tasks: [] });
    });

    test("a task that is not listed is read but not listed", async () => {
      const { store } = await opened();
      const tasks = [
        await store.create(newTask(ADA)),
        await store.create(newTask({ ...ADA, isListed: false })),
      ];
      await store.end(tasks[0] as TaskRecord, done(START));

      expect(await listedIds(store, ADA)).toEqual([]);
      expect((await Promise.all(tasks.map(({ id }) => store.read(id)))).map((view) => view?.task.id)).toEqual(
        tasks.map(({ id }) => id),
      );
    });

    test("a task is listed as it is read: its state, what it still asks, how it ended", async () => {
      const { store } = await opened();
      const inputRequests = { name: { method: "roots/list" }, age: { method: "roots/list" } };
      const [told, asking, ended] = [
        await store.create(listed()),
        await store.create(listed({ inputRequests })),
        await store.create(listed()),
      ];
      await store.update(told, { statusMessage: "half way" });
      await store.answer(asking, "name", { result: { roots: [] } });
      const outcome = await store.end(ended, { kind: "lost", endedAt: START, reason: "the gateway stopped" });

      const views = new Map((await pagesOf(store, ADA, 2)).flat().map((view) => [view.task.id, view]));

      expect(views.get(told.id)?.task.statusMessage).toBe("half way");
      expect(views.get(asking.id)?.task.inputRequests).toEqual({ age: { method: "roots/list" } });
      expect(views.get(ended.id)?.outcome).toEqual(outcome);
      expect([...views.values()]).toEqual(await Promise.all([...views.keys()].map((id) => store.read(id))));
    });

    test("changes do not move a task", async () => {
      const { store, time } = await opened();
      const [first, second] = await createMany(store, 2, () => void time.now++);

      await store.update(first as TaskRecord, { statusMessage: "later" });
      await store.end(first as TaskRecord, done(time.now));

      expect(await listedIds(store, ADA)).toEqual([first?.id, second?.id]);
    });

    test("any two names of route and caller are a list of their own", async () => {
      const { store } = await opened();
      const names = [
        "",
        "a",
        "b",
        "a:b",
        "b:c",
        'a","b',
        "\ud800",
        "\ufffd",
        "\\ud800",
        "__proto__",
        "ключ 🔑",
      ];
      const owners = [...names, "x".repeat(100_000)].flatMap((route) =>
        [...names, "a:b:c", "c"].map((caller) => ({ route, caller })),
      );
      const tasks = await Promise.all(
        owners.map((owner) => store.create(newTask({ ...owner, isListed: true }))),
      );

      const lists = await Promise.all(owners.map((owner) => listedIds(store, owner)));

      expect(lists).toEqual(tasks.map(({ id }) => [id]));
    });
  });

  describe(`${name}: pages while tasks come and go`, () => {
    test("a thousand tasks are paged completely, each once, while others are created and end", async () => {
      const { store, time } = await opened();
      const tasks = await createMany(store, 1_000, () => void time.now++);
      const busy: Promise<unknown>[] = [];
      const late: Promise<TaskRecord>[] = [];

      const pages = await pagesOf(store, ADA, 40, async () => {
        time.now++;
        const [end, ...more] = [late.length, 1, 2, 3].map((n) => tasks[(late.length * 7 + n) % 1_000]);
        busy.push(store.end(end as TaskRecord, done(time.now)));
        for (const task of more) busy.push(store.update(task as TaskRecord, { statusMessage: "busy" }));
        // No more than a page has, or the list would grow as fast as it is read.
        late.push(...Array.from({ length: 8 }, () => store.create(listed())));
      });

      await Promise.all(busy);
      const known = tasks.map(({ id }) => id);
      const seen = pages.flat().map(({ task }) => task.id);
      const created = new Set((await Promise.all(late)).map(({ id }) => id));
      expect(seen.slice(0, 1_000)).toEqual(known);
      expect(seen.slice(1_000).filter((id) => !created.has(id))).toEqual([]);
      expect(new Set(seen).size).toBe(seen.length);
      expect(pages.slice(0, 25).map((page) => page.length)).toEqual(Array.from({ length: 25 }, () => 40));
    });

    test("a task that was created with the clock set back pushes nobody out of a page", async () => {
      const { store, time } = await opened();
      const tasks = await createMany(store, 5, () => void time.now++);
      const ids = tasks.map(({ id }) => id);
      const early: string[] = [];

      const pages = await pagesOf(store, ADA, 2, async () => {
        time.now = START - 1_000;
        early.push((await store.create(listed())).id);
      });

      expect(pages.map((page) => page.map(({ task }) => task.id))).toEqual([
        ids.slice(0, 2),
        ids.slice(2, 4),
        ids.slice(4),
      ]);
      expect(await listedIds(store, ADA)).toEqual([...early.toSorted(), ...ids]);
    });

    test("a cursor stays valid when its task has gone", async () => {
      const { store, time } = await opened();
      const short = { ...newTask().terms, ttlMs: 10_000, maxRuntimeMs: 5_000 };
      const first = await store.create(listed({ terms: short }));
      time.now++;
      const second = await store.create(listed());
      await store.end(first, done(time.now));
      const cursor = await firstCursor(store, ADA);

      time.now += 10_001;

      expect(await store.read(first.id)).toBeUndefined();
      expect(await store.list(ADA, { cursor, limit: 1 })).toEqual({ tasks: [{ task: second }] });
    });
  });

  describe(`${name}: how long a task is listed`, () => {
    const terms = { ...newTask().terms, ttlMs: 10_000, maxRuntimeMs: 5_000 };

    test("a finished task is listed for as long as it can be read", async () => {
      const { store, time } = await opened();
      const task = await store.create(listed({ terms }));
      time.now += 4_900;
      await store.end(task, done(time.now));

      time.now += 10_000;
      expect(await listedIds(store, ADA)).toEqual([task.id]);
      time.now += 1;
      expect(await store.list(ADA, { limit: 10 })).toEqual({ tasks: [] });
    });

    test("a task that goes on changing is listed however long it runs", async () => {
      const { store, time } = await opened();
      let task = await store.create(listed({ terms }));
      for (let change = 1; change <= 10; change++) {
        time.now += 14_000;
        task = await store.update(task, { statusMessage: `change ${change}` });
      }

      time.now += 15_000;
      expect(await store.list(ADA, { limit: 10 })).toEqual({ tasks: [{ task }] });
      time.now += 1;
      expect(await store.list(ADA, { limit: 10 })).toEqual({ tasks: [] });
    });

    test("a page does bounded work, however many tasks have gone before it", async () => {
      const { store, time } = await opened();
      const gone = await createMany(store, 300, () => {}, { terms });
      await Promise.all(gone.map((task) => store.end(task, done(time.now))));
      time.now += 10_001;
      const task = await store.create(listed());

      const pages = await pagesOf(store, ADA, 10);

      expect(pages.map((page) => page.length)).toEqual([0, 0, 1]);
      expect(pages.flat()).toEqual([{ task }]);
    });

    test("a page of large results ends early", async () => {
      const { store, time } = await opened();
      const tasks = await createMany(store, 5, () => void time.now++);
      for (const task of tasks) await store.end(task, done(START, "x".repeat(3_000_000)));

      const pages = await pagesOf(store, ADA, 5);

      expect(pages.map((page) => page.map(({ task }) => task.id))).toEqual([
        [tasks[0]?.id, tasks[1]?.id],
        [tasks[2]?.id, tasks[3]?.id],
        [tasks[4]?.id],
      ]);
    });
  });

  describe(`${name}: cursors that are none`, () => {
    test.each<[string, (cursor: string) => string]>([
      ["empty", () => ""],
      ["something else", () => "garbage"],
      ["a method", () => "toString"],
      ["with the first letter missing", (cursor) => cursor.slice(1)],
      ["with the last letter missing", (cursor) => cursor.slice(0, -1)],
      ["cut in the middle", (cursor) => cursor.slice(0, cursor.length / 2)],
      ["a letter longer", (cursor) => `${cursor}A`],
      ["with white space", (cursor) => `${cursor}\n`],
      ["twice", (cursor) => cursor + cursor],
      ["very long", (cursor) => cursor.repeat(20_000)],
      ["in other letters", (cursor) => cursor.toUpperCase()],
      ["with a NUL", (cursor) => `${cursor.slice(0, -1)}\0`],
      ["not ASCII", () => "ümläut👋"],
    ])("%s", async (_, spoil) => {
      const { store, time } = await opened({ newId: lowerCaseIds() });
      await createMany(store, 3, () => void time.now++);
      const cursor = await firstCursor(store, ADA);

      expect(await store.list(ADA, { cursor: spoil(cursor), limit: 10 })).toBeUndefined();
      expect((await store.list(ADA, { cursor, limit: 10 }))?.tasks).toHaveLength(2);
    });

    test("with any one letter changed", async () => {
      const { store, time } = await opened();
      await createMany(store, 2, () => void time.now++);
      const cursor = await firstCursor(store, ADA);
      const spoilt = [...cursor].map(
        (letter, at) => cursor.slice(0, at) + (letter === "0" ? "1" : "0") + cursor.slice(at + 1),
      );

      const pages = await Promise.all(spoilt.map((wrong) => store.list(ADA, { cursor: wrong, limit: 10 })));

      expect(pages.filter((page) => page !== undefined)).toEqual([]);
    });

    test.each([
      ["caller", BOB],
      ["route", { route: "charts", caller: "ada" }],
    ])("of another %s", async (_, other) => {
      const { store, time } = await opened();
      await createMany(store, 2, () => void time.now++);
      await createMany(store, 2, () => void time.now++, other);
      const [mine, foreign] = [await firstCursor(store, ADA), await firstCursor(store, other)];

      expect(await store.list(ADA, { cursor: foreign, limit: 10 })).toBeUndefined();
      expect(await store.list(other, { cursor: mine, limit: 10 })).toBeUndefined();
      expect((await store.list(other, { cursor: foreign, limit: 10 }))?.tasks).toHaveLength(1);
    });
  });
}

function listed(more: Partial<NewTask> = {}): NewTask {
  return newTask({ ...ADA, isListed: true, ...more });
}

function done(endedAt: number, result = "done"): Outcome {
  return { kind: "completed", endedAt, result: toJson(result) };
}

/** Listed tasks, one after the other; `then` is called after each. */
async function createMany(
  store: TaskStore,
  count: number,
  then: () => void,
  more: Partial<NewTask> = {},
): Promise<TaskRecord[]> {
  const created: Promise<TaskRecord>[] = [];
  for (let n = 0; n < count; n++) {
    created.push(store.create(listed(more)));
    then();
  }
  return Promise.all(created);
}

/** So that a cursor in capitals is another one. */
function lowerCaseIds(): () => string {
  let count = 0;
  return () => `task-${count++}`;
}
