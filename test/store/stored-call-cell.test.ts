/** What is stored of a call that waits. */

import { expect, test } from "vitest";
import { RawJson } from "../../src/protocol/jsonrpc.ts";
import { storedCallBytes, storedCallCell, storedCallOf } from "../../src/store/stored-call-cell.ts";

const ARGUMENTS = '{ "n":1.0,\n "list":[{},{}] }';
const RECIPE = {
  method: "tools/call",
  headers: {},
  params: { name: "t", arguments: new RawJson(ARGUMENTS), _meta: { a: 1 } },
};

test("arguments are stored, and read again, as the text that they came in", () => {
  const stored = JSON.parse(JSON.stringify(storedCallCell(RECIPE)));
  expect(stored).toEqual({
    method: "tools/call",
    headers: {},
    paramsText: `{"name":"t","arguments":${ARGUMENTS},"_meta":{"a":1}}`,
  });
  expect(storedCallOf(stored)).toEqual(RECIPE);
});

test("what a gateway before has stored is read as well", () => {
  const before = { method: "tools/call", headers: {}, params: { name: "t", arguments: { a: [1] } } };
  const { params } = storedCallOf(before);
  expect(params).toEqual({ name: "t", arguments: new RawJson('{"a":[1]}') });
});

test("a call that is never sent again has no params", () => {
  const { params: _, ...rest } = RECIPE;
  expect(storedCallOf(JSON.parse(JSON.stringify(storedCallCell(rest))))).toEqual(rest);
  expect(storedCallBytes(rest)).toBe(4);
});
