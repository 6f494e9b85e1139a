/** What a message is, before anything is made of it. */

import { describe, expect, test } from "vitest";
import { BULKY_VALUES, scanJson } from "../../src/protocol/json-scan.ts";
import { isObject, type JsonObject, parseJson, RawJson } from "../../src/protocol/jsonrpc.ts";
import {
  MAX_PARSED_VALUES,
  messageText,
  paramsText,
  readJson,
  readParams,
} from "../../src/protocol/raw-json.ts";
import * as fc from "../support/properties.ts";

const read = (text: string, maxDepth = 64) => readJson(Buffer.from(text), maxDepth, 3);
const scan = (text: string, maxDepth = 64) => scanJson(Buffer.from(text), { maxDepth, maxElements: 3 });

/** The value that a text was read as. */
function readAs(text: string): unknown {
  const found = read(text);
  return found.kind === "json" ? found.value : found.kind;
}

describe("whether a text is JSON", () => {
  test("is what JSON.parse says of whatever is made of its parts", () =>
    fc.assert(
      fc.property(
        fc.array(
          fc.constantFrom(
            ..."[]{},: \n\t\r",
            ...['"', '"a"', "\\", '"\\u00e9"', '"\\uD8"', '"\\x"', "0", "-", "-0", "01", "1.5", "1.", ".5"],
            ...[
              "1e5",
              "1E+",
              "true",
              "nul",
              "null",
              "false",
              "NaN",
              "\u00a0",
              '"\u0001"',
              '"é"',
              "'a'",
              "\ufeff",
            ],
          ),
          { maxLength: 12 },
        ),
        (parts) => {
          const text = parts.join("");
          const isJson = parseJson(text) !== undefined;
          expect([text, scan(text).kind === "invalid"]).toEqual([text, !isJson && !isLongArray(text)]);
        },
      ),
      { numRuns: 20_000 },
    ));

  test("is what JSON.parse says of JSON with one byte changed", () =>
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 4 }),
        fc.nat(),
        fc.constantFrom(...'[]{},:"\\0-.e \n'),
        (value, at, byte) => {
          const json = JSON.stringify({ params: value });
          const place = at % json.length;
          const text = json.slice(0, place) + byte + json.slice(place + 1);
          expect([text, scan(text).kind]).toEqual([
            text,
            parseJson(text) === undefined ? "invalid" : "value",
          ]);
        },
      ),
      { numRuns: 5_000 },
    ));
});

/** Of an array no more is looked at than is of interest. */
function isLongArray(text: string): boolean {
  return scan(text).kind === "array";
}

const KEY = fc.constantFrom("params", "arguments", "name", "_meta", "__proto__", "id", "");
const MEMBERS = fc.array(fc.tuple(KEY, fc.jsonValue({ maxDepth: 3 })), { maxLength: 4 });

test("what is read says what it said, and is written as it came", () =>
  fc.assert(
    fc.property(MEMBERS, MEMBERS, fc.constantFrom(undefined, 1), (outer, inner, space) => {
      const message = Object.fromEntries([...outer, ["params", Object.fromEntries(inner)]]);
      const value = readAs(JSON.stringify(message, null, space)) as JsonObject;
      expect(JSON.parse(messageText(value))).toEqual(JSON.parse(JSON.stringify(message)));
      const { params } = value;
      expect(isObject(params) && readParams(paramsText(params))).toEqual(params);
    }),
    { numRuns: 2_000 },
  ));

test("the arguments of a tool stay the text that they came in, wherever they stand, and numbers what they were", () => {
  const args = '{ "n":1.0, "big": 12345678901234567890,\n "list":[{},{}] }';
  const value = readAs(`{"id":1,"params":{"name":"t","arguments":${args},"_meta":{}},"method":"tools/call"}`);
  expect(value).toMatchObject({ id: 1, params: { name: "t", arguments: { text: args }, _meta: {} } });
  expect(messageText({ ...(value as JsonObject), id: 2 })).toBe(
    `{"id":2,"params":{"name":"t","arguments":${args},"_meta":{}},"method":"tools/call"}`,
  );
});

test("of two members with one name the last counts, as for JSON.parse", () => {
  const text =
    '{"params":{"arguments":{"a":1},"arguments":7},"params":{"arguments":{"b":2},"arguments":{"c":3}}}';
  expect(messageText(readAs(text) as JsonObject)).toBe('{"params":{"arguments":{"c":3}}}');
  expect(readAs('{"params":{"arguments":{"a":1},"arguments":7}}')).toEqual({ params: { arguments: 7 } });
});

const BULKY = `[${"{},".repeat(BULKY_VALUES)}{}]`;

test.for([
  ["a member of the message", `{"x":${BULKY}}`, (value: JsonObject) => value.x],
  ["the answer to a question", `{"result":{"a":${BULKY}}}`, (value: JsonObject) => value.result],
  [
    "a member of the params",
    `{"params":{"x":${BULKY}}}`,
    (value: JsonObject) => (value.params as JsonObject).x,
  ],
  ["params that are no object", `{"params":${BULKY}}`, (value: JsonObject) => value.params],
  [
    "arguments that are no object",
    `{"params":{"arguments":${BULKY}}}`,
    (value: JsonObject) => (value.params as JsonObject).arguments,
  ],
  [
    "a message of a batch",
    `[{"params":{"x":${BULKY}}}]`,
    (batch: JsonObject[]) => ((batch[0] as JsonObject).params as JsonObject).x,
  ],
] as const)("what is bulky stays text, and is no object to anybody: %s", ([, text, at]) => {
  const found = (at as (value: unknown) => unknown)(readAs(text));
  expect(found).toBeInstanceOf(RawJson);
  expect(isObject(found)).toBe(false);
});

test.for([
  ["tooManyValues", `{${Array.from({ length: MAX_PARSED_VALUES + 1 }, (_, at) => `"k${at}":0`).join(",")}}`],
  [
    "tooManyValues",
    `[{"a":[${"0,".repeat(9_000)}0]},{${Array.from({ length: 9_000 }, (_, at) => `"k${at}":0`).join(",")}},{${Array.from({ length: 9_000 }, (_, at) => `"k${at}":0`).join(",")}}]`,
  ],
  ["tooManyElements", "[1,2,3,4]"],
  ["tooManyElements", `[${"{},".repeat(1_000_000)}`],
  ["tooDeep", `${"[".repeat(65)}${"]".repeat(65)}`],
  ["tooDeep", `{"params":{"arguments":${"[".repeat(63)}${"]".repeat(63)}}}`],
  ["tooDeep", `x${"[".repeat(65)}`],
  ["invalid", '{"params":{"arguments":{"a":1]}}'],
  ["invalid", ""],
] as const)("%s", ([kind, text]) => {
  expect(read(text).kind).toBe(kind);
});

test("values are counted that are made, and not those that stay text", () => {
  expect(read('{"id":1,"params":{"name":"t","arguments":{"a":[1,2,3]}}}')).toMatchObject({ values: 4 });
});
