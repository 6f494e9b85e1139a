/** Gateways whose machines disagree about the time, on one Redis. */

import { expect, onTestFinished, test, vi } from "vitest";
import { timeOf } from "../../src/store/time.ts";
import { startRedis } from "../support/redis.ts";
import { withoutRedis } from "../support/redis-tests.ts";
import { completed, newTask } from "./samples.ts";

const HOUR_MS = 3_600_000;

/** A store of a process whose machine's clock is so far from that of Redis. */
async function storeOff(url: string, hours: number) {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + hours * HOUR_MS });
  vi.resetModules();
  const { openStore } = await import("../../src/store/open.ts");
  const { steadyNow } = await import("../../src/lib/clock.ts");
  vi.useRealTimers();
  expect(Math.abs(steadyNow() - Date.now() - hours * HOUR_MS)).toBeLessThan(HOUR_MS / 2);
  const said: string[] = [];
  const store = await openStore(url, { warn: (message) => said.push(message), timeoutMs: 60_000 });
  onTestFinished(() => store.close());
  return { store, said };
}

test.skipIf(withoutRedis("clocks that differ")).for([-2, -1.5, 2, 24])(
  "a gateway whose clock is %s hours off ends nobody's task, and the others none of its own",
  { timeout: 240_000 },
  async (hours) => {
    const redis = await startRedis();
    onTestFinished(() => redis.stop());
    const right = await storeOff(redis.url, 0);
    const wrong = await storeOff(redis.url, hours);
    expect(right.said.filter((line) => line.includes("clock"))).toEqual([]);
    expect(wrong.said).toEqual(
      expect.arrayContaining([expect.stringMatching(hours > 0 ? /s ahead of/ : /s behind/)]),
    );
    for (const [writer, reader] of [
      [right.store, wrong.store],
      [wrong.store, right.store],
    ] as const) {
      const terms = { ...newTask().terms, ttlMs: HOUR_MS, maxRuntimeMs: HOUR_MS / 2 };
      const [running, ended] = [
        await writer.create(newTask({ terms })),
        await writer.create(newTask({ terms })),
      ];
      const outcome = await writer.end(ended, { ...completed("done"), endedAt: timeOf(writer)() });
      expect((await reader.read(running.id))?.task).toEqual(running);
      expect((await reader.read(ended.id))?.outcome).toEqual(outcome);
      expect(Math.abs(timeOf(reader)() - timeOf(writer)())).toBeLessThan(60_000);
    }
  },
);
