import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import { expect, onTestFinished, test, vi } from "vitest";
import { CellStore } from "../../src/store/cell-store.ts";
import { LevelStorage } from "../../src/store/embedded/storage.ts";
import { KeyvBackend } from "../../src/store/keyv-backend.ts";
import type { StoreOptions } from "../../src/store/options.ts";
import { completed, newTask } from "./samples.ts";

const MINUTE_MS = 60_000;

test("every write is synced to the disk before it is acknowledged", async () => {
  const { storage, db } = await levelStorage();
  const written: unknown[] = [];
  vi.spyOn(db, "batch").mockImplementation((() => {
    const batch = (ClassicLevel.prototype as ClassicLevel).batch.call(db);
    const write = batch.write.bind(batch);
    return Object.assign(batch, {
      write: (options: { sync: boolean }) => {
        written.push(options);
        return write(options);
      },
    });
  }) as never);

  await storage.set("key", "text", MINUTE_MS);
  await storage.delete("key");

  expect(written).toEqual([{ sync: true }, { sync: true }]);
});

test("a task and its places in lists go to the disk together, and so does its end", async () => {
  const { storage, db, time } = await levelStorage();
  const store = await CellStore.open({
    url: "test:",
    backend: new KeyvBackend("test:", storage),
    clock: () => time.now,
  });
  const batches = batchesOf(db);

  const task = await store.create(newTask({ isListed: true }));
  await store.end(task, completed("done"));
  await store.close();

  const kinds = batches.map((keys) =>
    keys.map((key) =>
      key
        .replace(/^x:\d+/, "x")
        .split(":", 2)
        .join(":"),
    ),
  );
  expect(kinds).toEqual([
    ["v:list", "x:list", "v:list", "x:list", "v:task", "x:task"],
    // Record and stored call are in the way, and its owner need not look after it any more.
    ["v:list", "x:list", "v:end", "x:end", "v:task", "v:recipe", "v:list"],
  ]);
});

test("the keys of a list are its own, in order, up to the limit", async () => {
  const { storage } = await levelStorage();
  const keys = [
    "list:a:2",
    "list:a:1",
    "list:a:z",
    "list:a:_",
    "list:b:3",
    "list:aa:4",
    "list:A:5",
    "task:a:6",
  ];
  for (const key of keys) await storage.set(key, "text", MINUTE_MS);

  expect(await storage.keysAfter("list:a:", 10)).toEqual(["list:a:1", "list:a:2", "list:a:_", "list:a:z"]);
  expect(await storage.keysAfter("list:a:1", 2)).toEqual(["list:a:2", "list:a:_"]);
  expect(await storage.keysAfter("list:a:3", 1)).toEqual(["list:a:_"]);
  expect(await storage.keysAfter("list:a:z", 10)).toEqual([]);
  expect(await storage.keysAfter("list:c:", 10)).toEqual([]);
});

test("a place that is written again is swept at its new time, sooner or later than the old", async () => {
  const { storage, db, time } = await levelStorage();
  const places = ["list:a:1", "list:a:2"];
  for (const key of places) await storage.set(key, "", 5 * MINUTE_MS);
  await storage.setMany([{ key: "list:a:1", value: "", ttl: 2 * MINUTE_MS }]);
  await storage.setMany([{ key: "list:a:2", value: "", ttl: 8 * MINUTE_MS }]);

  time.now += 2 * MINUTE_MS;
  await storage.sweep();
  expect(await storage.keysAfter("list:a:", 10)).toEqual(["list:a:2"]);

  time.now += 5 * MINUTE_MS;
  await storage.sweep();
  expect(await storage.keysAfter("list:a:", 10)).toEqual(["list:a:2"]);

  time.now += MINUTE_MS;
  await storage.sweep();
  expect(await db.keys().all()).toEqual([]);
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

test("a sweep goes on past damaged values, leaves them, and says so once", async () => {
  const said: string[] = [];
  const { storage, db, time } = await levelStorage({ warn: (message) => said.push(message) });
  const keys = Array.from({ length: 20 }, (_, n) => `task:${String(n).padStart(2, "0")}`);
  await Promise.all(keys.map((key) => storage.set(key, "text", MINUTE_MS)));
  await db.put("v:task:03", "no times and no text");
  const [get, getMany] = [db.get.bind(db), db.getMany.bind(db)];
  const corruption = Object.assign(new Error("Corruption: a block"), { code: "LEVEL_CORRUPTION" });
  vi.spyOn(db, "get").mockImplementation(((key: string, options: object) =>
    key === "v:task:07" ? Promise.reject(corruption) : get(key, options)) as never);
  vi.spyOn(db, "getMany").mockImplementation(((names: string[], options: object) =>
    names.includes("v:task:07") ? Promise.reject(corruption) : getMany(names, options)) as never);

  time.now += 2 * MINUTE_MS;
  await storage.sweep();
  await storage.sweep();

  expect(await db.keys().all()).toEqual(["v:task:03", "v:task:07"]);
  expect(said).toHaveLength(2);
});

test("a sweep reads short values together, and long ones, or ones of unknown length, alone", async () => {
  const { storage, db, time } = await levelStorage();
  const long = "x".repeat(600_000);
  for (const [key, text] of Object.entries({ a: "short", b: "short", c: long, d: long, e: "short" }))
    await storage.set(key, text, MINUTE_MS);
  // As 0.1.0 wrote it.
  await storage.set("f", "old", MINUTE_MS);
  for (const due of await db.keys({ gt: "x:", lt: "x~" }).all())
    if (due.endsWith(":f")) await db.put(due, "");
  const [getMany, get] = [vi.spyOn(db, "getMany"), vi.spyOn(db, "get")];

  time.now += 2 * MINUTE_MS;
  await storage.sweep();

  expect(getMany.mock.calls.map(([keys]) => keys)).toEqual([
    ["v:a", "v:b", "v:c"],
    ["v:d", "v:e"],
  ]);
  expect(get.mock.calls.map(([key]) => key)).toEqual(["v:f"]);
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

/** The keys of every batch that is written to the database from here on. */
function batchesOf(db: ClassicLevel): readonly (readonly string[])[] {
  const batches: string[][] = [];
  db.on("write", (writes: readonly { key: string }[]) => void batches.push(writes.map(({ key }) => key)));
  return batches;
}

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
