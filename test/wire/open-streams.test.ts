/** How the quiet streams of a gateway are found: with one timer for all of them. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { OpenStreams } from "../../src/requests/open-streams.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] }));
afterEach(() => void vi.useRealTimers());

/** A stream that counts, and was last written to when it was made or had its last beat. */
function stream() {
  const counted = { beats: 0, stops: 0, lastWritten: performance.now() };
  return Object.assign(counted, {
    beat: () => {
      counted.beats += 1;
      counted.lastWritten = performance.now();
    },
    stop: () => {
      counted.stops += 1;
    },
  });
}

test("there is one timer for all streams, and none when there are none", () => {
  const streams = new OpenStreams(300);
  expect(vi.getTimerCount()).toBe(0);
  const leave = [1, 2, 3].map(() => streams.add(stream()));
  expect([streams.size, vi.getTimerCount()]).toEqual([3, 1]);

  leave[0]?.();
  leave[0]?.();
  expect([streams.size, vi.getTimerCount()]).toEqual([2, 1]);
  leave[1]?.();
  leave[2]?.();
  expect([streams.size, vi.getTimerCount()]).toEqual([0, 0]);

  streams.add(stream())();
  expect([streams.size, vi.getTimerCount()]).toEqual([0, 0]);
});

test("no stream is quiet for longer than it may be, and one that speaks is left alone", () => {
  const streams = new OpenStreams(300);
  const quiet = stream();
  streams.add(quiet);
  const talkative = stream();
  streams.add(talkative);
  let longest = 0;
  for (let step = 0; step < 60; step++) {
    longest = Math.max(longest, performance.now() - quiet.lastWritten);
    vi.advanceTimersByTime(50);
    talkative.lastWritten = performance.now();
  }
  expect(quiet.beats).toBeGreaterThanOrEqual(10);
  expect(longest).toBeLessThanOrEqual(300);
  expect(talkative.beats).toBe(0);
});

test("streams are stopped once, and what is opened after that too", async () => {
  const streams = new OpenStreams(300);
  const early = stream();
  streams.add(early);
  streams.stop();
  const late = stream();
  const leave = streams.add(late);
  expect([early.stops, late.stops]).toEqual([1, 0]);
  await new Promise((resolve) => setImmediate(resolve));
  expect([early.stops, late.stops]).toEqual([1, 1]);
  leave();
});
