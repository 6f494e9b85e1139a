/** What becomes of a `level:` store whose writes fail: it is opened again, and nothing that was acknowledged is lost. */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import { expect, onTestFinished, test, vi } from "vitest";
import { toJson } from "../../src/protocol/jsonrpc.ts";
import { readLevelLog } from "../../src/store/embedded/log.ts";
import { LevelStorage } from "../../src/store/embedded/storage.ts";
import { openStore } from "../../src/store/open.ts";
import type { Outcome, TaskView } from "../../src/store/task-store.ts";
import { smallDisk, withoutSmallDisk } from "../support/small-disk.ts";
import { count, gate, story, textOf } from "../support/story.ts";
import { newTask } from "./samples.ts";

const MINUTE_MS = 60_000;
const ioError = (code = "LEVEL_IO_ERROR") =>
  Object.assign(new Error("IO error: 000003.log: No space left on device"), { code });

/** A batch that cannot be written. */
function failing(error: Error): ReturnType<ClassicLevel["batch"]> {
  return { put: () => {}, del: () => {}, write: () => Promise.reject(error) } as never;
}

async function levelStorage() {
  const path = await mkdtemp(join(tmpdir(), "taskgate-failing-"));
  const db = new ClassicLevel(path);
  await db.open();
  const said: string[] = [];
  const storage = new LevelStorage(db, { warn: (message) => said.push(message) });
  onTestFinished(async () => {
    await storage.disconnect();
    await rm(path, { recursive: true, force: true });
  });
  return { db, storage, said, path };
}

test.each(["LEVEL_IO_ERROR", "LEVEL_CORRUPTION"])(
  "after %s nothing is written before the database was opened again",
  async (code) => {
    const { db, storage, said } = await levelStorage();
    await storage.set("before", "kept", MINUTE_MS);
    const calls: string[] = [];
    const batch = vi.spyOn(db, "batch").mockReturnValueOnce(failing(ioError(code)));
    const open = vi.spyOn(db, "open");

    await expect(storage.set("failed", "text", MINUTE_MS)).rejects.toThrow("IO error");
    expect(storage.isWritable).toBe(false);
    open.mockImplementationOnce(() => Promise.reject(ioError()));
    await vi.waitUntil(() => storage.isWritable, { timeout: 60_000 });
    await storage.set("after", "kept", MINUTE_MS);

    for (const [spy, name] of [
      [batch, "batch"],
      [open, "open"],
    ] as const)
      for (const order of spy.mock.invocationCallOrder) calls[order] = name;
    expect(calls.filter(Boolean)).toEqual(["batch", "open", "open", "batch"]);
    expect(await storage.getMany(["before", "failed", "after"])).toEqual(["kept", undefined, "kept"]);
    expect(said.map((line) => line.replace(/ \(.*/, ""))).toEqual(["takes no writes", "takes writes again"]);
  },
);

test("what is no failure of the disk does not close anything", async () => {
  const { db, storage } = await levelStorage();
  vi.spyOn(db, "batch").mockReturnValueOnce(failing(new RangeError("too long")));
  await expect(storage.set("key", "text", MINUTE_MS)).rejects.toThrow(RangeError);
  expect(storage.isWritable).toBe(true);
});

test("a value that is not what was written is not read", async () => {
  const { db, storage } = await levelStorage();
  await storage.set("key", "a result", MINUTE_MS);
  const written = (await db.get("v:key")) as string;
  await db.put("v:key", written.replace("a result", "a Result"));
  await expect(storage.get("key")).rejects.toThrow("damaged");
  // Written by 0.1.0.
  await db.put("v:old", `${Date.now() + MINUTE_MS}:a result`);
  expect(await storage.get("old")).toBe("a result");
});

test.skipIf(withoutSmallDisk("a full disk"))(
  "what was acknowledged outlives a full disk, again and again",
  { timeout: 240_000 },
  async () => {
    const disk = await smallDisk();
    const url = `level:${disk.path}/data`;
    const store = await openStore(url);
    const acknowledged = new Map<string, Outcome>();
    const write = async () => {
      const task = await store.create(newTask());
      // Nothing that can be compressed.
      const bytes = Array.from({ length: 4_000 }, () => Math.random().toString(36).slice(2)).join("");
      acknowledged.set(
        task.id,
        await store.end(task, { kind: "completed", endedAt: Date.now(), result: toJson(bytes) }),
      );
    };
    for (let round = 0; round < 3; round += 1) {
      for (let n = 0; n < 12; n += 1) await write();
      await disk.fill();
      // Until the disk refuses, whatever it is that fails first.
      await expect(
        (async () => {
          for (let n = 0; n < 200; n += 1) await write();
        })(),
      ).rejects.toThrow("could not write");
      expect(store.isWritable).toBe(false);
      // It can be read meanwhile.
      const [first] = acknowledged.keys();
      expect(isThere(await store.read(first as string), acknowledged)).toBe(true);
      await disk.empty();
      await vi.waitFor(write, { timeout: 60_000 });
    }
    await store.close();
    const again = await openStore(url);
    onTestFinished(() => again.close());
    for (const id of acknowledged.keys()) expect(isThere(await again.read(id), acknowledged)).toBe(true);
    expect(acknowledged.size).toBeGreaterThan(36);
  },
);

test.skipIf(withoutSmallDisk("results while the disk is full"))(
  "results that come while the disk is full are there when it is not, and the gateway is not ready meanwhile",
  { timeout: 240_000 },
  async () => {
    const disk = await smallDisk();
    const done = gate();
    const { user, server, gateway } = await story(
      {
        "tools/call": async (call) => {
          await done.opened;
          call.text("x".repeat(60_000));
        },
      },
      { store: `level:${disk.path}/data`, policy: { mode: "always" }, admin: true },
    );
    const ids: string[] = [];
    for (let n = 0; n < 30; n += 1) ids.push((await user.callTool("t")).taskId);
    await server.until(() => count(server, "tools/call") === 30, "all calls");
    const ready = async () => {
      const [main, admin] = await Promise.all([
        fetch(`${gateway.url}/-/health`),
        fetch(`${gateway.adminUrl}/health/ready`),
      ]);
      expect(await main.text()).toBe(await admin.text());
      return main.status;
    };
    expect(await ready()).toBe(200);
    await disk.fill();
    done.open();
    await vi.waitUntil(async () => (await ready()) === 503, { timeout: 60_000, interval: 50 });
    await disk.empty();
    await vi.waitUntil(async () => (await ready()) === 200, { timeout: 60_000, interval: 50 });
    for (const id of ids) {
      const task = await vi.waitFor(() => user.settled(id), { timeout: 60_000 });
      expect([task.status, textOf(task.result)?.length]).toEqual(["completed", 60_000]);
    }
  },
);

/** Whether an outcome is what was acknowledged; what it is would fill the screen. */
function isThere(view: TaskView | undefined, acknowledged: ReadonlyMap<string, Outcome>): boolean {
  return toJson(view?.outcome) === toJson(acknowledged.get(view?.task.id ?? ""));
}

test("a log is read as LevelDB writes it, however long its records are", async () => {
  const path = await mkdtemp(join(tmpdir(), "taskgate-log-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  const db = new ClassicLevel(path);
  await db.open();
  for (const length of [0, 1, 32_700, 32_761, 32_768, 200_000]) await db.put("k", "x".repeat(length));
  await db.close();
  const { records, ...rest } = readLevelLog(await readFile(join(path, "000003.log")));
  expect(rest).toEqual({ damagedBytes: 0, tornBytes: 0 });
  expect(records).toHaveLength(6);
});
