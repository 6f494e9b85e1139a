/** What `WWW-Authenticate` says, and what nobody can make it say. */

import { expect, test } from "vitest";
import { bearerChallenge, type Challenge } from "../../../src/http/callers/challenge.ts";
import * as fc from "../../support/properties.ts";

const METADATA = "https://tools.example/.well-known/oauth-protected-resource/mcp";

test.for<[challenge: Challenge, header: string]>([
  [{ scopes: [] }, "Bearer"],
  [{ scopes: ["a"] }, 'Bearer scope="a"'],
  [{ scopes: [], resourceMetadata: METADATA }, `Bearer resource_metadata="${METADATA}"`],
  [{ scopes: ["a", "b"], resourceMetadata: METADATA }, `Bearer resource_metadata="${METADATA}", scope="a b"`],
  [
    { error: "invalid_token", description: "the token has expired", scopes: [], resourceMetadata: METADATA },
    `Bearer error="invalid_token", error_description="the token has expired", resource_metadata="${METADATA}"`,
  ],
  [
    { error: "insufficient_scope", description: "the token lacks b", scopes: ["a", "b"] },
    'Bearer error="insufficient_scope", error_description="the token lacks b", scope="a b"',
  ],
  // What RFC 6750 has no place for would end the string, or the header.
  [
    { scopes: ['a"b', "c\\d"], description: 'x\r\nSet-Cookie: y="z"' },
    'Bearer error_description="x??Set-Cookie: y=?z?", scope="a?b c?d"',
  ],
  [{ scopes: ["é\u0000\u{1f600}"] }, 'Bearer scope="????"'],
])("%j is told as %s", ([challenge, header]) => {
  expect(bearerChallenge(challenge)).toBe(header);
});

test("whatever is told, it is one header with the parameters that were meant", () => {
  const text = fc.string({ unit: "binary" });
  const challenge = fc.record({
    scopes: fc.array(text, { maxLength: 3 }),
    description: text,
    resourceMetadata: text,
  });
  return fc.assert(
    fc.property(challenge, (given) => {
      const header = bearerChallenge({ error: "invalid_token", ...given });
      const params = /^Bearer ((?:[a-z_]+="[^"\\\p{Cc}]*"(?:, |$))+)$/u.exec(header)?.[1] ?? "";
      const names = [...params.matchAll(/([a-z_]+)="[^"]*"/g)].map(([, name]) => name);
      const expected = ["error", "error_description", "resource_metadata", "scope"];
      expect(names).toEqual(given.scopes.length === 0 ? expected.slice(0, 3) : expected);
    }),
  );
});
