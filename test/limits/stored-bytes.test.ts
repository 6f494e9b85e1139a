import { expect, test } from "vitest";
import { StoredBytes } from "../../src/limits/stored-bytes.ts";
import type { RpcError } from "../../src/protocol/errors.ts";
import * as fc from "../support/properties.ts";

const ADA = { route: "r", caller: "ada", isIdentified: true };
const BOB = { route: "r", caller: "bob", isIdentified: true };

function storedWith(limits: ConstructorParameters<typeof StoredBytes>[0]["limits"]) {
  const time = { now: 0 };
  return { time, ledger: new StoredBytes({ limits, clock: () => time.now }) };
}

test("who has stored as much as it may is refused until some of it has expired, and others are not", () => {
  const { ledger, time } = storedWith({ total: {}, perCaller: { storedBytes: 100 } });
  ledger.note(ADA, 60, 8_000);
  ledger.check(ADA);
  ledger.note(ADA, 60, 20_000);
  expect(() => ledger.check(ADA)).toThrow(
    expect.objectContaining({
      httpStatus: 429,
      headers: { "Retry-After": "8" },
      data: {
        limit: "one caller's share of limits.total.storedBytes",
        max: 100,
        retryable: true,
        retryAfterMs: 8_000,
      },
    }) as RpcError,
  );
  ledger.check(BOB);
  time.now = 7_999;
  expect(() => ledger.check(ADA)).toThrow();
  time.now = 8_000;
  ledger.check(ADA);
  expect(ledger.bytes).toBe(60);
});

test("what all may store together is shared", () => {
  const limit = "limits.total.storedBytes";
  const { ledger } = storedWith({ total: { storedBytes: 10 }, perCaller: {} });
  ledger.note({ ...ADA, isIdentified: false }, 10, 60_000);
  expect(() => ledger.check(BOB)).toThrow(
    expect.objectContaining({ httpStatus: 503, data: expect.objectContaining({ limit }) }) as RpcError,
  );
});

test("whatever is stored for how long is counted as long as it is kept, and an eighth longer at the most", () => {
  const stored = fc.record({
    afterMs: fc.nat(5_000),
    bytes: fc.integer({ min: 1, max: 1_000 }),
    keptMs: fc.integer({ min: 1, max: 10_000_000 }),
  });
  return fc.assert(
    fc.property(fc.array(stored, { maxLength: 40 }), fc.nat(12_000_000), (all, later) => {
      const { ledger, time } = storedWith({ total: {}, perCaller: {} });
      const ends: { readonly bytes: number; readonly at: number; readonly late: number }[] = [];
      for (const { afterMs, bytes, keptMs } of all) {
        time.now += afterMs;
        ledger.note(ADA, bytes, keptMs);
        ends.push({ bytes, at: time.now + keptMs, late: time.now + keptMs + Math.max(1_000, keptMs / 8) });
      }
      time.now += later;
      const sum = (some: typeof ends) => some.reduce((bytes, each) => bytes + each.bytes, 0);
      expect(ledger.bytes).toBeGreaterThanOrEqual(sum(ends.filter(({ at }) => at > time.now)));
      expect(ledger.bytes).toBeLessThanOrEqual(sum(ends.filter(({ late }) => late > time.now)));
      time.now += 20_000_000;
      expect(ledger.bytes).toBe(0);
    }),
  );
});
