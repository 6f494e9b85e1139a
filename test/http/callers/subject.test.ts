/** The keys of those who have tokens. */

import { expect, test } from "vitest";
import { subjectKey } from "../../../src/http/callers/bearer-token.ts";
import * as fc from "../../support/properties.ts";

const name = fc.oneof(
  fc.string({ unit: "binary", minLength: 1, maxLength: 12 }),
  fc.stringMatching(/^[ab",:\\[\]]{1,8}$/),
  fc.constantFrom("\ud800", "\\ud800", "\udfff", "é", "e\u0301", " a", "a"),
  fc.string({ minLength: 500, maxLength: 700 }),
);

test("no two pairs of issuer and subject have the same key, and no key is long", () => {
  const keys = new Map<string, readonly [string, string]>();
  return fc.assert(
    fc.property(name, name, (issuer, subject) => {
      const key = subjectKey(issuer, subject);
      expect(key.length).toBeLessThan(600);
      expect(subjectKey(issuer, subject)).toBe(key);
      const [sameIssuer, sameSubject] = keys.get(key) ?? [issuer, subject];
      expect([sameIssuer, sameSubject]).toEqual([issuer, subject]);
      keys.set(key, [issuer, subject]);
    }),
    { numRuns: 5_000 },
  );
});

test("a name cannot be moved from the subject to the issuer", () => {
  return fc.assert(
    fc.property(name, name, name, (a, b, c) => {
      expect(subjectKey(a + b, c)).not.toBe(subjectKey(a, b + c));
    }),
  );
});

test.each([
  ["https://a", "b"],
  ['https://a","b', "c"],
  ["x".repeat(600), "y"],
])("the key of %.20s and %s says that a token has named the caller", (issuer, subject) => {
  expect(subjectKey(issuer, subject)).toMatch(/^jwt[:#]/);
});
