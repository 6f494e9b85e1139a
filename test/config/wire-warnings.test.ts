/** Settings that let anybody be anybody, or show credentials to everybody on the way. */

import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";

const warned = (document: object) =>
  parseConfig(JSON.stringify(document), {}).warnings.map(({ path }) => path);
const at = (upstream: object, rest: object = {}) => ({ servers: { a: { upstream } }, ...rest });
const FAR = { url: "https://far.example/mcp" };

test.for([
  ["0.0.0.0/0", true],
  ["0.0.0.0/1", true],
  ["16.0.0.0/7", true],
  ["10.0.0.0/8", false],
  ["104.16.0.0/13", false],
  ["127.0.0.1", false],
  ["::/0", true],
  ["2000::/3", true],
  ["2001::/15", true],
  ["::ffff:0.0.0.0/96", true],
  ["::ffff:10.0.0.0/104", false],
  ["2a06:98c0::/29", false],
  ["fc00::/7", false],
  ["fe80::/10", false],
  ["fd00::/6", true],
  ["::1", false],
] as const)("trustedProxies with %s: %s", ([network, isWarned]) => {
  for (const identify of ["auto", "header"]) {
    const callers = { identify, trustedProxies: ["127.0.0.1", network] };
    expect(warned(at(FAR, { callers }))).toEqual(isWarned ? ["callers.trustedProxies[1]"] : []);
  }
});

test.for<[issuer: string, jwks: string | undefined, warned: readonly string[]]>([
  ["https://login.example", undefined, []],
  ["https://login.example", "https://keys.example/", []],
  ["https://login.example", "http://keys.example/", ["callers.jwt.jwks"]],
  ["https://login.example", "http://10.0.0.1/", ["callers.jwt.jwks"]],
  ["https://login.example", "http://127.0.0.1:9/", []],
  ["http://login.example", undefined, ["callers.jwt.issuer"]],
  ["http://login.example", "https://keys.example/", []],
  ["http://localhost:9", undefined, []],
])("the issuer %s with keys at %s", ([issuer, jwks, expected]) => {
  const jwt = { issuer, audience: ["a"], ...(jwks === undefined ? {} : { jwks }) };
  for (const identify of ["jwt", "auto"])
    expect(warned(at(FAR, { callers: { identify, jwt } }))).toEqual(expected);
});

test.for<[upstream: object, identify: string, isWarned: boolean]>([
  [{ url: "http://far.example/mcp", headers: { Authorization: "Bearer x" } }, "auto", true],
  [{ url: "http://10.0.0.1/mcp", headers: { "X-Api-Key": "x" } }, "auto", true],
  [{ url: "http://far.example/mcp", forwardHeaders: ["Cookie"] }, "anonymous", true],
  [{ url: "http://far.example/mcp", forwardHeaders: ["x-tags"] }, "anonymous", false],
  [{ url: "http://far.example/mcp" }, "authorization", true],
  [{ url: "http://far.example/mcp" }, "auto", false],
  [
    { url: "https://far.example/mcp", headers: { Authorization: "x" }, forwardHeaders: ["cookie"] },
    "authorization",
    false,
  ],
  [{ url: "http://127.0.0.1/mcp", headers: { Authorization: "x" } }, "authorization", false],
  [{ url: "http://[::1]/mcp", headers: { Authorization: "x" } }, "authorization", false],
  [{ url: "http://localhost/mcp", headers: { Authorization: "x" } }, "authorization", false],
])("a server %j, with %s: %s", ([upstream, identify, isWarned]) => {
  expect(warned(at(upstream, { callers: { identify } }))).toEqual(isWarned ? ["servers.a.upstream.url"] : []);
});

test.for<[url: string, isWarned: boolean]>([
  ["redis://u:secret@far.example/0", true],
  ["redis://:secret@10.0.0.1", true],
  ["redis+cluster://u:secret@127.0.0.1:1,far.example:2", true],
  ["redis+sentinel://u:secret@far.example/m", true],
  ["rediss://u:secret@far.example", false],
  ["redis://far.example", false],
  ["redis://u:secret@127.0.0.1", false],
  ["redis://u:secret@localhost", false],
  ["redis://u:secret@[::1]:6379", false],
])("a store at %s: %s", ([url, isWarned]) => {
  const { warnings } = parseConfig(JSON.stringify(at(FAR, { store: { url } })), {});
  expect(warnings.map(({ path }) => path)).toEqual(isWarned ? ["store.url"] : []);
  expect(JSON.stringify(warnings)).not.toContain("secret");
});
