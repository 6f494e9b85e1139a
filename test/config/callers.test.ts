/** How callers are to be told apart: what is read, refused and warned of. */

import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problems.ts";

const SERVERS = "servers: { a: { upstream: { url: 'https://a/' } } }";

function read(callers: string) {
  return parseConfig(`callers: ${callers}\n${SERVERS}`, {});
}

function problemsOf(callers: string): readonly (readonly [string, string])[] {
  try {
    read(callers);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(({ path, message }) => [path, message]);
  }
  throw new Error("the configuration was accepted");
}

test.each([
  ["{}", { identify: "auto" }],
  ["{ identify: anonymous }", { identify: "anonymous" }],
  ["{ identify: authorization }", { identify: "authorization" }],
  ["{ trustedProxies: [10.0.0.0/8] }", { identify: "auto", trustedProxies: ["10.0.0.0/8"] }],
  ["{ identify: anonymous, trustedProxies: [] }", { identify: "anonymous" }],
  [
    "{ jwt: { issuer: https://login.example, audience: [a], jwks: 'https://i/keys' } }",
    {
      identify: "auto",
      jwt: {
        issuer: "https://login.example",
        audience: ["a"],
        jwks: new URL("https://i/keys"),
        clockToleranceMs: 30_000,
      },
    },
  ],
  [
    "{ identify: header, trustedProxies: [127.0.0.1] }",
    { identify: "header", header: "x-forwarded-user", trustedProxies: ["127.0.0.1"] },
  ],
  [
    "{ identify: header, header: X-Remote-User, trustedProxies: ['::1', 'fd00::/8'] }",
    { identify: "header", header: "x-remote-user", trustedProxies: ["::1", "fd00::/8"] },
  ],
  [
    "{ identify: jwt, jwt: { issuer: https://login.example, audience: [a] } }",
    {
      identify: "jwt",
      issuer: "https://login.example",
      audience: ["a"],
      scopes: [],
      clockToleranceMs: 30_000,
    },
  ],
  [
    "{ identify: jwt, jwt: { issuer: i, audience: [a, b], jwks: 'https://i/keys', scopes: [tools:call], clockTolerance: 0ms } }",
    {
      identify: "jwt",
      issuer: "i",
      audience: ["a", "b"],
      jwks: new URL("https://i/keys"),
      scopes: ["tools:call"],
      clockToleranceMs: 0,
    },
  ],
])("%s", (text, expected) => {
  const { config, warnings } = read(text);
  expect(config.callers).toEqual(expected);
  expect(warnings).toEqual([]);
});

const NETWORK = "must be an address or a network such as 10.0.0.0/8";
const NEEDED = "must name who sets the header, since anybody else could as well";

const refused: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  ["{ identify: header }", [["callers.trustedProxies", NEEDED]]],
  ["{ identify: header, trustedProxies: [] }", [["callers.trustedProxies", NEEDED]]],
  ...["localhost", "10.0.0.0/33", "::1/129", "10.0.0/8", "10.0.0.0/8/8", "10.0.0.0/x", "*"].map(
    (network) =>
      [
        `{ identify: header, trustedProxies: ["${network}"] }`,
        [["callers.trustedProxies[0]", `${NETWORK}, got "${network}"`]],
      ] as const,
  ),
  [
    "{ identify: header, header: 'X User', trustedProxies: [127.0.0.1] }",
    [["callers.header", 'must be a header name, got "X User"']],
  ],
  [
    "{ identify: jwt }",
    [
      ["callers.jwt.issuer", "must be given, to verify the tokens of an issuer"],
      ["callers.jwt.audience", "must be given, to verify the tokens of an issuer"],
    ],
  ],
  [
    "{ identify: authorization, jwt: { issuer: 'https://i' } }",
    [["callers.jwt.audience", "must be given, to verify the tokens of an issuer"]],
  ],
  [
    "{ identify: jwt, jwt: { issuer: 'https://i', audience: [] } }",
    [["callers.jwt.audience", "must be given, to verify the tokens of an issuer"]],
  ],
  ...["i", "urn:i"].map(
    (issuer) =>
      [
        `{ identify: jwt, jwt: { issuer: "${issuer}", audience: [a] } }`,
        [["callers.jwt.jwks", "must be given where the issuer is no url that could say where its keys are"]],
      ] as const,
  ),
  [
    "{ identify: jwt, jwt: { issuer: i, audience: [a], jwks: 'file:///keys' } }",
    [["callers.jwt.jwks", 'must be http or https, got "file:///keys"']],
  ],
  [
    "{ identify: jwt, jwt: { issuer: 'https://i', audience: [a], scopes: ['a b'] } }",
    [["callers.jwt.scopes[0]", 'must be a scope without spaces, got "a b"']],
  ],
  [
    "{ identify: jwt, jwt: { issuer: 'https://i', audience: [a], clockTolerance: 11m } }",
    [["callers.jwt.clockTolerance", 'must be from 0ms to 10m, got "11m"']],
  ],
  [
    "{ identify: password }",
    [["callers.identify", 'must be one of auto, anonymous, authorization, header, jwt, got "password"']],
  ],
];

test.each(refused)("%s is refused", (text, expected) => {
  expect(problemsOf(text)).toEqual(expected);
});

test("what has no effect is warned of", () => {
  const jwt = "jwt: { issuer: 'https://i', audience: [a], scopes: [s] }";
  expect(read(`{ identify: anonymous, header: x-user, ${jwt} }`).warnings).toEqual([
    { path: "callers.header", message: "has no effect without identify: header" },
    { path: "callers.jwt", message: "has no effect without identify: jwt" },
  ]);
  expect(read(`{ ${jwt} }`).warnings).toEqual([
    { path: "callers.jwt.scopes", message: "has no effect without identify: jwt" },
  ]);
});

test.each([
  "header, trustedProxies: [127.0.0.1]",
  "authorization",
  "jwt, jwt: { issuer: 'https://i', audience: [a] }",
])("a gateway that others reach may tell callers apart by %s", (how) => {
  const listen = "listen: { host: 0.0.0.0, allowedHosts: [a.example] }";
  const { warnings } = parseConfig(`${listen}\ncallers: { identify: ${how} }\n${SERVERS}`, {});
  expect(warnings).toEqual([]);
});
