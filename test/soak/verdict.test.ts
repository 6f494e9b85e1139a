import { expect, test } from "vitest";
import type { Holdings } from "./probe.ts";
import { growthOf } from "./verdict.ts";

const AT_REST: Holdings = {
  heap: 20_000_000,
  resident: 90_000_000,
  files: 40,
  sockets: 30,
  timers: 20,
  handles: 35,
};

test("what goes up and down is flat", () => {
  const samples = Array.from({ length: 40 }, (_, n) => ({
    ...AT_REST,
    heap: AT_REST.heap * (1 + (n % 3) / 2),
  }));
  expect(growthOf(samples)).toEqual([]);
});

test("a warm-up is not held against anybody", () => {
  const samples = Array.from({ length: 40 }, (_, n) => ({ ...AT_REST, heap: Math.min(n, 10) * 4_000_000 }));
  expect(growthOf(samples)).toEqual([]);
});

test.each(Object.keys(AT_REST) as (keyof Holdings)[])("a leak of %s is seen", (what) => {
  const samples = Array.from({ length: 40 }, (_, n) => ({
    ...AT_REST,
    [what]: AT_REST[what] * (1 + n / 20),
  }));
  expect(growthOf(samples)).toEqual([{ what, from: expect.any(Number), to: expect.any(Number) }]);
});

test("too few samples are no verdict", () => {
  expect(() => growthOf([AT_REST, AT_REST, AT_REST])).toThrow(RangeError);
});
