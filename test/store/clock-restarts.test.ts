/** What is in a `level:` store stays for as long as it should, whatever the clock of the machine says while no process has it open. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { ClassicLevel } from "classic-level";
import { expect, onTestFinished, test, vi } from "vitest";
import { LevelClock } from "../../src/store/embedded/clock.ts";
import { LevelStorage } from "../../src/store/embedded/storage.ts";
import type { Outcome, TaskRecord, TaskView } from "../../src/store/task-store.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const TERMS = { ttlMs: HOUR_MS, maxRuntimeMs: 10 * MINUTE_MS };

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "taskgate-clock-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** The store as a process has it whose clock is so far off. */
async function openedBy(path: string, offsetMs: number) {
  const args = ["--import", import.meta.resolve("tsx"), join(import.meta.dirname, "clock-writer.ts")];
  const child = spawn(process.execPath, [...args, `level:${path}`, String(offsetMs)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value as string) as unknown;
  expect(await next()).toBe("open");
  const ask = async <T>(command: object): Promise<T> => {
    child.stdin.write(`${JSON.stringify(command)}\n`);
    return (await next()) as T;
  };
  return {
    create: () => ask<TaskRecord>({ do: "create", ...TERMS }),
    end: (task: TaskRecord) => ask<Outcome>({ do: "end", task }),
    read: (id: string) => ask<TaskView | null>({ do: "read", id }),
    step: (ms: number) => ask({ do: "step", ms }),
    said: async () => (await ask<string[]>({ do: "said" })).filter((line) => line.includes("clock")),
    close: async () => {
      await ask({ do: "close" });
      child.stdin.end();
      await once(child, "exit");
    },
    kill: async () => {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

test.for([
  ["behind by 90 min, then right", -90 * MINUTE_MS, 0],
  ["right, then behind by 90 min", 0, -90 * MINUTE_MS],
  ["right, then ahead by 2 h", 0, 2 * HOUR_MS],
  ["right, then behind by 2 h", 0, -2 * HOUR_MS],
  ["right, then ahead by a day", 0, 24 * HOUR_MS],
  ["ahead by a day, then right", 24 * HOUR_MS, 0],
  ["ahead by a day, then behind by 2 h", 24 * HOUR_MS, -2 * HOUR_MS],
] as const)(
  "a clock that is %s loses nothing in between, and it is said once",
  { timeout: 240_000 },
  async ([, firstMs, thenMs]) => {
    const path = await directory();
    const first = await openedBy(path, firstMs);
    const [running, ended] = [await first.create(), await first.create()];
    const outcome = await first.end(ended);
    expect(await first.said()).toEqual([]);
    await first.kill();

    const second = await openedBy(path, thenMs);
    expect((await second.read(running.id))?.task).toEqual(running);
    expect((await second.read(ended.id))?.outcome).toEqual(outcome);
    const seconds = Math.abs(thenMs - firstMs) / 1_000;
    const said = await second.said();
    expect(said).toHaveLength(1);
    const told = Number(/set (?:ahead|back) by (\d+) s/.exec(said[0] as string)?.[1]);
    expect(Math.abs(told - seconds)).toBeLessThanOrEqual(1);
    expect(said[0]).toContain(thenMs > firstMs ? "set ahead" : "set back");
    const later = await second.create();
    await second.close();

    // And once it is as it was, nothing of either time is lost.
    const third = await openedBy(path, firstMs);
    expect((await third.read(running.id))?.task).toEqual(running);
    expect((await third.read(ended.id))?.outcome).toEqual(outcome);
    expect((await third.read(later.id))?.task).toEqual(later);
    await third.close();
  },
);

test("a clock that is set while a process has the store open loses nothing after its restart", {
  timeout: 240_000,
}, async () => {
  const path = await directory();
  const first = await openedBy(path, -90 * MINUTE_MS);
  await first.step(90 * MINUTE_MS);
  const ended = await first.create();
  const outcome = await first.end(ended);
  await first.close();
  const second = await openedBy(path, 0);
  expect((await second.read(ended.id))?.outcome).toEqual(outcome);
  await second.close();
});

/** The time of a store on a machine that says how long it has been running. */
function clockOf(written: string | undefined, machine: { uptimeMs: number; bootId?: string }) {
  const said: string[] = [];
  const clock = new LevelClock({
    written,
    warn: (message) => said.push(message),
    machine: { uptimeMs: () => machine.uptimeMs, bootId: machine.bootId },
  });
  onTestFinished(() => clock.close());
  let text = "";
  const next = async () => {
    await clock.begin(async (given) => {
      text = given;
    });
    return text;
  };
  return { clock, said, next };
}

test("time that has passed is no step, whether or not the machine ran meanwhile", async () => {
  const day = { now: Date.now() - 24 * HOUR_MS, wall: Date.now() - 24 * HOUR_MS, uptimeMs: 1_000 };
  const ran = clockOf(JSON.stringify({ ...day, bootId: "a" }), {
    uptimeMs: 24 * HOUR_MS + 1_000,
    bootId: "a",
  });
  expect([ran.said, ran.clock.jumpedSince(day.now)]).toEqual([[], 0]);
  const stood = clockOf(JSON.stringify({ ...day, bootId: "a" }), { uptimeMs: 5_000, bootId: "b" });
  expect([stood.said, stood.clock.jumpedSince(day.now)]).toEqual([[], 0]);
});

test("what the process before was off by does not count after a start of the machine", () => {
  const wall = Date.now() - HOUR_MS;
  const off = { now: wall - 90 * MINUTE_MS, wall, uptimeMs: 1_000, bootId: "a" };
  const { clock } = clockOf(JSON.stringify(off), { uptimeMs: 2_000, bootId: "b" });
  expect(Math.abs(clock.jumpedSince(off.now) - 90 * MINUTE_MS)).toBeLessThan(MINUTE_MS);
});

test("steps add up for what was before all of them", async () => {
  let text: string | undefined;
  const at: number[] = [];
  for (const hours of [-5, -3, -1]) {
    const wall = Date.now() + hours * HOUR_MS;
    at.push(wall);
    const jumps = text === undefined ? [] : (JSON.parse(text) as { jumps: unknown[] }).jumps;
    text = await clockOf(JSON.stringify({ now: wall, wall, uptimeMs: 1_000, bootId: "a", jumps }), {
      uptimeMs: 1_000,
      bootId: "a",
    }).next();
  }
  const { clock } = clockOf(text, { uptimeMs: 1_000, bootId: "a" });
  expect(at.map((time) => Math.round(clock.jumpedSince(time) / HOUR_MS))).toEqual([9, 4, 1]);
  expect(clock.jumpedSince(clock.now())).toBe(0);
});

test.for(["", "{}", "null", '{"now":1}', '{"now":"1","wall":2,"uptimeMs":3}'])(
  "what stands where the time was written is not believed: %s",
  (text) => {
    expect(clockOf(text, { uptimeMs: 1_000 }).clock.jumpedSince(0)).toBe(0);
  },
);

test("what only seems to have expired is not swept, and goes when its time is over", async () => {
  const path = await directory();
  const db = new ClassicLevel(path);
  await db.open();
  const time = { now: 1_000 * HOUR_MS, jumpedMs: 0 };
  const at = time.now;
  const storage = new LevelStorage(db, {
    clock: () => time.now,
    jumpedSince: (writtenAt) => (writtenAt <= at ? time.jumpedMs : 0),
  });
  onTestFinished(() => storage.disconnect());
  await storage.set("key", "text", HOUR_MS);
  time.now += 24 * HOUR_MS;
  time.jumpedMs = 24 * HOUR_MS;
  await storage.set("new", "text", HOUR_MS);
  await storage.sweep();
  expect(await storage.get("key")).toBe("text");
  time.now += HOUR_MS + MINUTE_MS;
  await storage.sweep();
  expect([await storage.get("key"), await storage.get("new")]).toEqual([undefined, undefined]);
  expect(await db.keys().all()).toEqual([]);
});

test("a clock that is set while a process runs is told once for each time", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date"] });
  onTestFinished(() => void vi.useRealTimers());
  const { tellClockSteps } = await import("../../src/lib/wall-clock.ts");
  const said: string[] = [];
  const real = performance.now();
  const set = (ms: number) => vi.setSystemTime(1_800_000_000_000 + ms + performance.now() - real);
  set(0);
  onTestFinished(tellClockSteps((message) => said.push(message), { everyMs: 1_000 }));
  const look = async (ms: number) => {
    await vi.advanceTimersByTimeAsync(999);
    set(ms);
    await vi.advanceTimersByTimeAsync(1);
  };
  for (const ms of [0, 500, 5_400_000, 5_400_000, -1_800_000]) await look(ms);
  expect(said.map((line) => /was (set .*?):/.exec(line)?.[1])).toEqual([
    "set ahead by 5400 s",
    "set back by 7200 s",
  ]);
});
