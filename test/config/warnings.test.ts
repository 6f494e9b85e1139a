import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problems.ts";

const SERVERS = "servers: { a: { upstream: { url: 'http://a/' } } }";

test.each([["127.0.0.1"], ["127.1.2.3"], ["localhost"], ["'::1'"]])(
  "listening on %s warns of nothing",
  (host) => {
    expect(parseConfig(`listen: { host: ${host}, port: 0 }\n${SERVERS}`, {}).warnings).toEqual([]);
  },
);

const ANONYMOUS =
  "callers are anonymous, and 0.0.0.0 can be reached by others: whoever knows a task id has the task";
const HOSTS =
  "not given, and 0.0.0.0 can be reached by others: name the hosts that requests may be addressed to";

test.each([
  [
    "listen: { host: 0.0.0.0 }",
    [
      ["callers.identify", ANONYMOUS],
      ["listen.allowedHosts", HOSTS],
    ],
  ],
  ["listen: { host: 0.0.0.0, allowedHosts: [a.example] }", [["callers.identify", ANONYMOUS]]],
  ["store: { url: 'memory:' }", [["store.url", "memory: loses every task when the gateway stops"]]],
])("%s", (text, expected) => {
  const { warnings } = parseConfig(`${text}\n${SERVERS}`, {});
  expect(warnings).toEqual(expected.map(([path, message]) => ({ path, message })));
});

test.each([
  ["[{ match: x }, { match: y }, { match: x }]", 2, "x"],
  ["[{ match: '*' }, { match: y }]", 1, "*"],
])("a rule that can never match is told: %s", (tools, index, glob) => {
  const text = `servers: { a: { upstream: { url: 'http://a/' }, tools: ${tools} } }`;
  expect(parseConfig(text, {}).warnings).toEqual([
    {
      path: `servers.a.tools[${index}]`,
      message: `never applies, because the rule for "${glob}" comes first`,
    },
  ]);
});

test("a file with errors has its warnings too", () => {
  const load = () => parseConfig(`store: { url: 'memory:' }\nbogus: 1\n${SERVERS}`, {});
  expect(load).toThrow(ConfigError);
  expect(load).toThrow(
    expect.objectContaining({
      warnings: [{ path: "store.url", message: "memory: loses every task when the gateway stops" }],
    }),
  );
});
