import { expect, test } from "vitest";
import { JsonLimits, MAX_VALUES } from "../../src/protocol/json-limits.ts";
import { toFailure } from "../../src/upstream/failure.ts";
import * as fc from "../support/properties.ts";

/** What the gauge says to pieces of a text, and `undefined` when it says nothing. */
function said(pieces: readonly Uint8Array[], maxDepth: number, isStream: boolean): string | undefined {
  const gauge = new JsonLimits(maxDepth, isStream ? "events" : "lines");
  try {
    for (const piece of pieces) gauge.take(piece);
    return undefined;
  } catch (error) {
    return toFailure(error).message;
  }
}

const DEEP = "The server's answer is nested deeper than 2 levels (limits.maxDepth)";

test.each<[what: string, text: string, body: string | undefined, stream: string | undefined]>([
  ["two levels", '[{"a":1}]', undefined, undefined],
  ["three levels", "[[[]]]", DEEP, DEEP],
  ["brackets in a text", '["[[[\\"[[["]', undefined, undefined],
  ["a text that ends in a backslash", '["\\\\",[[1]]]', DEEP, DEEP],
  ["levels that are closed in between", "[[]][[]][[]]", undefined, undefined],
  ["levels beyond a line", "[\n[\r\n[", DEEP, DEEP],
  ["levels beyond a blank line", "[\n\n[\r\n\r\n[\r\r[", DEEP, undefined],
  ["a text that ends with its line", '"\n[[[', DEEP, DEEP],
  ["a comment with a quotation mark", ': "\ndata: [[[', DEEP, DEEP],
])("%s", (_, text, body, stream) => {
  expect(said([Buffer.from(text)], 2, false)).toBe(body);
  expect(said([Buffer.from(text)], 2, true)).toBe(stream);
});

test("as many values as there may be, and one more, in one message and in two", () => {
  const many = "1,".repeat(MAX_VALUES);
  const message = `The server's answer has more than ${MAX_VALUES} values`;
  expect(said([Buffer.from(many)], 2, false)).toBe(undefined);
  expect(said([Buffer.from(`${many},`)], 2, false)).toBe(message);
  expect(said([Buffer.from(`${many}\n\n${many}`)], 2, true)).toBe(undefined);
});

test("what it says does not depend on where the network cuts", () => {
  const letters = fc.constantFrom("[", "]", "{", "}", ",", '"', "\\", "\n", "\r", "a", ":");
  const texts = fc.array(letters, { maxLength: 40 }).map((parts) => Buffer.from(parts.join("")));
  const pieces = fc.tuple(texts, fc.array(fc.nat(40), { maxLength: 5 }), fc.boolean());
  return fc.assert(
    fc.property(pieces, ([text, cuts, isStream]) => {
      const places = [0, ...cuts.filter((at) => at < text.length).sort((a, b) => a - b), text.length];
      const cut = places.slice(1).map((end, nth) => text.subarray(places[nth], end));
      expect(said(cut, 2, isStream)).toBe(said([text], 2, isStream));
    }),
  );
});

test("what is JSON, and not too deep, is let through; what is too deep is not", () => {
  return fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), fc.boolean(), (text, isStream) => {
      const isLetThrough = said([Buffer.from(text)], 3, isStream) === undefined;
      expect(isLetThrough).toBe(depthOf(JSON.parse(text)) <= 3);
    }),
  );
});

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}
