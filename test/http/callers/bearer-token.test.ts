/** What a token says of itself, before anybody has verified it. */

import { UnsecuredJWT } from "jose";
import { expect, test } from "vitest";
import { readToken } from "../../../src/http/callers/bearer-token.ts";

const ISSUER = "https://login.example";
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const HEADER = { alg: "ES256", kid: "one" };
const CLAIMS = { iss: ISSUER, sub: "ada", exp: 1_800_000_000 };
const written = (header: unknown, claims: unknown, signature = "c2ln") =>
  `Bearer ${part(header)}.${part(claims)}.${signature}`;

test("a token names its issuer and its end", () => {
  const authorization = written(HEADER, CLAIMS);
  expect(readToken(authorization)).toEqual({
    jwt: authorization.slice("Bearer ".length),
    issuer: ISSUER,
    expiresAt: 1_800_000_000_000,
  });
  expect(readToken(written({ alg: "RS256" }, { iss: "i", sub: "s" }))).toMatchObject({ issuer: "i" });
});

test.each([
  ["nothing", ""],
  ["another scheme", "Basic YWRhOnNlY3JldA=="],
  ["no scheme", written(HEADER, CLAIMS).slice("Bearer ".length)],
  ["a token of two parts", "Bearer a.b"],
  ["a token of five parts", "Bearer a.b.c.d.e"],
  ["an empty signature", written(HEADER, CLAIMS, "")],
  ["an unsecured token", `Bearer ${new UnsecuredJWT(CLAIMS).encode()}`],
  ["no subject", written(HEADER, { iss: ISSUER })],
  ["an empty subject", written(HEADER, { ...CLAIMS, sub: "" })],
  ["a number for a subject", written(HEADER, { ...CLAIMS, sub: 7 })],
  ["no issuer", written(HEADER, { sub: "ada" })],
  ["claims that are a list", written(HEADER, [])],
  ["claims that are no JSON", `Bearer ${part(HEADER)}.bm8.c2ln`],
  ["two tokens", `${written(HEADER, CLAIMS)}, ${written(HEADER, CLAIMS)}`],
  ["what stands behind a token", `${written(HEADER, CLAIMS)} x`],
])("%s names nobody", (_, authorization) => {
  expect(readToken(authorization)).toBeUndefined();
});
