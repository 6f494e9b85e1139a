import { getHeapStatistics } from "node:v8";
import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problems.ts";
import { parseRate } from "../../src/config/units.ts";

const SERVERS = "servers: { a: { upstream: { url: 'http://a/' } } }";
const limitsOf = (limits: string) => parseConfig(`limits: ${limits}\n${SERVERS}`, {}).config.limits;

const QUARTER = Math.floor(getHeapStatistics().heap_size_limit / 4);

test("what holds where nothing is said", () => {
  expect(limitsOf("{}")).toEqual({
    maxBodyBytes: 4_194_304,
    maxDepth: 128,
    maxHeaderBytes: 16_384,
    maxConnections: 20_000,
    maxUnwrittenBytes: 268_435_456,
    keepAliveMs: 15_000,
    keepsJsonAlive: true,
    shutdownDelayMs: 0,
    drainTimeoutMs: 10_000,
    maxWaitMs: 45_000,
    restartGapMs: 5_000,
    total: {
      tasks: 20_000,
      streams: 10_000,
      sessions: 5_000,
      storedBytes: 1_073_741_824,
      bytes: QUARTER,
    },
    perCaller: {
      tasks: 2_000,
      streams: 200,
      sessions: 100,
      storedBytes: 268_435_456,
      bytes: Math.floor(QUARTER / 4),
      calls: { count: 100, perMs: 1_000 },
      polls: { count: 500, perMs: 1_000 },
    },
  });
});

test("a limit that is given changes nothing of the others", () => {
  const preset = limitsOf("{}");
  expect(limitsOf("{ total: { tasks: '7' }, perCaller: { polls: none, calls: 600/m } }")).toEqual({
    ...preset,
    total: { ...preset.total, tasks: 7 },
    perCaller: { ...preset.perCaller, polls: undefined, calls: { count: 600, perMs: 60_000 } },
  });
});

test.for([
  ["{ streams: 1, sessions: 100000, storedBytes: 1kb }", { streams: 1, sessions: 2_000, storedBytes: 256 }],
  ["{ streams: 101, sessions: 5100 }", { streams: 100, sessions: 102 }],
] as const)("of total: %s one caller may have %j", ([total, share]) => {
  expect(limitsOf(`{ total: ${total} }`).perCaller).toMatchObject(share);
});

test.for([
  ["1/s", { count: 1, perMs: 1_000 }],
  ["600/m", { count: 600, perMs: 60_000 }],
  ["1000000/h", { count: 1_000_000, perMs: 3_600_000 }],
  ["0/s", undefined],
  ["1000001/s", undefined],
  ["-1/s", undefined],
  ["1.5/s", undefined],
  ["1/d", undefined],
  ["1/ s", undefined],
  ["/s", undefined],
  ["1", undefined],
  ["", undefined],
] as const)("%j is a rate of %j", ([text, rate]) => {
  expect(parseRate(text)).toEqual(rate);
});

const RATE = 'must be a rate such as "100/s", "600/m" or "5000/h", or "none"';

test.for([
  ["{ perCaller: { calls: 100 } }", "limits.perCaller.calls", `${RATE}, got 100`],
  ["{ perCaller: { polls: fast } }", "limits.perCaller.polls", `${RATE}, got "fast"`],
  ["{ total: { tasks: 0 } }", "limits.total.tasks", "must be a whole number from 1 to 10000000, got 0"],
  ["{ total: { bytes: 8191kb } }", "limits.total.bytes", "must be at least twice limits.maxBody (8388608b)"],
  [
    "{ maxBody: 1mb, perCaller: { bytes: 1023kb } }",
    "limits.perCaller.bytes",
    "must be at least limits.maxBody (1048576b)",
  ],
  ["{ maxDepth: 7 }", "limits.maxDepth", "must be a whole number from 8 to 10000, got 7"],
  ["{ maxHeaders: 2mb }", "limits.maxHeaders", 'must be from 1b to 1mb, got "2mb"'],
] as const)("%s → %s: %s", ([limits, path, message]) => {
  expect(() => limitsOf(limits)).toThrow(ConfigError);
  expect(() => limitsOf(limits)).toThrow(expect.objectContaining({ problems: [{ path, message }] }) as Error);
});

test("a setting of 0.1.0 that is gone is an error that says what there is instead", () => {
  const file =
    "{ perRoute: { tasks: 1, polls: 1/s }, total: { held: 1, polls: 1/s }, perCaller: { queued: 1, sessions: 1 } }";
  const gone = (path: string, message: string) => ({ path, message: expect.stringContaining(message) });
  expect(() => limitsOf(file)).toThrow(
    expect.objectContaining({
      problems: [
        gone("limits.total.held", "is gone: limits.total.tasks"),
        gone("limits.total.polls", "is gone: limits.perCaller.polls"),
        gone("limits.perCaller.queued", "is gone: limits.perCaller.tasks"),
        gone("limits.perCaller.sessions", "a fiftieth of limits.total.sessions"),
        gone("limits.perRoute.tasks", "is gone: limits.total.tasks"),
        gone("limits.perRoute.polls", "is gone: limits.perCaller.polls"),
      ],
    }) as Error,
  );
});

test("a caller's limits have no effect where callers are not told apart", () => {
  const file = (identify: string) =>
    `callers: { identify: ${identify} }\nlimits: { perCaller: { tasks: 1 } }`;
  const warningsOf = (identify: string) => parseConfig(`${file(identify)}\n${SERVERS}`, {}).warnings;
  expect(warningsOf("anonymous")).toEqual([
    { path: "limits.perCaller", message: "has no effect with callers.identify: anonymous" },
  ]);
  expect(warningsOf("auto")).toEqual([]);
});
