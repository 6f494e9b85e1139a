/** What a server sends in place of an answer: what of it can only be one, and what is none. */

import { describe, expect, test } from "vitest";
import { numberIn } from "../../src/protocol/jsonrpc.ts";
import { readMessages } from "../../src/upstream/transports/message-line.ts";
import { readIncoming, readWhole, UnusableAnswer } from "../../src/upstream/transports/unusable-answer.ts";

const RESULT = { content: [] };

describe("can only be an answer", () => {
  test.each<readonly [string, number | string | undefined, string | RegExp]>([
    ['{"jsonrpc":"2.0","id":7,"result":{"mean":NaN}}', 7, "it is not JSON: it contains NaN"],
    [
      '{"jsonrpc":"2.0","result":{"a":[-Infinity],"id":3},"id":7}',
      7,
      "it is not JSON: it contains -Infinity",
    ],
    ['{"jsonrpc":"2.0","id":"7","result":{"a":undefined}}', "7", "it is not JSON: it contains undefined"],
    ['{"jsonrpc":"2.0","id":7,"result":{"a":1,}}', 7, "it is not JSON"],
    ['{"jsonrpc":"2.0","id":7,"result":{"text":"cut', 7, "it is not JSON"],
    ['[{"jsonrpc":"2.0","id":7,"result":{"mean":NaN}}]', 7, "it is not JSON: it contains NaN"],
    [
      '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}',
      undefined,
      "its id is null; it says: Parse error",
    ],
    [
      '{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"}}',
      undefined,
      "it has no id; it says: Parse error",
    ],
    ['{"jsonrpc":"2.0","result":{}}', undefined, "it has no id"],
    ['{"jsonrpc":"2.0","id":1.5,"result":{}}', undefined, "its id is 1.5, expected a string or an integer"],
    [
      '{"jsonrpc":"2.0","id":[7],"result":{}}',
      undefined,
      "its id is an array, expected a string or an integer",
    ],
    ['{"jsonrpc":"2.0","id":7}', 7, "it has neither a result nor an error"],
    ['{"jsonrpc":"2.0","id":7,"content":[]}', 7, "it has neither a result nor an error"],
    ['{"jsonrpc":"2.0","id":7,"result":null}', 7, "its result is null, expected an object"],
    ['{"jsonrpc":"2.0","id":7,"result":"yes"}', 7, 'its result is "yes", expected an object'],
    ['{"jsonrpc":"2.0","id":7,"result":[]}', 7, "its result is an array, expected an object"],
    ['{"jsonrpc":"2.0","id":7,"result":true}', 7, "its result is true, expected an object"],
    ['{"jsonrpc":"2.0","id":7,"result":{},"error":null}', 7, /^its error is null/],
    [
      '{"jsonrpc":"2.0","id":7,"error":"boom"}',
      7,
      "its error is a text, expected an object with a code and a message; it says: boom",
    ],
    [
      '{"jsonrpc":"2.0","id":7,"error":{"message":"boom"}}',
      7,
      "its error's code is missing, expected an integer; it says: boom",
    ],
    [
      '{"jsonrpc":"2.0","id":7,"error":{"code":"E_NO","message":"boom"}}',
      7,
      `its error's code is "E_NO", expected an integer; it says: boom`,
    ],
    ['{"jsonrpc":"2.0","id":7,"error":{"code":1}}', 7, "its error's message is missing, expected a string"],
    [
      '{"jsonrpc":"2.0","id":7,"error":[]}',
      7,
      "its error is an array, expected an object with a code and a message",
    ],
    ['{"jsonrpc":"2.0","id":7,"method":-1,"result":{}}', 7, "it has a method, which only a request has"],
    [
      '{"jsonrpc":"2.0","id":7,"method":"tools/call","result":{}}',
      7,
      "it has a method, which only a request has",
    ],
    ['{"jsonrpc":"1.0","id":7,"result":{}}', 7, 'its jsonrpc is "1.0", expected "2.0"'],
    ['{"jsonrpc":2,"id":7,"result":{}}', 7, 'its jsonrpc is 2, expected "2.0"'],
  ])("%s", (text, id, why) => {
    const [answer, ...others] = readIncoming(text);
    expect(others).toEqual([]);
    expect(answer).toBeInstanceOf(UnusableAnswer);
    expect(answer).toMatchObject({ id, isUncertain: false, why: expect.stringMatching(why) });
  });

  test("a message over several lines", () => {
    expect(readMessages(Buffer.from('  "jsonrpc": "2.0",'))).toEqual([
      expect.objectContaining({ why: expect.stringContaining("several lines") }),
    ]);
  });
});

describe("may be an answer, and may be a line of a log", () => {
  test.each([
    '{"id":7,"result":{}}',
    '{"id":7}',
    '{"level":"error","error":"boom"}',
    '{"result":{"content":[]}}',
  ])("%s", (text) => {
    expect(readIncoming(text)).toEqual([expect.objectContaining({ isUncertain: true })]);
  });
});

describe("is no answer", () => {
  test.each([
    "Server listening on stdio",
    "",
    "NaN",
    "null",
    "42",
    '"ready"',
    "[INFO] started",
    "{ level: 'info', msg: 'started' }",
    '{"level":30,"msg":"started"}',
    '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":NaN}}',
    '{"jsonrpc":"2.0","method":7}',
    '{"jsonrpc":"2.0","id":null,"method":"ping"}',
    "\u{fffd}\u{0}",
  ])("%s", (text) => {
    expect(readIncoming(text)).toEqual([undefined]);
    expect(readMessages(Buffer.from(text))).toEqual([undefined]);
  });
});

test("a batch is what is in it, and a byte order mark nothing", () => {
  const answer = { jsonrpc: "2.0", id: 7, result: RESULT };
  const note = { jsonrpc: "2.0", method: "notifications/x" };
  expect(readIncoming(JSON.stringify([note, answer]))).toEqual([note, answer]);
  expect(readIncoming("[]")).toEqual([]);
  expect(readMessages(Buffer.from(`\ufeff${JSON.stringify(answer)}`))).toEqual([answer]);
});

test("what has to have an answer in it has one, or says why not", () => {
  expect(readWhole("<html>")).toEqual([expect.objectContaining({ why: "it is not JSON" })]);
  expect(readWhole("null")).toEqual([expect.objectContaining({ why: "it is no JSON-RPC message" })]);
  expect(readWhole("[]")).toEqual([expect.objectContaining({ why: "it is an empty batch" })]);
});

test("of what is no JSON the beginning is looked at, however long it is", () => {
  const text = `{"jsonrpc":"2.0","result":[NaN,${"[".repeat(100_000)}${'"\\"",'.repeat(500_000)}`;
  expect(readIncoming(text)).toEqual([expect.objectContaining({ why: "it is not JSON: it contains NaN" })]);
});

test.each([
  ["7", 7],
  ["7.0", 7],
  ["-7", -7],
  ["7.5", undefined],
  ["", undefined],
  ["seven", undefined],
  ["9007199254740993", undefined],
  [7, undefined],
] as const)("%j spells the number %j", (text, number) => {
  expect(numberIn(text)).toBe(number);
});
