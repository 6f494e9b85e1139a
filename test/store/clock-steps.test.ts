import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { openStore } from "../../src/store/open.ts";
import { completed, newTask } from "./samples.ts";

const HOUR_MS = 3_600_000;

test.each(["memory:", "level:"].flatMap((kind) => [-2, 2, 24].map((hours) => [kind, hours] as const)))(
  "%s a wall clock that is set by %i hours ends nobody's task",
  async (kind, hours) => {
    const path = await mkdtemp(join(tmpdir(), "taskgate-clock-"));
    onTestFinished(() => rm(path, { recursive: true, force: true }));
    const store = await openStore(kind === "level:" ? `level:${path}` : kind);
    onTestFinished(() => store.close());
    const [running, ended] = [await store.create(newTask()), await store.create(newTask())];
    const outcome = await store.end(ended, completed("done"));
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + hours * HOUR_MS });
    onTestFinished(() => void vi.useRealTimers());
    expect((await store.read(running.id))?.task).toEqual(running);
    expect((await store.read(ended.id))?.outcome).toEqual(outcome);
  },
);
