import { expect, test } from "vitest";
import { CellStore } from "../../src/stores/cell-store.ts";
import { KeyvBackend } from "../../src/stores/keyv-backend.ts";
import { MemoryStorage } from "../../src/stores/memory.ts";
import { completed, newTask } from "./samples.ts";

test("keys live a minute longer than the task can, in whole milliseconds", async () => {
  const { store, storage } = recorded();
  const terms = { ...newTask().terms, maxRuntimeMs: 1_000.25, ttlMs: 500.5 };
  const task = await store.create(newTask({ terms, inputRequests: { name: { method: "roots/list" } } }));

  await store.update(task, { statusMessage: "half way" });
  await store.answer(task, "name", { roots: [] });
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

test("ids come from the source that is given", async () => {
  const { store } = recorded({ newId: () => "task-one" });

  expect((await store.create(newTask())).id).toBe("task-one");
  await store.close();
});

test("a finished task is read in one round trip, whatever it had asked", async () => {
  const { store, storage } = recorded();
  const task = await store.create(newTask({ inputRequests: { name: { method: "roots/list" } } }));
  await store.end(task, completed("done"));

  await store.read(task.id);

  expect(storage.read).toEqual([[`task:${task.id}`, `end:${task.id}`]]);
  await store.close();
});

function recorded(options: { newId?: () => string } = {}) {
  const storage = new RecordedStorage();
  return { storage, store: new CellStore("test:", new KeyvBackend("test:", storage), options) };
}

class RecordedStorage extends MemoryStorage {
  readonly written: [key: string, ttlMs: number][] = [];
  readonly read: (readonly string[])[] = [];

  override set(key: string, text: string, ttlMs: number): void {
    this.written.push([key, ttlMs]);
    super.set(key, text, ttlMs);
  }

  override getMany(keys: readonly string[]): (string | undefined)[] {
    this.read.push(keys);
    return super.getMany(keys);
  }
}
