import { expect, test } from "vitest";
import { isObject, isRequestId } from "../../src/protocol/jsonrpc.ts";

test.for<unknown>(["", "x", "0", 0, -0, 1, -1, Number.MAX_SAFE_INTEGER])("%j is an id", (id) => {
  expect(isRequestId(id)).toBe(true);
});

test.for<unknown>([null, undefined, 1.5, Number.NaN, Infinity, 2 ** 53, true, {}, ["x"]])(
  "%j is no id",
  (id) => {
    expect(isRequestId(id)).toBe(false);
  },
);

test.for<[unknown, boolean]>([
  [{}, true],
  [Object.create(null), true],
  [[], false],
  [null, false],
  ["x", false],
  [undefined, false],
])("isObject(%j) is %j", ([value, is]) => {
  expect(isObject(value)).toBe(is);
});
