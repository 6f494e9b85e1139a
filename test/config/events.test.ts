import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problems.ts";

const SERVERS = { a: { upstream: { url: "http://a" } } };
const KEY = "ab".repeat(32);

function read(events: object, more: object = {}) {
  return parseConfig(JSON.stringify({ servers: SERVERS, store: { url: "memory:" }, events, ...more }), {})
    .config.events;
}

function problemsOf(events: object, more: object = {}): unknown {
  try {
    return read(events, more);
  } catch (error) {
    return error instanceof ConfigError ? error.problems.map(({ path, message }) => [path, message]) : error;
  }
}

test("clients have no subscriptions unless the file says so", () => {
  expect(read({})).toBeUndefined();
  expect(read({ subscriptions: "off", maxTtl: "1h" })).toBeUndefined();
  expect(read({ subscriptions: "on" })).toEqual({
    errorNumbers: "sketch",
    maxSubscriptions: 1_000,
    maxPerCaller: 20,
    maxTtlMs: 86_400_000,
    timeoutMs: 5_000,
    allowedHosts: [],
  });
});

test("what is given is taken", () => {
  const given = {
    subscriptions: "on",
    errorNumbers: "sep",
    maxSubscriptions: 5,
    maxPerCaller: "2",
    maxTtl: "30m",
    timeout: "1s",
    allowHosts: ["Hooks.Internal", "[::1]"],
  };
  expect(read(given)).toEqual({
    errorNumbers: "sep",
    maxSubscriptions: 5,
    maxPerCaller: 2,
    maxTtlMs: 1_800_000,
    timeoutMs: 1_000,
    allowedHosts: ["hooks.internal", "[::1]"],
  });
});

test.each([
  [{ subscriptions: true }, "events.subscriptions", "must be one of off, on, got true"],
  [{ errorNumbers: "final" }, "events.errorNumbers", 'must be one of sketch, sep, got "final"'],
  [{ maxSubscriptions: 0 }, "events.maxSubscriptions", "must be a whole number from 1 to 10000, got 0"],
  [{ maxPerCaller: 101 }, "events.maxPerCaller", "must be a whole number from 1 to 100, got 101"],
  [{ maxTtl: "5m" }, "events.maxTtl", 'must be from 10m to 7d, got "5m"'],
  [{ timeout: "1m" }, "events.timeout", 'must be from 100ms to 30s, got "1m"'],
  [
    { allowHosts: ["https://hooks.internal"] },
    "events.allowHosts[0]",
    'must be a host name without scheme, port or wildcard, got "https://hooks.internal"',
  ],
  [{ url: "x" }, "events.url", expect.stringContaining("is not a setting")],
])("%j says what is wrong", (events, path, message) => {
  expect(problemsOf(events)).toEqual([[path, message]]);
});

test("a store that keeps secrets has to be encrypted", () => {
  const on = { subscriptions: "on" };
  const message = expect.stringMatching(
    /^needs store\.encryptionKeys: a subscription has its client's secret/,
  );
  for (const url of ["level:tasks", "redis://localhost"])
    expect(problemsOf(on, { store: { url } })).toEqual([["events.subscriptions", message]]);
  expect(problemsOf(on, { store: undefined })).toEqual([["events.subscriptions", message]]);
  expect(problemsOf(on, { store: { url: "level:tasks", encryptionKeys: [KEY] } })).toHaveProperty("maxTtlMs");
  expect(problemsOf({ subscriptions: "off" }, { store: { url: "level:tasks" } })).toBeUndefined();
});

test("callers have to be told apart", () => {
  const on = { subscriptions: "on" };
  expect(problemsOf(on, { callers: { identify: "anonymous" } })).toEqual([
    ["events.subscriptions", "needs callers that are told apart, and callers.identify is anonymous"],
  ]);
});
