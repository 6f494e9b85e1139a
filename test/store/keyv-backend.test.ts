import { expect, test, vi } from "vitest";
import { CellStore } from "../../src/store/cell-store.ts";
import { KeyvBackend, type KeyvEntry } from "../../src/store/keyv-backend.ts";
import { MemoryStorage } from "../../src/store/memory.ts";
import { StoreUnavailable, UnreadableValue } from "../../src/store/task-store.ts";
import { completed, everyRequest, newTask } from "./samples.ts";

test("a storage that fails makes every operation fail with its cause, and without the key", async () => {
  const storage = new FailingStorage();
  const store = await CellStore.open({ url: "test:", backend: new KeyvBackend("test:", storage) });
  const task = await store.create(newTask({ inputRequests: { name: { method: "roots/list" } } }));

  storage.fault = new Error("disk full");
  const calls = everyRequest(store, task);
  const errors = (await Promise.all(calls.map((call) => call.catch((error: unknown) => error)))) as Error[];

  expect(errors.map((error) => [error instanceof StoreUnavailable, error.cause])).toEqual(
    calls.map(() => [true, storage.fault]),
  );
  expect(errors.filter(({ message }) => message.includes(task.id))).toEqual([]);
  await store.close();
});

test("a storage that refuses a value, or a place in a list, makes the write fail", async () => {
  const storage = new FailingStorage();
  const backend = new KeyvBackend("test:", storage);
  const store = await CellStore.open({ url: "test:", backend, isLasting: false });

  storage.refused = "list:";
  await expect(store.create(newTask({ isListed: true }))).rejects.toThrow(StoreUnavailable);
  await expect(store.create(newTask())).resolves.toMatchObject({ owner: store.me });
  storage.refused = "task:";
  await expect(store.create(newTask({ isListed: true }))).rejects.toThrow(StoreUnavailable);

  await store.close();
});

test("a claim that failed leaves the key to the next", async () => {
  const storage = new FailingStorage();
  const backend = new KeyvBackend("test:", storage);

  storage.fault = new Error("disk full");
  const failed = Promise.allSettled([1, 2].map((n) => backend.claim("end:a", { n }, 60_000)));
  expect((await failed).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  storage.fault = undefined;

  expect(await backend.claim("end:a", { n: 3 }, 60_000)).toEqual({ n: 3 });
  expect(await backend.claim("end:a", { n: 4 }, 60_000)).toEqual({ n: 3 });
  await backend.close();
});

test("a nudge of an operation that failed is not sent", async () => {
  const storage = new FailingStorage();
  const store = await CellStore.open({ url: "test:", backend: new KeyvBackend("test:", storage) });
  const task = await store.create(newTask());
  const nudges: unknown[] = [];
  store.watch((nudge) => nudges.push(nudge));

  storage.fault = new Error("disk full");
  await Promise.allSettled([
    store.update(task, { statusMessage: "late" }),
    store.end(task, completed("late")),
    store.answer(task, "name", { result: {} }),
  ]);

  expect(nudges).toEqual([]);
  await store.close();
});

test("a value that is no longer JSON is an error at once, not a missing task or a store that is away", async () => {
  const storage = new MemoryStorage();
  const store = await CellStore.open({ url: "test:", backend: new KeyvBackend("test:", storage) });
  const task = await store.create(newTask());

  storage.set(`task:${task.id}`, "{ torn", 60_000);

  await expect(store.read(task.id)).rejects.toThrow(UnreadableValue);
  await store.close();
});

test("a claim on a damaged value is an error at once, and a write that LevelDB refuses is a store that is away", async () => {
  const storage = new FailingStorage();
  const backend = new KeyvBackend("test:", storage);
  storage.set("end:a", "{ torn", 60_000);
  await expect(backend.claim("end:a", {}, 60_000)).rejects.toThrow(UnreadableValue);

  vi.spyOn(storage, "set").mockImplementation(() => {
    throw Object.assign(new Error("Corruption: a table"), { code: "LEVEL_CORRUPTION" });
  });
  for (const write of [backend.claim("end:b", {}, 60_000), backend.set("end:b", {}, 60_000)]) {
    const error = await write.catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(StoreUnavailable);
    expect(error).not.toBeInstanceOf(UnreadableValue);
  }
  await backend.close();
});

class FailingStorage extends MemoryStorage {
  fault: Error | undefined;
  /** What the keys begin with that are not taken. */
  refused: string | undefined;

  override get(key: string): string | undefined {
    if (this.fault) throw this.fault;
    return super.get(key);
  }

  override set(key: string, text: string, ttlMs: number): void {
    if (this.fault) throw this.fault;
    super.set(key, text, ttlMs);
  }

  override setMany(entries: readonly KeyvEntry[]): boolean[] {
    const isTaken = super.setMany(entries);
    return isTaken.map((taken, n) => taken && entries[n]?.key.startsWith(this.refused ?? "none") === false);
  }

  override keysAfter(key: string, limit: number): readonly string[] {
    if (this.fault) throw this.fault;
    return super.keysAfter(key, limit);
  }
}
