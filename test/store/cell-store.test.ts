import { expect, test, vi } from "vitest";
import { CellStore } from "../../src/store/cell-store.ts";
import { KeyvBackend } from "../../src/store/keyv-backend.ts";
import { MemoryStorage } from "../../src/store/memory.ts";
import type { StoreOptions } from "../../src/store/options.ts";
import type { TaskRecord, TaskView } from "../../src/store/task-store.ts";
import { gate } from "../support/story.ts";
import { listedIds } from "./pages.ts";
import { completed, newTask } from "./samples.ts";

test("keys live a minute longer than the task can, in whole milliseconds", async () => {
  const { store, storage } = await recorded();
  const terms = { ...newTask().terms, maxRuntimeMs: 1_000.25, ttlMs: 500.5 };
  const task = await store.create(newTask({ terms, inputRequests: { name: { method: "roots/list" } } }));

  await store.update(task, { statusMessage: "half way" });
  await store.answer(task, "name", { result: { roots: [] } });
  await store.end(task, completed("done"));

  const { id } = task;
  expect(storage.written).toEqual([
    [`task:${id}`, 61_501],
    [`task:${id}`, 61_501],
    [`in:${id}:name`, 61_501],
    [`end:${id}`, 61_501],
  ]);
  await store.close();
});

test("a listed task costs one more key when it is created and when it ends, and none when it changes", async () => {
  const { store, storage } = await recorded();
  const terms = { ...newTask().terms, maxRuntimeMs: 1_000, ttlMs: 500 };
  const task = await store.create(newTask({ terms, isListed: true }));

  await store.update(task, { statusMessage: "half way" });
  await store.end(task, { kind: "lost", endedAt: 0, reason: "nobody knows" });

  const place = expect.stringMatching(new RegExp(`^list:[\\w-]{43}:\\d{16}${task.id}$`));
  expect(storage.written).toEqual([
    [place, 63_000],
    [`task:${task.id}`, 61_500],
    [`task:${task.id}`, 61_500],
    [place, 60_500],
    [`end:${task.id}`, 61_500],
  ]);
  expect(new Set(storage.written.map(([key]) => key).filter((key) => key.startsWith("list:"))).size).toBe(1);
  await store.close();
});

test("in a store that lasts, a task is in its owner's list until it has ended", async () => {
  const { store, storage } = await recorded({}, true);
  storage.written.length = 0;
  const task = await store.create(newTask());
  const own = `list:tasks-${store.me}:${task.id}`;
  expect(storage.written.map(([key]) => key)).toEqual([own, `task:${task.id}`]);
  expect(storage.keysAfter(own.slice(0, -task.id.length), 10)).toEqual([own]);

  await store.end(task, completed("done"));

  expect(storage.keysAfter(own.slice(0, -task.id.length), 10)).toEqual([]);
  await store.close();
});

test.each([
  { what: "the end alone", isLasting: false, more: {}, left: ["end:ID"] },
  { what: "the end alone, where tasks outlast the process", isLasting: true, more: {}, left: ["end:ID"] },
  {
    what: "end and takeovers of one that was taken over",
    isLasting: true,
    more: { isUnsent: true },
    turns: 2,
    left: ["end:ID", "own:ID:1", "own:ID:2"],
  },
  {
    what: "end and first record of one with an idempotency key",
    isLasting: true,
    more: { idempotency: { fingerprint: "f", creation: "c" } },
    turns: 2,
    left: ["end:ID", "own:ID:1", "own:ID:2", "task:ID"],
  },
])("of a finished task stays: $what", async ({ isLasting, more, turns = 0, left }) => {
  const { store, storage } = await recorded({}, isLasting);
  const storedCall = { method: "tools/call", params: { name: "render" }, headers: {} };
  let task = await store.create(newTask({ ...more, ...(isLasting ? { storedCall } : {}) }));
  for (let turn = 0; turn < turns; turn += 1) task = (await store.takeOver(task)) ?? task;
  expect(task.turn ?? 0).toBe(turns);
  const before = storage.keysOf(task.id);
  await store.end(task, completed("done"));

  // Its creator need not write a record for the first turn.
  expect(before.filter((key) => key.startsWith("task:"))).toHaveLength(Math.max(1, turns));
  expect(before.includes(`recipe:${task.id}`)).toBe(isLasting);
  expect(storage.keysOf(task.id)).toEqual(left.map((key) => key.replace("ID", task.id)));
  await store.close();
});

test("a task with an idempotency key is created once, though it ends while another creation is about to claim it", async () => {
  const { store, storage } = await recorded({}, true);
  const keyed = (creation: string) => newTask({ idempotency: { fingerprint: "f", creation } });
  const slow = gate();
  storage.late = slow.opened;
  const second = store.createOnce(keyed("second"), "once");
  await vi.waitUntil(() => storage.read.length > 0);
  storage.late = undefined;
  const first = await store.createOnce(keyed("first"), "once");
  await store.end((first as TaskView).task, completed("done"));
  slow.open();

  expect((await second)?.task.idempotency?.creation).toBe("first");
  await store.close();
});

test("a task that ends while its takeovers are read is read as finished", async () => {
  const { store, storage } = await recorded({}, true);
  const task = await store.create(newTask({ isUnsent: true }));
  const taken = (await store.takeOver(task)) as TaskRecord;
  const slow = gate();
  storage.late = slow.opened;
  const reading = store.read(task.id);
  await vi.waitUntil(() => storage.read.length > 0);
  storage.late = undefined;
  const outcome = await store.end(taken, completed("done"));
  slow.open();

  expect((await reading)?.outcome).toEqual(outcome);
  await store.close();
});

test("what is swept is never the place of a task that can be read", async () => {
  const time = { now: 1_000_000 };
  const clock = () => time.now;
  const { store, storage } = await recorded({ clock });
  const terms = { ...newTask().terms, maxRuntimeMs: 200_000, ttlMs: 100_000 };
  const [changing, ending, silent] = [
    await store.create(newTask({ terms, isListed: true })),
    await store.create(newTask({ terms, isListed: true })),
    await store.create(newTask({ terms, isListed: true })),
  ];

  // Three lifetimes and more, with a change or an ending at the last moment.
  const lists: string[][] = [];
  let record = changing;
  for (let age = 0; age <= 1_000_000; age += 50_000) {
    time.now = 1_000_000 + age;
    if (age % 300_000 === 0) record = await store.update(record, { statusMessage: `at ${age}` });
    if (age === 300_000) await store.end(ending, { kind: "cancelled", endedAt: time.now });
    await storage.sweep();
    lists.push(await listedIds(store, newTask()));
  }

  const tasks = [changing, ending, silent].map(({ id }) => id).toSorted();
  const without = (...gone: { id: string }[]) => tasks.filter((id) => gone.every((task) => task.id !== id));
  expect(lists).toEqual([
    ...Array.from({ length: 7 }, () => tasks),
    ...Array.from({ length: 2 }, () => without(silent)),
    ...Array.from({ length: 12 }, () => without(silent, ending)),
  ]);
  expect(storage.keysAfter(place(storage.written), 10)).toEqual([expect.stringContaining(changing.id)]);
  await store.close();
});

test("a page looks at no more than a hundred tasks beyond its own, and reads one at a time", async () => {
  const time = { now: 0 };
  const { store, storage } = await recorded({ clock: () => time.now });
  const terms = { ...newTask().terms, maxRuntimeMs: 0, ttlMs: 1_000 };
  await Promise.all(Array.from({ length: 150 }, () => store.create(newTask({ terms, isListed: true }))));
  time.now = 1_001;

  const page = await store.list(newTask(), { limit: 7 });

  expect(page).toEqual({ tasks: [], nextCursor: expect.any(String) });
  expect(storage.read.map((keys) => keys.length)).toEqual(Array.from({ length: 107 }, () => 3));
  await store.close();
});

test("ids come from the source that is given", async () => {
  const { store } = await recorded({ newId: () => "task-one" });

  expect((await store.create(newTask())).id).toBe("task-one");
  await store.close();
});

test("a finished task is read in one round trip, whatever it had asked", async () => {
  const { store, storage } = await recorded();
  const task = await store.create(newTask({ inputRequests: { name: { method: "roots/list" } } }));
  await store.end(task, completed("done"));

  await store.read(task.id);

  expect(storage.read).toEqual([[`task:${task.id}`, `end:${task.id}`, `own:${task.id}:1`]]);
  await store.close();
});

/** The key before all others of the list that was written to. */
function place(written: readonly [key: string, ttlMs: number][]): string {
  const [key = ""] = written.find(([key]) => key.startsWith("list:")) ?? [];
  return key.slice(0, key.lastIndexOf(":") + 1);
}

async function recorded(options: StoreOptions = {}, isLasting = false) {
  const storage = new RecordedStorage(options);
  return {
    storage,
    store: await CellStore.open({
      ...options,
      isLasting,
      url: "test:",
      backend: new KeyvBackend("test:", storage),
    }),
  };
}

class RecordedStorage extends MemoryStorage {
  readonly written: [key: string, ttlMs: number][] = [];
  readonly read: (readonly string[])[] = [];
  /** What is read while it is set arrives when it resolves. */
  late: Promise<void> | undefined;

  override set(key: string, text: string, ttlMs: number): void {
    this.written.push([key, ttlMs]);
    super.set(key, text, ttlMs);
  }

  /** The cells of a task, in the order of their keys. */
  keysOf(id: string): string[] {
    const keys = new Set(this.written.map(([key]) => key));
    return [...keys].filter((key) => key.includes(id) && super.get(key) !== undefined).sort();
  }

  override getMany(keys: readonly string[]): (string | undefined)[] {
    this.read.push(keys);
    const found = super.getMany(keys);
    // Storages may answer with a promise.
    return this.late === undefined ? found : (this.late.then(() => found) as never);
  }
}
