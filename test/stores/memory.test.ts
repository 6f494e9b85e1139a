import { expect, onTestFinished, test } from "vitest";
import { MemoryStorage } from "../../src/stores/memory.ts";
import { openStore } from "../../src/stores/open.ts";
import type { StoreOptions } from "../../src/stores/options.ts";
import { taskStoreContract } from "../contracts/task-store.ts";

taskStoreContract("memory", (options) => openStore("memory:", options));

test("a sweep forgets what has expired and keeps the rest", async () => {
  const time = { now: 0 };
  const storage = memoryStorage({ clock: () => time.now });
  for (let n = 0; n < 12_000; n++) storage.set(`key ${n}`, "text", n % 2 ? 1_000 : 2_000);

  time.now = 1_500;
  await storage.sweep();

  expect(storage.size).toBe(6_000);
  expect(storage.getMany(["key 0", "key 1"])).toEqual(["text", undefined]);
});

test("a key that is written again is kept until its new time", async () => {
  const time = { now: 0 };
  const storage = memoryStorage({ clock: () => time.now });
  storage.set("key", "old", 1_000);
  time.now = 900;
  storage.set("key", "new", 1_000);

  time.now = 1_500;
  await storage.sweep();

  expect(storage.get("key")).toBe("new");
});

test("sweeps come by themselves", async () => {
  const time = { now: 0 };
  const storage = memoryStorage({ clock: () => time.now, sweepEveryMs: 5 });
  storage.set("key", "text", 1_000);

  time.now = 1_000;

  await expect.poll(() => storage.size).toBe(0);
});

function memoryStorage(options: StoreOptions): MemoryStorage {
  const storage = new MemoryStorage(options);
  onTestFinished(() => storage.disconnect());
  return storage;
}
