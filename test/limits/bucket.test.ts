import { expect, test } from "vitest";
import { Bucket } from "../../src/limits/bucket.ts";
import * as fc from "../support/properties.ts";

/** What is asked at which time, and how long it has to wait. */
test.for([
  ["as many at once as the rate says", { count: 3, perMs: 1_000 }, [0, 0, 0], [0, 0, 0]],
  ["then one in its part of the time", { count: 2, perMs: 1_000 }, [0, 0, 0, 0], [0, 0, 500, 1_000]],
  ["time brings new ones", { count: 2, perMs: 1_000 }, [0, 0, 500, 1_000], [0, 0, 0, 0]],
  ["but no more than there were", { count: 2, perMs: 1_000 }, [9_000, 9_000, 9_000], [0, 0, 500]],
  ["a part of a token is kept", { count: 3, perMs: 1_000 }, [0, 0, 0, 333, 334], [0, 0, 0, 1, 333]],
  ["one in a long time", { count: 1, perMs: 3_600_000 }, [0, 1], [0, 3_599_999]],
  ["a clock that goes back brings nothing", { count: 1, perMs: 1_000 }, [500, 0], [0, 1_000]],
] as const)("%s", ([, limit, times, delays]) => {
  const bucket = new Bucket(limit, 0);
  const waited = times.map((now) => {
    const delayMs = bucket.delayMs(1, now);
    bucket.take(1, now);
    return delayMs;
  });
  expect(waited).toEqual(delays);
});

test("several are taken together, or wait together", () => {
  const bucket = new Bucket({ count: 10, perMs: 1_000 }, 0);
  expect(bucket.delayMs(8, 0)).toBe(0);
  bucket.take(8, 0);
  expect([bucket.delayMs(2, 0), bucket.delayMs(3, 0), bucket.delayMs(12, 0)]).toEqual([0, 100, 1_000]);
});

test("whatever comes when, no time has more than its rate and what there is at once", () => {
  const requests = fc.array(fc.record({ afterMs: fc.nat(400), tokens: fc.integer({ min: 1, max: 4 }) }), {
    maxLength: 60,
  });
  const limits = fc.record({
    count: fc.integer({ min: 1, max: 50 }),
    perMs: fc.constantFrom(7, 1_000, 60_000),
  });
  return fc.assert(
    fc.property(limits, requests, (limit, asked) => {
      const bucket = new Bucket(limit, 0);
      let now = 0;
      const passed: { readonly at: number; readonly tokens: number }[] = [];
      for (const { afterMs, tokens } of asked) {
        now += afterMs;
        const delayMs = bucket.delayMs(tokens, now);
        bucket.take(tokens, now);
        passed.push({ at: now + delayMs, tokens });
      }
      for (const [first, { at: from }] of passed.entries()) {
        let taken = 0;
        let largest = limit.count;
        for (const { at, tokens } of passed.slice(first)) {
          taken += tokens;
          largest = Math.max(largest, tokens);
          expect(taken).toBeLessThanOrEqual(largest + ((at - from + 1) * limit.count) / limit.perMs);
        }
      }
    }),
  );
});
