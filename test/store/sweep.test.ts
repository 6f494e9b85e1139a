import { expect, onTestFinished, test, vi } from "vitest";
import { startSweeping } from "../../src/store/sweep.ts";

test("a sweep comes every time and never twice at a time", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const endings: (() => void)[] = [];
  const stop = startSweeping(1_000, () => new Promise<void>((resolve) => void endings.push(resolve)));

  await vi.advanceTimersByTimeAsync(3_500);
  expect(endings).toHaveLength(1);

  endings[0]?.();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(endings).toHaveLength(2);

  endings[1]?.();
  await stop();
});

test("a sweep that failed is tried again", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  let tries = 0;
  const stop = startSweeping(1_000, async () => {
    tries++;
    throw new Error("disk full");
  });

  await vi.advanceTimersByTimeAsync(3_000);

  expect(tries).toBe(3);
  await stop();
});

test("stopping tells the running sweep, waits for it, and lets no other begin", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const events: string[] = [];
  const stop = startSweeping(1_000, async (signal) => {
    events.push("begun");
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    events.push("ended");
  });
  await vi.advanceTimersByTimeAsync(1_000);

  await stop();
  events.push("stopped");
  await vi.advanceTimersByTimeAsync(10_000);

  expect(events).toEqual(["begun", "ended", "stopped"]);
  expect(vi.getTimerCount()).toBe(0);
});
