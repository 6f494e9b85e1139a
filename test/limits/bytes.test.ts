/** What is held in memory, from its arrival until nothing holds it. */

import { expect, test } from "vitest";
import { Bytes, SMALL_BYTES } from "../../src/limits/bytes.ts";
import type { RpcError } from "../../src/protocol/errors.ts";

const MB = 1_048_576;
const ADA = { route: "r", caller: "ada", isIdentified: true };
const BOB = { route: "s", caller: "bob", isIdentified: true };
const ANYBODY = { route: "r", caller: "anonymous", isIdentified: false };

function bytesOf({ total = 8 * MB, perCaller = 4 * MB, stored = 0 } = {}) {
  let now = 0;
  const limits = { total: { bytes: total }, perCaller: { bytes: perCaller } };
  const bytes = new Bytes({ limits, clock: () => now, stored: () => stored });
  const pass = (ms: number) => {
    now += ms;
  };
  return { bytes, pass };
}

function refusalOf(act: () => unknown): Pick<RpcError, "httpStatus" | "headers" | "data"> | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    return error as RpcError;
  }
}

test("who has its share is refused with the limit's name, 429 and when to come again, and others are not", () => {
  const { bytes } = bytesOf();
  const held = bytes.hold(ADA);
  held.grow(4 * MB);
  expect(refusalOf(() => bytes.hold(ADA).grow(1))).toMatchObject({
    httpStatus: 429,
    headers: { "Retry-After": "1" },
    data: { limit: "limits.perCaller.bytes", max: 4 * MB },
  });
  bytes.hold(BOB).grow(1);
  held.release();
  held.release();
  bytes.hold(ADA).grow(2 * MB);
  expect(bytes.total).toBe(2 * MB + 1);
});

test("beyond the total it is 503, and requests that are small have a part of it to themselves", () => {
  const { bytes } = bytesOf();
  bytes.hold(ANYBODY).grow(7 * MB);
  expect(refusalOf(() => bytes.hold(ANYBODY).grow(SMALL_BYTES + 1))).toMatchObject({
    httpStatus: 503,
    headers: { "Retry-After": "1" },
    data: { limit: "limits.total.bytes", max: 8 * MB },
  });
  for (let count = 0; count < MB / SMALL_BYTES; count += 1) bytes.hold(ANYBODY).grow(SMALL_BYTES);
  expect(refusalOf(() => bytes.hold(ANYBODY).grow(1))).toMatchObject({ httpStatus: 503 });
});

test("a task store in this memory leaves less for large requests, and small ones are taken all the same", () => {
  const { bytes } = bytesOf({ stored: 20 * MB });
  expect(refusalOf(() => bytes.check(ADA))).toMatchObject({ data: { limit: "limits.total.bytes" } });
  expect(refusalOf(() => bytes.hold(ADA).grow(MB))).toBeDefined();
  bytes.hold(ADA).grow(1_000);
});

test("what several hold is counted once, until the last has let go", () => {
  const { bytes } = bytesOf();
  const held = bytes.hold(ADA);
  held.grow(MB);
  const [first, second] = [held.share(), held.share()];
  held.release();
  first();
  first();
  expect([bytes.total, bytes.of(ADA)]).toEqual([MB, MB]);
  second();
  expect([bytes.total, bytes.of(ADA)]).toEqual([0, 0]);
  held.add(1);
  expect(bytes.total).toBe(0);
});

test("bytes may be assigned to another caller while they are held", () => {
  const { bytes } = bytesOf();
  const held = bytes.hold(ADA);
  held.grow(MB);
  held.assign(BOB);
  expect([bytes.of(ADA), bytes.of(BOB), bytes.total]).toEqual([0, MB, MB]);
  held.release();
  expect([bytes.of(BOB), bytes.total]).toEqual([0, 0]);
});

test("what is not complete goes for a small request at once, and for a large one when it has had its time", () => {
  const { bytes, pass } = bytesOf();
  const given: string[] = [];
  const arriving = (name: string, size: number) => {
    const held = bytes.hold(ANYBODY);
    held.grow(size);
    held.arriving(() => given.push(name));
    return held;
  };
  arriving("first", 3 * MB);
  arriving("second", 3 * MB);
  expect(refusalOf(() => bytes.hold(ANYBODY).grow(2 * MB))).toMatchObject({ httpStatus: 503 });
  expect(given).toEqual([]);
  pass(2_000);
  arriving("third", 2 * MB);
  expect(given).toEqual(["first"]);
  // The part that is small requests' own is full, and so is the rest.
  for (let count = 0; count < 48; count += 1) bytes.hold(ANYBODY).grow(SMALL_BYTES);
  bytes.hold(ANYBODY).grow(1_000);
  expect(given).toEqual(["first", "second"]);
});

test("what is there already is counted beyond the limit", () => {
  const { bytes } = bytesOf();
  const forget = bytes.add(ADA, 20 * MB);
  expect(refusalOf(() => bytes.hold(BOB).grow(MB))).toMatchObject({ httpStatus: 503 });
  forget();
  forget();
  bytes.hold(BOB).grow(MB);
});
