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
  "callers without a credential are anonymous, and 0.0.0.0 can be reached by others: whoever knows a task id has the task";
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
  [
    "store: { lease: 5s, prefix: a }",
    [
      ["store.lease", "has no effect without a Redis in url"],
      ["store.prefix", "has no effect without a Redis in url"],
    ],
  ],
  ["store: { url: 'redis://h', lease: 15s, timeout: 7s, prefix: a }", []],
  [
    "store: { url: 'rediss+cluster://h', lease: 3s }",
    [["store.lease", "is less than two timeouts: a gateway is taken to be dead when the store is slow"]],
  ],
  [
    `store: { url: 'memory:', encryptionKeys: [${"a".repeat(64)}] }`,
    [
      ["store.url", "memory: loses every task when the gateway stops"],
      ["store.encryptionKeys", "memory: stores nothing that could be encrypted"],
    ],
  ],
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

const IDLE = "has no effect without onLoss: retry";

test.each([
  ["tasks: { unsafe: true }", ["tasks.unsafe"]],
  ["tasks: { unsafe: 'true', onLoss: fail }", ["tasks.unsafe"]],
  ["tasks: { unsafe: true }, tools: [{ match: a }]", ["tasks.unsafe"]],
  ["tasks: { unsafe: true }, tools: [{ match: a, unsafe: true, onLoss: retry }]", ["tasks.unsafe"]],
  ["tools: [{ match: a, unsafe: true }]", ["tools[0].unsafe"]],
  ["tasks: { onLoss: retry }, tools: [{ match: a, unsafe: true, onLoss: fail }]", ["tools[0].unsafe"]],
  ["tasks: { unsafe: true, onLoss: retry }", []],
  ["tasks: { unsafe: true }, tools: [{ match: a, onLoss: retry }]", []],
  ["tasks: { onLoss: retry }, tools: [{ match: a, unsafe: true }]", []],
  ["tasks: { unsafe: false }", []],
])("what is unsafe in vain is told: %s", (settings, paths) => {
  const text = `servers: { a: { upstream: { url: 'http://a/' }, ${settings} } }`;
  expect(parseConfig(text, {}).warnings).toEqual(
    paths.map((path) => ({ path: `servers.a.${path}`, message: IDLE })),
  );
});

test.each([
  ["node ./server.js", true],
  ["node", false],
  [`${import.meta.dirname}/../support`, false],
])("arguments in the name of a program are told: %s", (command, isTold) => {
  const text = `servers: { a: { upstream: { command: ${JSON.stringify(command)} } } }`;
  const message = "has a blank in the name of the program: put arguments in args";
  expect(parseConfig(text, {}).warnings).toEqual(
    isTold ? [{ path: "servers.a.upstream.command", message }] : [],
  );
});

const CLOSED = "not given, and 0.0.0.0 is not loopback: the API and the console refuse every request";

test.each([
  ["host: 0.0.0.0, port: 1", [CLOSED]],
  ["host: 0.0.0.0, port: 1, readToken: aaaaaaaaaaaaaaaa", []],
  ["host: '::1', port: 1", []],
  ["port: 1", []],
])("an API that nobody can use is told: admin: { %s }", (admin, messages) => {
  expect(parseConfig(`admin: { ${admin} }\n${SERVERS}`, {}).warnings).toEqual(
    messages.map((message) => ({ path: "admin.token", message })),
  );
});

test.each([
  ["", ["tasks.mode", "tools[1].mode"]],
  ["admin: { port: 1 }", []],
])("calls that are observed where nobody can look are told: %s", (admin, paths) => {
  const rules = "tasks: { mode: observe }, tools: [{ match: a, mode: auto }, { match: b, mode: observe }]";
  const text = `${admin}\nservers: { a: { upstream: { url: 'http://a/' }, ${rules} } }`;
  expect(parseConfig(text, {}).warnings).toEqual(
    paths.map((path) => ({
      path: `servers.a.${path}`,
      message: "without an admin listener (admin.port) nothing is counted",
    })),
  );
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
