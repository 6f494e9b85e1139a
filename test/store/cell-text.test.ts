import { describe, expect, test } from "vitest";
import { cellOf, cellText, storedOf, storedText } from "../../src/store/cell-text.ts";

/** As it is for Redis and for what lies on a disk: text is bytes in UTF-8. */
const throughBytes = (text: string) => Buffer.from(text, "utf8").toString("utf8");

function ended(result: unknown, more: object = {}): object {
  return { task: { id: "a" }, outcome: { kind: "completed", endedAt: 7, result, ...more } };
}

describe("a result", () => {
  const results = {
    "of a few words": '{"content":[{"type":"text","text":"done"}]}',
    empty: "",
    "of nothing but a newline": "\n",
    "with newlines, one of them first": '\n{\n  "a": "\\n"\r\n}\n',
    "with quotes and backslashes": '{"a":"\\"\\\\\\u0000"}',
    "with a key that is a setter": '{"__proto__":{"polluted":true},"constructor":1}',
    "in other scripts": '{"a":"ž ☃ 日本 👩‍🚀 \u2028\u2029\ufeff"}',
    "with half of a surrogate pair": '{"a":"x\ud800y"}',
    "with the other half, and a newline": '{"a":\n"\udc00"}',
    "that is no JSON": 'nu\nll{"',
    "of many kilobytes": `{"a":"${"\\n\n".repeat(50_000)}"}`,
  };

  test.each(Object.entries(results))("%s is what was written, character for character", (_, result) => {
    const cell = ended(result, { failure: "no" });

    expect(cellOf(throughBytes(cellText(cell)))).toEqual(cell);
    expect(storedOf(throughBytes(storedText({ value: cell, expires: 9 })))).toEqual({
      value: cell,
      expires: 9,
    });
    expect(JSON.stringify(cell)).toBe(JSON.stringify(ended(result, { failure: "no" })));
  });

  test("is not escaped, and comes last", () => {
    const result = '{"a":"\\n"}';
    expect(storedText({ value: ended(result) })).toBe(
      `{"value":{"task":{"id":"a"},"outcome":{"kind":"completed","endedAt":7}}}\n${result}`,
    );
    expect(cellText(ended(result)).split("\n")[1]).toBe(result);
  });

  test("can be half of a surrogate pair only where that is escaped", () => {
    expect(cellText(ended("\ud800"))).toBe(JSON.stringify(ended("\ud800")));
  });
});

describe("a cell without a result that is text", () => {
  const cells: readonly unknown[] = [
    {},
    { task: { id: "a" } },
    { outcome: undefined },
    { outcome: null },
    { outcome: "lost\n" },
    { outcome: ["a", "b"] },
    { outcome: { kind: "lost", reason: "it\nstopped" } },
    ended({ content: [] }),
    ended(7),
    ended(null),
    { result: "not here", outcome: {} },
    { deep: ended("not\nhere") },
    JSON.parse('{"__proto__":{"outcome":{"result":"not here"}}}'),
    JSON.parse('{"__proto__":{"a":1},"outcome":{"__proto__":{"b":2},"kind":"completed"}}'),
    "text\n",
    null,
    [ended("not here")],
  ];

  test.each(cells.map((cell) => [JSON.stringify(cell), cell]))("is JSON: %s", (json, cell) => {
    expect(cellText(cell)).toBe(json);
    expect(JSON.stringify(cellOf(cellText(cell)))).toBe(json);
    expect(JSON.stringify(storedOf(storedText({ value: cell })))).toBe(JSON.stringify({ value: cell }));
  });
});

test("keys that mean something elsewhere are keys like any other beside a result", () => {
  const json =
    '{"__proto__":{"a":1},"task":{"toString":2},"outcome":{"__proto__":{"b":2},"endedAt":7,"result":"{}"}}';

  const cell = cellOf(cellText(JSON.parse(json)));

  expect(JSON.stringify(cell)).toBe(json);
  expect(({} as { a?: unknown }).a).toBeUndefined();
});

test("text from before results had a place of their own is read as it was meant", () => {
  const cell = ended('{"a":"\\n"}');

  expect(cellOf(JSON.stringify(cell))).toEqual(cell);
  expect(storedOf(JSON.stringify({ value: cell, expires: 9 }))).toEqual({ value: cell, expires: 9 });
});

test.each(["", "{", "\n", "\n{}", '{"value":{}}\n{}', '{"outcome":7}\n{}', "null\n", '{"value":null}\n'])(
  "text that is no cell is refused: %j",
  (text) => {
    expect(() => cellOf(text)).toThrow(SyntaxError);
  },
);

test.each(["", "{", "\n", "\n{}", '{"value":{}}\n{}', '{"value":{"outcome":[]}}\n{}', '{"value":null}\n'])(
  "text that is nothing that was stored is refused: %j",
  (text) => {
    expect(() => storedOf(text)).toThrow(SyntaxError);
  },
);
