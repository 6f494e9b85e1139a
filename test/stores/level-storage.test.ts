import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import { expect, onTestFinished, test, vi } from "vitest";
import { LevelStorage } from "../../src/stores/level-storage.ts";
import type { StoreOptions } from "../../src/stores/options.ts";

const MINUTE_MS = 60_000;

test("every write is synced to the disk before it is acknowledged", async () => {
  const { storage, db } = await levelStorage();
  const batch = vi.spyOn(db, "batch");

  await storage.set("key", "text", MINUTE_MS);
  await storage.delete("key");

  const calls: unknown[][] = batch.mock.calls;
  expect(calls.map(([, options]) => options)).toEqual([{ sync: true }, { sync: true }]);
});

test("a sweep removes what has expired, with every trace of it, and keeps the rest", async () => {
  const { storage, db, time } = await levelStorage();
  const keys = Array.from({ length: 1_300 }, (_, n) => `task:${n}`);
  await Promise.all(keys.map((key, n) => storage.set(key, `text ${n}`, (n % 13 ? 1 : 5) * MINUTE_MS)));

  time.now += 2 * MINUTE_MS;
  await storage.sweep();

  const left = await storage.getMany(keys);
  expect(left.filter((text) => text !== undefined)).toEqual(
    Array.from({ length: 100 }, (_, n) => `text ${n * 13}`),
  );
  expect(await db.keys().all()).toHaveLength(2 * 100);

  time.now += 4 * MINUTE_MS;
  await storage.sweep();
  expect(await db.keys().all()).toEqual([]);
});

test("a key that was written again is kept until its new time", async () => {
  const { storage, db, time } = await levelStorage();
  await storage.set("task:a", "old", 2 * MINUTE_MS);
  time.now += MINUTE_MS;
  await storage.set("task:a", "new", 2 * MINUTE_MS);

  time.now += MINUTE_MS;
  await storage.sweep();
  expect(await storage.get("task:a")).toBe("new");

  time.now += MINUTE_MS;
  await storage.sweep();
  expect(await db.keys().all()).toEqual([]);
});

test("a key that is written while a sweep is about to remove it is kept", async () => {
  const { storage, db, time } = await levelStorage();
  await storage.set("task:a", "old", MINUTE_MS);
  time.now += 2 * MINUTE_MS;
  const get = db.get.bind(db);
  let rewritten: Promise<void> | undefined;
  vi.spyOn(db, "get").mockImplementation(async (...args: Parameters<typeof db.get>) => {
    const value = await get(...args);
    rewritten ??= storage.set("task:a", "new", MINUTE_MS);
    return value;
  });

  await storage.sweep();
  await rewritten;
  vi.restoreAllMocks();

  expect(await storage.get("task:a")).toBe("new");
  time.now += 2 * MINUTE_MS;
  await storage.sweep();
  expect(await db.keys().all()).toEqual([]);
});

test("a write that is on its way when a sweep begins is kept", async () => {
  const { storage, time } = await levelStorage();
  await storage.set("task:a", "old", MINUTE_MS);
  time.now += 2 * MINUTE_MS;

  const written = storage.set("task:a", "new", MINUTE_MS);
  await storage.sweep();
  await written;

  expect(await storage.get("task:a")).toBe("new");
});

test("many updates of one task leave one trace a minute for the sweep", async () => {
  const { storage, db, time } = await levelStorage();

  time.now += 1;
  for (let n = 0; n < 120; n++) {
    await storage.set("task:a", `${n}`, 10 * MINUTE_MS);
    time.now += 1_000;
  }

  expect(await db.keys().all()).toEqual(["v:task:a", "x:0030000011:task:a", "x:0030000012:task:a"]);
});

test("sweeps come by themselves and stop with the storage", async () => {
  const { storage, time } = await levelStorage({ sweepEveryMs: 5 });
  await storage.set("task:a", "text", MINUTE_MS);

  time.now += 2 * MINUTE_MS;

  await expect.poll(() => storage.get("task:a")).toBeUndefined();
  await expect(storage.disconnect()).resolves.toBeUndefined();
});

async function levelStorage(options: StoreOptions = {}) {
  const path = await mkdtemp(join(tmpdir(), "taskgate-level-"));
  const db = new ClassicLevel(path);
  await db.open();
  // The beginning of a minute, so that the minutes of a test are those of the storage.
  const time = { now: 30_000_000 * MINUTE_MS };
  const storage = new LevelStorage(db, { clock: () => time.now, ...options });
  onTestFinished(async () => {
    vi.restoreAllMocks();
    await storage.disconnect();
    await rm(path, { recursive: true, force: true });
  });
  return { storage, db, time };
}
