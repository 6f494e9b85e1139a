/** How often the disk has to sync for a task: each time is one commit, whose writes become durable together. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { ClassicLevel } from "classic-level";
import { expect, onTestFinished, test, vi } from "vitest";
import { Slots } from "../../src/calls/slots.ts";
import { createLog } from "../../src/log/log.ts";
import { CellStore } from "../../src/store/cell-store.ts";
import { LevelStorage } from "../../src/store/embedded/storage.ts";
import { KeyvBackend } from "../../src/store/keyv-backend.ts";
import type { StoredCall } from "../../src/store/task-store.ts";
import { TaskEngine } from "../../src/tasks/engine.ts";
import { newTask } from "../store/samples.ts";
import { half } from "../support/call-halves.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { gate } from "../support/story.ts";

const STORED: StoredCall = { method: "tools/call", params: { name: "job" }, headers: {} };
const TASK = newTask({ route: "r", caller: "ada" });

/** An engine over `level:`, with a place for one call, and a server to whom a session is open. */
async function onDisk() {
  const [says, done] = [gate(), gate()];
  const server = await startScriptedServer({
    "tools/call": async (call) => {
      const { name, _meta } = call.message.params as { name: string; _meta: { progressToken: number } };
      if (name === "first") return call.text("done");
      if (await Promise.race([says.opened.then(() => true), done.opened])) {
        const params = { progressToken: _meta.progressToken, progress: 1, total: 2 };
        call.sse().event({ jsonrpc: "2.0", method: "notifications/progress", params });
      } else call.text("done");
    },
  });
  onTestFinished(server.close);
  const path = await mkdtemp(join(tmpdir(), "taskgate-commits-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  const db = new ClassicLevel(path);
  await db.open();
  const store = await CellStore.open({
    url: "test:",
    backend: new KeyvBackend("test:", new LevelStorage(db)),
  });
  const engine = new TaskEngine({ store, log: createLog("silent") });
  onTestFinished(async () => {
    done.open();
    await engine.close();
    await store.close();
  });
  const slots = new Slots({ maxConcurrent: 1, maxQueued: 10 });
  const { call } = half(server.url, { slots });
  // Opens the session: what follows is sent without waiting for the server.
  const first = call({ params: { name: "first" } });
  first.call.start();
  await first.ended();
  await vi.waitUntil(() => !slots.isFull("ada"), { timeout: 60_000 });
  const commits: string[] = [];
  db.on("write", (writes: readonly { type: string; key: string }[]) => {
    const cells = writes.filter(({ key }) => key.startsWith("v:") && !key.startsWith("v:list:"));
    // In the order of their names: those of one turn come in any.
    commits.push(
      cells
        .map(({ type, key }) => `${type === "put" ? "" : "-"}${key.split(":")[1]}`)
        .sort()
        .join(" "),
    );
  });
  const occupy = () =>
    new Promise<() => void>((resolve) => {
      const give = slots.enter("ada", () => resolve(() => give()));
    });
  return { call, commits, done, engine, occupy, says, store };
}

const END = "-recipe -task end";

test.each([
  {
    what: "a call that has been sent",
    isStarted: true,
    storedCall: STORED,
    task: TASK,
    record: "task",
    end: END,
  },
  { what: "a call that is sent next", storedCall: STORED, task: TASK, record: "task", end: END },
  {
    what: "a call that may be repeated",
    storedCall: { ...STORED, mayRepeat: true },
    task: TASK,
    record: "recipe task",
    end: END,
  },
  {
    what: "a call with an idempotency key",
    storedCall: STORED,
    task: { ...TASK, id: "id-of-key", fingerprint: "f" },
    record: "task",
    end: "-recipe end",
  },
])("one for $what, and one for its end", async ({ isStarted = false, storedCall, task, record, end }) => {
  const { call, commits, done, engine, store } = await onDisk();
  const { call: begun } = call({ storedCall });
  if (isStarted) begun.start();
  await vi.waitUntil(() => !isStarted || begun.state === "sent", { timeout: 60_000 });
  const { id, statusMessage } = await engine.createTask(begun, task, 10_000);
  expect(commits).toEqual([record]);
  expect(statusMessage).toBe("running");
  if (!isStarted) begun.start();
  await vi.waitUntil(() => begun.state === "sent", { timeout: 60_000 });
  done.open();
  await engine.ended(id);

  expect((await store.read(id))?.task.story).toMatchObject([{ what: "sent" }]);
  expect(commits).toEqual([record, end]);
});

test("a call that waits: one before it is sent, and one that says so", async () => {
  const { call, commits, done, engine, occupy, store } = await onDisk();
  const give = await occupy();
  const { call: waiting } = call({ storedCall: STORED });
  const { id, statusMessage } = await engine.createTask(waiting, TASK, 10_000);
  expect(statusMessage).toBe("queued");
  waiting.start();
  give();
  await vi.waitUntil(async () => (await store.read(id))?.task.statusMessage === "running", {
    timeout: 60_000,
  });
  done.open();
  await engine.ended(id);

  expect(commits).toEqual(["recipe task", "own", "task", "-recipe -task -task end"]);
});

test("a call that waits when it becomes a task: one more, as it may be sent before its record is there", async () => {
  const { call, commits, engine, occupy, store } = await onDisk();
  const give = await occupy();
  const { call: waiting } = call({ storedCall: STORED });
  const { id } = await engine.createTask(waiting.start(), TASK, 10_000);
  expect(commits).toEqual(["task", "recipe task"]);
  give();
  await vi.waitUntil(async () => (await store.read(id))?.task.statusMessage === "running", {
    timeout: 60_000,
  });

  expect(commits).toEqual(["task", "recipe task", "own", "task"]);
});

test("of a call that runs on: one more for its story, in a while", async () => {
  const { call, commits, engine, store } = await onDisk();
  const { call: begun } = call({ storedCall: STORED });
  const { id } = await engine.createTask(begun, TASK, 10_000);
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  begun.start();
  while (begun.state !== "sent") await setImmediate();
  await vi.advanceTimersByTimeAsync(4_999);
  expect(commits).toEqual(["task"]);
  expect((await store.read(id))?.task.story).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1);
  vi.useRealTimers();
  await vi.waitUntil(() => commits.length > 1, { timeout: 60_000 });

  expect(commits).toEqual(["task", "task"]);
  expect((await store.read(id))?.task.story).toMatchObject([{ what: "sent" }]);
});

test("what clients are to know does not wait with the story", async () => {
  const { call, engine, store, says } = await onDisk();
  const { call: begun } = call({ storedCall: STORED });
  const { id } = await engine.createTask(begun, TASK, 10_000);
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  begun.start();
  while (begun.state !== "sent") await setImmediate();
  says.open();
  while (begun.progress === undefined) await setImmediate();
  await vi.advanceTimersByTimeAsync(500);
  vi.useRealTimers();
  await vi.waitUntil(async () => (await store.read(id))?.task.statusMessage === "1 of 2", { timeout: 4_000 });
  expect((await store.read(id))?.task.story).toMatchObject([{ what: "sent" }]);
});
