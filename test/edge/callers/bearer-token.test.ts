/** What a token says of itself, before anybody has verified it. */

import { UnsecuredJWT } from "jose";
import { expect, test } from "vitest";
import { readToken } from "../../../src/edge/callers/bearer-token.ts";
import { ISSUER, startIssuer } from "../../support/doorkeeper.ts";

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const HEADER = { alg: "ES256", kid: "one" };
const CLAIMS = { iss: ISSUER, sub: "ada", exp: 1_800_000_000 };
const written = (header: unknown, claims: unknown, signature = "c2ln") =>
  `Bearer ${part(header)}.${part(claims)}.${signature}`;

test("a token names its subject, its end, and what it was signed with", () => {
  expect(readToken(written(HEADER, CLAIMS))).toEqual({
    issuer: ISSUER,
    subject: "ada",
    expiresAt: 1_800_000_000_000,
    signedWith: '["ES256","one"]',
    forgery: written(HEADER, CLAIMS, "A2ln"),
  });
  expect(readToken(written({ alg: "RS256" }, { iss: "i", sub: "s" }))).toMatchObject({
    issuer: "i",
    signedWith: '["RS256",null]',
  });
});

test("a forgery differs in the signature alone, and nobody who verifies takes it", async () => {
  const { sign, verifies } = await startIssuer();
  for (let count = 0; count < 20; count += 1) {
    const authorization = await sign(`ada-${count}`);
    const { forgery = "" } = readToken(authorization) ?? {};
    const end = authorization.lastIndexOf(".");
    expect(forgery.slice(0, end)).toBe(authorization.slice(0, end));
    expect(forgery).toHaveLength(authorization.length);
    expect([await verifies(authorization), await verifies(forgery)]).toEqual([true, false]);
  }
});

test.each([
  ["nothing", ""],
  ["another scheme", "Basic YWRhOnNlY3JldA=="],
  ["no scheme", written(HEADER, CLAIMS).slice("Bearer ".length)],
  ["a token of two parts", "Bearer a.b"],
  ["a token of five parts", "Bearer a.b.c.d.e"],
  ["an empty signature", written(HEADER, CLAIMS, "")],
  ["no algorithm", written({}, CLAIMS)],
  ["none for an algorithm", written({ alg: "none" }, CLAIMS)],
  ["none, written otherwise", written({ alg: "NoNe" }, CLAIMS)],
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
