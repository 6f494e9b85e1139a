import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { resolveLimits } from "../../src/config/limit-settings.ts";
import { loadConfig, parseConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problems.ts";
import { fileWith } from "../cli/process.ts";

const MINIMAL = "servers: { reports: { upstream: { url: 'http://127.0.0.1:3001/mcp' } } }";

const DEFAULT_POLICY = {
  mode: "auto",
  waitForMs: 250,
  ttlMs: 3_600_000,
  pollIntervalMs: 500,
  maxPollIntervalMs: 10_000,
  maxRuntimeMs: 3_600_000,
  maxResultBytes: 33_554_432,
  onLoss: "fail",
  isUnsafe: false,
  heartbeatMs: 15_000,
};

test("a file that names one server and nothing else gets every default", () => {
  expect(parseConfig(MINIMAL, {})).toEqual({
    config: {
      listen: { host: "127.0.0.1", port: 8080, allowedOrigins: [], readyPath: "/-/health" },
      store: {
        url: "level:./taskgate-data",
        leaseMs: 15_000,
        timeoutMs: 2_000,
        prefix: "taskgate:",
        acceptsPlaintext: false,
      },
      limits: resolveLimits(),
      callers: { identify: "auto" },
      log: { level: "info", format: "auto", isAudited: false, hashesCallers: false },
      reload: "off",
      tracing: "off",
      servers: [
        {
          name: "reports",
          path: "/reports/mcp",
          aliases: ["/mcp"],
          upstream: {
            transport: "auto",
            url: new URL("http://127.0.0.1:3001/mcp"),
            headers: {},
            forwardHeaders: [],
            sessions: "lease",
            idleTimeoutMs: 60_000,
            startTimeoutMs: 30_000,
          },
          tasks: DEFAULT_POLICY,
          tools: [],
          maxConcurrent: 64,
          maxQueued: 1000,
        },
      ],
      webhooks: [],
    },
    warnings: [],
  });
});

test("every setting of a file arrives with its unit", () => {
  const text = `
listen:
  host: "::1"
  port: "\${PORT}"
  allowedHosts: [Reports.Example, "[::1]"]
  allowedOrigins: ["https://app.example", "http://localhost:5173", "vscode-webview://panel"]
  publicUrl: https://tools.example
  readyPath: /-/ready
admin: { port: 9090 }
store: { url: "memory:" }
callers: { identify: header, header: X-User, trustedProxies: [10.0.0.0/8, "::1"] }
limits: { maxBody: 64kb, maxUnwritten: 2gb, keepAlive: 5s, keepAliveJson: "false", shutdownDelay: 3s, drainTimeout: 0ms }
log: { level: silent, audit: "true", callers: hashed }
reload: watch
tracing: otlp
servers:
  reports:
    path: /x
    upstream:
      url: https://reports.example/mcp?tenant=a
      transport: streamable-http
      headers: { X-Api-Key: "\${KEY}" }
      forwardHeaders: [Authorization, X-Request-Id]
      sessions: per-call
      maxSessions: "100"
      idleTimeout: 1d
      startTimeout: 5s
    tasks:
      mode: always
      waitFor: 0ms
      ttl: 365d
      pollInterval: 1s
      maxPollInterval: 1m
      maxRuntime: 24d
      onLoss: retry
      unsafe: true
      maxResultBytes: 1mb
      heartbeat: 1m
      maxConcurrent: 1
      maxQueued: 0
`;
  expect(parseConfig(text, { PORT: "0", KEY: "secret" }).config).toEqual({
    listen: {
      host: "::1",
      port: 0,
      allowedHosts: ["reports.example", "[::1]"],
      allowedOrigins: ["https://app.example", "http://localhost:5173", "vscode-webview://panel"],
      publicUrl: "https://tools.example",
      readyPath: "/-/ready",
    },
    callers: { identify: "header", header: "x-user", trustedProxies: ["10.0.0.0/8", "::1"] },
    admin: { host: "127.0.0.1", port: 9090, payloads: false },
    store: {
      url: "memory:",
      leaseMs: 15_000,
      timeoutMs: 2_000,
      prefix: "taskgate:",
      acceptsPlaintext: false,
    },
    limits: {
      ...resolveLimits(),
      maxBodyBytes: 65_536,
      maxUnwrittenBytes: 2_147_483_648,
      keepAliveMs: 5000,
      keepsJsonAlive: false,
      shutdownDelayMs: 3_000,
      drainTimeoutMs: 0,
      maxWaitMs: 45_000,
      restartGapMs: 5_000,
    },
    log: { level: "silent", format: "auto", isAudited: true, hashesCallers: true },
    reload: "watch",
    tracing: "otlp",
    webhooks: [],
    servers: [
      {
        name: "reports",
        path: "/x",
        aliases: ["/mcp"],
        upstream: {
          transport: "streamable-http",
          url: new URL("https://reports.example/mcp?tenant=a"),
          headers: { "x-api-key": "secret" },
          forwardHeaders: ["authorization", "x-request-id"],
          sessions: "per-call",
          maxSessions: 100,
          idleTimeoutMs: 86_400_000,
          startTimeoutMs: 5000,
        },
        tasks: {
          mode: "always",
          waitForMs: 0,
          ttlMs: 31_536_000_000,
          pollIntervalMs: 1000,
          maxPollIntervalMs: 60_000,
          maxRuntimeMs: 2_073_600_000,
          maxResultBytes: 1_048_576,
          onLoss: "retry",
          isUnsafe: true,
          heartbeatMs: 60_000,
        },
        tools: [],
        maxConcurrent: 1,
        maxQueued: 0,
      },
    ],
  });
});

test.each([
  ["the command alone", "{ command: node }", { command: "node", args: [], env: {} }],
  [
    "everything",
    `{ command: node, args: [server.js, "", "$\{KEY}"], env: { KEY: "$\{KEY}", _E1: "" }, cwd: ./dir }`,
    { command: "node", args: ["server.js", "", "secret"], env: { KEY: "secret", _E1: "" }, cwd: "./dir" },
  ],
  ["what goes without saying", "{ command: node, transport: stdio }", { command: "node", args: [], env: {} }],
  [
    "one process",
    "{ command: node, sessions: single, maxSessions: 1 }",
    { command: "node", args: [], env: {}, sessions: "single", maxSessions: 1 },
  ],
  [
    "many processes",
    "{ command: node, sessions: per-call, maxSessions: 10000, idleTimeout: 10m, startTimeout: 2m }",
    {
      command: "node",
      args: [],
      env: {},
      sessions: "per-call",
      maxSessions: 10_000,
      idleTimeoutMs: 600_000,
      startTimeoutMs: 120_000,
    },
  ],
])("a server is started by a command: %s", (_, text, expected) => {
  const { servers } = parseConfig(`servers: { a: { upstream: ${text} } }`, { KEY: "secret" }).config;
  const presets = { sessions: "lease", maxSessions: 8, idleTimeoutMs: 300_000, startTimeoutMs: 30_000 };
  expect(servers.map(({ upstream }) => upstream)).toEqual([
    { transport: "stdio", forwardHeaders: [], ...presets, ...expected },
  ]);
});

test.each(["auto", "streamable-http", "sse"])("a server at an address is spoken to by %s", (transport) => {
  const { upstream } = only(`servers: { a: { upstream: { url: 'http://a/', transport: ${transport} } } }`);
  expect(upstream).toEqual({
    transport,
    url: new URL("http://a/"),
    headers: {},
    forwardHeaders: [],
    sessions: "lease",
    idleTimeoutMs: 60_000,
    startTimeoutMs: 30_000,
  });
});

test("a rule takes what it leaves out from its server, and the server from the defaults", () => {
  const { tasks, tools } = only(`
servers:
  reports:
    upstream: { url: "http://localhost/mcp" }
    tasks: { mode: always, ttl: 2h }
    tools: [{ match: greet, mode: never }, { match: "render_*", ttl: 1d, maxRuntime: 6h }]
`);
  expect(tasks).toEqual({ ...DEFAULT_POLICY, mode: "always", ttlMs: 7_200_000 });
  expect(tools).toEqual([
    { ...DEFAULT_POLICY, match: "greet", mode: "never", ttlMs: 7_200_000 },
    { ...DEFAULT_POLICY, match: "render_*", mode: "always", ttlMs: 86_400_000, maxRuntimeMs: 21_600_000 },
  ]);
});

test("a rule has a word of its own on what becomes of lost calls", () => {
  const { tools } = only(`
servers:
  reports:
    upstream: { url: "http://localhost/mcp" }
    tasks: { onLoss: retry, unsafe: "true" }
    tools: [{ match: a }, { match: b, unsafe: "false" }, { match: c, onLoss: fail }]
`);
  expect(tools.map(({ onLoss, isUnsafe }) => [onLoss, isUnsafe])).toEqual([
    ["retry", true],
    ["retry", false],
    ["fail", true],
  ]);
});

test("encryption keys are taken as base64 of either alphabet and as hexadecimal digits, from the environment", () => {
  const bytes = Buffer.from(Array.from({ length: 32 }, (_, n) => 255 - n));
  const forms = {
    A: bytes.toString("base64"),
    B: bytes.toString("base64url"),
    C: bytes.toString("hex"),
    D: `${bytes.toString("hex").toUpperCase()}\n`,
  };
  const { store } = parseConfig(
    `store: { encryptionKeys: ["\${A}", "\${B}", "\${C}", "\${D}"] }\n${MINIMAL}`,
    forms,
  ).config;

  expect(store.encryptionKeys?.map((key) => key.export())).toEqual([bytes, bytes, bytes, bytes]);
  expect(JSON.stringify(store) + inspect(store, { depth: 9, showHidden: true })).not.toContain(
    bytes.toString("hex").slice(0, 8),
  );
});

test("an inherited poll interval gives way to the one that is given", () => {
  const { tasks, tools } = only(`
servers:
  reports:
    upstream: { url: "http://localhost/mcp" }
    tasks: { pollInterval: 20s }
    tools: [{ match: a, maxPollInterval: 2s }, { match: b, pollInterval: 30s }]
`);
  const intervals = [tasks, ...tools].map((policy) => [policy.pollIntervalMs, policy.maxPollIntervalMs]);
  expect(intervals).toEqual([
    [20_000, 20_000],
    [2000, 2000],
    [30_000, 30_000],
  ]);
});

test("/mcp is an alias of a single server, unless that is its path already", () => {
  expect(only("servers: { a: { path: /mcp, upstream: { url: 'http://localhost/' } } }").aliases).toEqual([]);
  const { servers } = parseConfig(
    "servers: { a: { path: /mcp, upstream: { url: 'http://a/' } }, b: { upstream: { url: 'http://b/' } } }",
    {},
  ).config;
  expect(servers.map(({ path, aliases }) => [path, aliases])).toEqual([
    ["/mcp", []],
    ["/b/mcp", []],
  ]);
});

test("JSON is read too, tabs and all", () => {
  const json = JSON.stringify({ servers: { a: { upstream: { url: "http://localhost/mcp" } } } }, null, "\t");
  expect(only(json).name).toBe("a");
});

test("anchors share settings between servers", () => {
  const { servers } = parseConfig(
    `
servers:
  a: { upstream: { url: "http://a/mcp" }, tasks: &slow { maxRuntime: 12h } }
  b: { upstream: { url: "http://b/mcp" }, tasks: *slow }
`,
    {},
  ).config;
  expect(servers.map(({ tasks }) => tasks.maxRuntimeMs)).toEqual([43_200_000, 43_200_000]);
});

test("a file is read from disk", async () => {
  const directory = await mkdtemp(join(tmpdir(), "taskgate-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  const file = join(directory, "taskgate.yaml");
  await writeFile(file, MINIMAL);
  expect((await loadConfig(file, {})).config.servers.map(({ name }) => name)).toEqual(["reports"]);
});

test("a file that cannot be read is a problem of the configuration", async () => {
  const error: unknown = await loadConfig("/no/such/file.yaml", {}).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ConfigError);
  expect(error).toMatchObject({
    problems: [
      { path: "", message: "cannot be read: ENOENT: no such file or directory, open '/no/such/file.yaml'" },
    ],
  });
});

function only(text: string) {
  const [server] = parseConfig(text, {}).config.servers;
  if (server === undefined) throw new Error("no server");
  return server;
}

describe("problems of a file", () => {
  test.each([
    [
      "listen:\n  prot: 1\nservers:\n  a:\n    upstream: {}\n",
      [
        ["listen.prot", 2],
        ["servers.a.upstream", 5],
      ],
    ],
    ["servers:\n  a.b:\n    upstream:\n      url: ftp://x\n", [['servers["a.b"].upstream.url', 4]]],
    [
      "servers:\n  a:\n    upstream: { url: 'http://a/' }\n    tools:\n      - match: x\n      - mode: no\n",
      [
        ["servers.a.tools[1].match", 6],
        ["servers.a.tools[1].mode", 6],
      ],
    ],
    ["store: { url: 'memory:' }\n", [["servers", 1]]],
  ] as const)("come with their lines, in its order: %j", async (text, expected) => {
    const problems = await loadConfig(await fileWith("a.yaml", text), {}).then(
      () => [],
      (error: ConfigError) => error.problems,
    );
    expect(problems.map(({ path, line }) => [path, line])).toEqual(expected);
  });

  test("are told in the words of JSON where it is JSON", async () => {
    const file = await fileWith("a.json", '{ "servers": {\n  "a": { "upstream": { url: "http://a/" } } } }');
    await expect(loadConfig(file, {})).rejects.toThrow("line 2, column 24: is not JSON: invalid symbol");
  });
});
