import { expect, onTestFinished, test, vi } from "vitest";
import { createLog } from "../../src/log/log.ts";
import { type MemoryOptions, MemoryStorage, openMemoryStore } from "../../src/store/memory.ts";
import { openStore } from "../../src/store/open.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import { taskStoreContract } from "../contracts/task-store.ts";
import { half } from "../support/call-halves.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { completed, newTask } from "./samples.ts";

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

test("a memory store says how much it takes, and beyond its limit takes only what is small", async () => {
  const time = { now: 0 };
  const storage = memoryStorage({ clock: () => time.now, maxBytes: 100_000 });
  const large = "x".repeat(60_000);
  storage.set("first", large, 1_000);
  const before = storage.bytes;
  expect(before).toBeGreaterThan(60_000);
  expect(() => storage.set("second", large, 1_000)).toThrow(RangeError);
  storage.set("first", large, 1_000);
  expect(storage.bytes).toBe(before);
  for (let n = 0; n < 1_000; n += 1) storage.set(`small ${n}`, "text", 1_000);
  expect(storage.bytes).toBeGreaterThan(200_000);
  storage.delete("first");
  time.now = 1_000;
  await storage.sweep();
  expect(storage.bytes).toBe(0);
  storage.set("second", large, 1_000);
  expect(storage.bytes).toBe(before + 1);
});

test("a result for which there is no room fails its task, and no other", async () => {
  const store = await openMemoryStore("memory:", { maxBytes: 100_000 });
  onTestFinished(() => store.close());
  const engine = new TaskEngine({ store, log: createLog("silent") });
  onTestFinished(() => engine.close());
  const text = "x".repeat(60_000);
  const server = await startScriptedServer({ "tools/call": (call) => call.text(text) });
  onTestFinished(server.close);
  const { call } = half(server.url, {});
  const settled = async () => {
    const { id } = await engine.createTask(call({}).call.start(), newTask(), 1_000_000);
    return vi.waitUntil(async () => (await store.read(id))?.outcome, { timeout: 60_000 });
  };
  const first = await settled();
  expect(first.kind).toBe("completed");
  expect(await settled()).toMatchObject({
    kind: "failed",
    error: { message: expect.stringContaining("memory that is left") },
  });
});

test("what a task takes is counted, and not only its result", async () => {
  const store = await openMemoryStore("memory:");
  onTestFinished(() => store.close());
  const task = await store.create(newTask());
  expect(store.heldBytes).toBeGreaterThan(500);
  await store.end(task, completed("done"));
  expect(store.heldBytes).toBeGreaterThan(500);
  expect(store.heldBytes).toBeLessThan(1_000);
});

function memoryStorage(options: MemoryOptions): MemoryStorage {
  const storage = new MemoryStorage(options);
  onTestFinished(() => storage.disconnect());
  return storage;
}
