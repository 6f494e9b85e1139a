import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problems.ts";

const DURATION = 'must be a duration with a unit such as "250ms", "1h" or "2d"';
const SIZE = 'must be a size with a unit such as "64kb" or "32mb"';
const PATH = "must be a path such as /reports/mcp: segments of unreserved characters, no slash at the end";
const READY_PATH =
  'must be a path such as /-/health: segments of unreserved characters, no slash at the end; or "none"';
const ORIGIN = "must be an origin such as https://app.example, without a path";
const CLUSTER = 'must end with its hosts: a cluster has no databases, got "redis+cluster:…"';
const PREFIX = 'must be up to 64 letters, digits, and the characters : . _ / -, got "a{b}"';
const HOST = "must be a host name without scheme, port or wildcard";
const STORE = "must be memory:, level:PATH, redis://HOST or rediss://HOST";
const STORE_HOST = "must have a host after //, and special letters of a password percent-encoded";
const TOKEN = "must be a secret of 16 characters or more, without blanks";
const KEY = "must be a key of 32 bytes, as 44 characters of base64 or 64 hexadecimal digits";
const KEYS = "must be a list of 1 to 10 keys";
const OWN = "is set by the gateway itself";
const WITH_URL = "goes with command, and this server has a url";
const WITH_COMMAND = "goes with url, and this server has a command";
const GLOB_TOO_LONG = expect.stringMatching(
  /^must be a glob over tool names, of 1000 characters at most, got "xxx/,
);
const NO_NULL = "must be text without null characters, in quotes where it looks like a number";
const VARIABLE = "must be the name of a variable: letters, digits and underscores, no digit first";
const POLL = "must not be longer than maxPollInterval";

/** A part of the file beside a valid server `a`, the one problem's path, and its message. */
const wholeFile: readonly (readonly [string, string, string])[] = [
  ["listen: 8080", "listen", "must be a mapping, got 8080"],
  ["listen:", "listen", "must be a mapping, got nothing"],
  ["listen: []", "listen", "must be a mapping, got a list"],
  ["listen: { host: '' }", "listen.host", 'must be a host name or an address, got ""'],
  ["listen: { port: 65536 }", "listen.port", "must be a whole number from 0 to 65535, got 65536"],
  ["listen: { port: 1.5 }", "listen.port", "must be a whole number from 0 to 65535, got 1.5"],
  ["listen: { port: http }", "listen.port", 'must be a whole number from 0 to 65535, got "http"'],
  ["listen: { port: '' }", "listen.port", 'must be a whole number from 0 to 65535, got ""'],
  ["listen: { allowedHosts: a.example }", "listen.allowedHosts", 'must be a list, got "a.example"'],
  ["listen: { allowedHosts: ['a:1'] }", "listen.allowedHosts[0]", `${HOST}, got "a:1"`],
  ["listen: { allowedHosts: ['*'] }", "listen.allowedHosts[0]", `${HOST}, got "*"`],
  ["listen: { allowedHosts: [http://a] }", "listen.allowedHosts[0]", `${HOST}, got "http://a"`],
  ["listen: { allowedOrigins: ['*'] }", "listen.allowedOrigins[0]", `${ORIGIN}, got "*"`],
  ["listen: { allowedOrigins: ['https://a/'] }", "listen.allowedOrigins[0]", `${ORIGIN}, got "https://a/"`],
  ["listen: { allowedOrigins: ['https://A'] }", "listen.allowedOrigins[0]", `${ORIGIN}, got "https://A"`],
  [
    "listen: { allowedOrigins: ['https://a:443'] }",
    "listen.allowedOrigins[0]",
    `${ORIGIN}, got "https://a:443"`,
  ],
  ["admin: {}", "admin.port", "must be a whole number from 0 to 65535, but is missing"],
  ["admin: { port: 8080 }", "admin.port", "8080 is the port of listen on the same host"],
  ["store: { url: 'file:x' }", "store.url", `${STORE}, got "file:…"`],
  ["store: { url: 'level:' }", "store.url", `${STORE}, got "level:"`],
  ["store: { url: 'redis://u:p/w@h/0' }", "store.url", 'must have a number as its database, got "redis:…"'],
  ["store: { url: 'rediss://' }", "store.url", `${STORE_HOST}, got "rediss:…"`],
  ["store: { url: 'redis+cluster://u:pw@h/0' }", "store.url", CLUSTER],
  ["store: { lease: 1s, timeout: 2m }", "store.timeout", 'must be from 50ms to 1m, got "2m"'],
  ["store: { lease: 10ms }", "store.lease", 'must be from 500ms to 10m, got "10ms"'],
  ["store: { prefix: 'a{b}' }", "store.prefix", PREFIX],
  [
    "store: { tls: { ca: /nowhere/ca.pem } }",
    "store.tls.ca",
    'cannot be read: ENOENT, got "/nowhere/ca.pem"',
  ],
  [
    "store: { tls: { ca: package.json } }",
    "store.tls.ca",
    'must be the path of a file in PEM, got "package.json"',
  ],
  [
    "store: { url: 'redis://h', tls: { servername: a } }",
    "store.tls",
    "needs a url with rediss: this one is without TLS",
  ],
  ["admin: { port: 1, token: SECRET }", "admin.token", TOKEN],
  ["admin: { port: 1, readToken: [SECRET] }", "admin.readToken", TOKEN],
  ["admin: { port: 1, token: 'SECRET with blanks in it' }", "admin.token", TOKEN],
  ["store: { encryptionKeys: [] }", "store.encryptionKeys", KEYS],
  ["store: { encryptionKeys: SECRET }", "store.encryptionKeys", KEYS],
  ["store: { encryptionKeys: [1,2,3,4,5,6,7,8,9,10,11] }", "store.encryptionKeys", KEYS],
  ["store: { encryptionKeys: [SECRET] }", "store.encryptionKeys[0]", KEY],
  ["store: { encryptionKeys: [''] }", "store.encryptionKeys[0]", KEY],
  [`store: { encryptionKeys: [${"A".repeat(42)}] }`, "store.encryptionKeys[0]", KEY],
  [`store: { encryptionKeys: [${"A".repeat(45)}] }`, "store.encryptionKeys[0]", KEY],
  [`store: { encryptionKeys: [${"0".repeat(63)}] }`, "store.encryptionKeys[0]", KEY],
  ["limits: { maxBody: 1048576 }", "limits.maxBody", `${SIZE}, got 1048576`],
  ["limits: { maxBody: 0kb }", "limits.maxBody", 'must be from 1b to 511mb, got "0kb"'],
  ["limits: { maxBody: 1gb }", "limits.maxBody", 'must be from 1b to 511mb, got "1gb"'],
  ["limits: { maxUnwritten: 65gb }", "limits.maxUnwritten", 'must be from 1b to 64gb, got "65gb"'],
  ["limits: { keepAlive: 0s }", "limits.keepAlive", 'must be from 1ms to 24d, got "0s"'],
  ["limits: { keepAliveJson: 5s }", "limits.keepAliveJson", 'must be true or false, got "5s"'],
  ["limits: { shutdownDelay: 6m }", "limits.shutdownDelay", 'must be from 0ms to 5m, got "6m"'],
  ["limits: { drainTimeout: 25d }", "limits.drainTimeout", 'must be from 0ms to 24d, got "25d"'],
  [
    "log: { level: loud }",
    "log.level",
    'must be one of trace, debug, info, warn, error, fatal, silent, got "loud"',
  ],
  ["log: { callers: secret }", "log.callers", 'must be one of clear, hashed, got "secret"'],
  [
    "listen: { publicUrl: 'https://a.example/x' }",
    "listen.publicUrl",
    'must be an origin such as https://app.example, without a path, got "https://a.example/x"',
  ],
  ["listen: { readyPath: up }", "listen.readyPath", `${READY_PATH}, got "up"`],
  ["listen: { readyPath: / }", "listen.readyPath", `${READY_PATH}, got "/"`],
  ["listen: { readyPath: '/up?x' }", "listen.readyPath", `${READY_PATH}, got "/up?x"`],
  ["listen: { readyPath: }", "listen.readyPath", `${READY_PATH}, got nothing`],
  [
    "listen: { readyPath: /.well-known/up }",
    "listen.readyPath",
    "/.well-known has the documents of the servers",
  ],
  ...["/mcp", "/mcp/up", "/a/mcp", "/a/mcp/up"].map((path): [string, string, string] => [
    `listen: { readyPath: ${path} }`,
    "listen.readyPath",
    `${path} would hide what servers.a has at ${path.replace("/up", "")} and below; choose another, or none`,
  ]),
  [
    "port: 8080",
    "port",
    "is not a setting; the settings here are listen, admin, store, callers, limits, log, reload, tracing, servers, webhooks, events",
  ],
  [
    "store: { uri: 'memory:' }",
    "store.uri",
    "is not a setting; did you mean url?; the settings here are url, lease, timeout, prefix, tls, encryptionKeys, acceptPlaintext",
  ],
];

test.each(wholeFile)("%s → %s: %s", (text, path, message) => {
  expect(problemsOf(`${text}\nservers: { a: { upstream: { url: "http://a/" } } }`)).toEqual([
    { path, message },
  ]);
});

/** The settings of a server `a` beside a valid upstream. */
const server: readonly (readonly [string, string, string])[] = [
  ["path: x", "servers.a.path", `${PATH}, got "x"`],
  ["path: /x/", "servers.a.path", `${PATH}, got "/x/"`],
  ["path: /a//b", "servers.a.path", `${PATH}, got "/a//b"`],
  ["path: /a/../b", "servers.a.path", `${PATH}, got "/a/../b"`],
  ["path: '/a?b'", "servers.a.path", `${PATH}, got "/a?b"`],
  ["path: '/a%20b'", "servers.a.path", `${PATH}, got "/a%20b"`],
  [
    "path: /.well-known/x",
    "servers.a.path",
    "/.well-known/x belongs to the gateway, like everything below /.well-known, /health, /metrics",
  ],
  [
    "path: /health",
    "servers.a.path",
    "/health belongs to the gateway, like everything below /.well-known, /health, /metrics",
  ],
  [
    "path: /-",
    "listen.readyPath",
    "/-/health would hide what servers.a has at /- and below; choose another, or none",
  ],
  ["tasks: { mode: sometimes }", "servers.a.tasks.mode", modeMessage("sometimes")],
  ["tasks: { waitFor: 250 }", "servers.a.tasks.waitFor", `${DURATION}, got 250`],
  ["tasks: { waitFor: '250' }", "servers.a.tasks.waitFor", `${DURATION}, got "250"`],
  ["tasks: { waitFor: }", "servers.a.tasks.waitFor", `${DURATION}, got nothing`],
  ["tasks: { ttl: 0ms }", "servers.a.tasks.ttl", 'must be from 1ms to 365d, got "0ms"'],
  ["tasks: { ttl: 366d }", "servers.a.tasks.ttl", 'must be from 1ms to 365d, got "366d"'],
  [
    "tasks: { maxRuntime: 2147483648ms }",
    "servers.a.tasks.maxRuntime",
    'must be from 1ms to 24d, got "2147483648ms"',
  ],
  ["tasks: { pollInterval: 2s, maxPollInterval: 1s }", "servers.a.tasks.pollInterval", POLL],
  ["tools: [{ match: x, pollInterval: 2s, maxPollInterval: 1s }]", "servers.a.tools[0].pollInterval", POLL],
  ["tasks: { onLoss: shrug }", "servers.a.tasks.onLoss", 'must be one of fail, retry, got "shrug"'],
  ["tasks: { unsafe: 1 }", "servers.a.tasks.unsafe", "must be true or false, got 1"],
  ["tools: [{ match: x, unsafe: 'yes' }]", "servers.a.tools[0].unsafe", 'must be true or false, got "yes"'],
  [
    "tools: [{ match: x, unsafe: constructor }]",
    "servers.a.tools[0].unsafe",
    'must be true or false, got "constructor"',
  ],
  [
    "tasks: { maxConcurrent: 0 }",
    "servers.a.tasks.maxConcurrent",
    "must be a whole number from 1 to 100000, got 0",
  ],
  ["tools: { greet: never }", "servers.a.tools", "must be a list, got a mapping"],
  [`tools: [{ match: ${"x".repeat(1_001)} }]`, "servers.a.tools[0].match", GLOB_TOO_LONG],
  [
    "tools: [{ mode: never }]",
    "servers.a.tools[0].match",
    "must be a glob over tool names, of 1000 characters at most, but is missing",
  ],
  ["tools: [{ match: x }, { match: y, mode: no }]", "servers.a.tools[1].mode", modeMessage("no")],
  [
    "tools: [{ match: x, maxQueued: 1 }]",
    "servers.a.tools[0].maxQueued",
    "is not a setting; the settings here are match, mode, waitFor, ttl, pollInterval, maxPollInterval, maxRuntime, onLoss, unsafe, maxResultBytes, heartbeat, immediateResponse, fallback, fallbackAfter",
  ],
];

test.each(server)("servers.a: %s → %s: %s", (text, path, message) => {
  expect(problemsOf(`servers:\n  a:\n    upstream: { url: "http://a/" }\n    ${text}`)).toEqual([
    { path, message },
  ]);
});

/** The upstream of a server `a`. */
const upstream: readonly (readonly [string, string, string])[] = [
  ["{ url: 'ftp://x' }", "url", 'must be http or https, got "ftp://x"'],
  ["{ url: 'localhost:3001/mcp' }", "url", 'must be http or https, got "localhost:3001/mcp"'],
  ["{ url: 'ftp://x?key=secret' }", "url", 'must be http or https, got "ftp://x?…"'],
  ["{ url: 'localhost:3001/mcp?key=secret' }", "url", 'must be http or https, got "localhost:3001/mcp?…"'],
  ["{ url: 'joe:secret' }", "url", 'must be http or https, got "joe:…"'],
  ["{ url: 'joe:secret/@host' }", "url", 'must be http or https, got "joe:…@host"'],
  ["{ url: 'joe:1234567' }", "url", 'must be http or https, got "joe:…"'],
  ["{ url: 'joe:12345@host' }", "url", 'must be http or https, got "joe:…@host"'],
  ["{ url: 'http://joe:se/cret@host' }", "url", 'must be http or https, got "http://…@host"'],
  [
    "{ url: 'https:joe:secret@host/x' }",
    "url",
    'must not contain credentials; put them in headers, got "https:…@host/x"',
  ],
  [
    "{ url: 'http://u:secret@x/' }",
    "url",
    'must not contain credentials; put them in headers, got "http://…@x/"',
  ],
  ["{ url: 'http://x/#y' }", "url", 'must not have a fragment, got "http://x/#…"'],
  [
    "{ url: 'http://x', transport: http }",
    "transport",
    'must be one of auto, streamable-http, sse, stdio, got "http"',
  ],
  ["{ url: 'http://x', sessions: many }", "sessions", 'must be one of lease, per-call, single, got "many"'],
  ["{ url: 'http://x', maxSessions: 0 }", "maxSessions", "must be a whole number from 1 to 10000, got 0"],
  [
    "{ url: 'http://x', maxSessions: many, sessions: single }",
    "maxSessions",
    'must be a whole number from 1 to 10000, got "many"',
  ],
  ["{ url: 'http://x', idleTimeout: 60 }", "idleTimeout", `${DURATION}, got 60`],
  ["{ url: 'http://x', startTimeout: 0s }", "startTimeout", 'must be from 1ms to 24d, got "0s"'],
  ["{ url: 'http://x', headers: 'X-A: secret' }", "headers", "must be a mapping from header names to values"],
  ["{ url: 'http://x', headers: { X-A: 5 } }", "headers.X-A", "must be text"],
  [
    "{ url: 'http://x', headers: { X-A: \"secret\\n\" } }",
    "headers.X-A",
    "must be a header value: not empty, no line breaks",
  ],
  ["{ url: 'http://x', headers: { 'X A': secret } }", 'headers["X …"]', "must be the name of a header"],
  ["{ url: 'http://x', headers: { 'X-A: secret' } }", 'headers["X-A:…"]', "must be the name of a header"],
  ["{ url: 'http://x', headers: { Mcp-Session-Id: secret } }", "headers.Mcp-Session-Id", OWN],
  [
    "{ url: 'http://x', headers: { X-A: secret, x-a: secret } }",
    "headers.x-a",
    "is given twice, because upper and lower case are the same",
  ],
  ["{ url: 'http://x', forwardHeaders: [Host] }", "forwardHeaders[0]", `${OWN}, got "Host"`],
  [
    "{ url: 'http://x', headers: { X-A: '$" + "{NOPE}' } }",
    "headers.X-A",
    "the environment variable NOPE is not set",
  ],
];

test.each(upstream)("upstream: %s → %s: %s", (text, path, message) => {
  const problems = problemsOf(`servers: { a: { upstream: ${text} } }`);
  expect(problems).toEqual([{ path: `servers.a.upstream.${path}`, message }]);
  expect(JSON.stringify(problems)).not.toContain("secret");
});

/** The upstream of a server `a` again, by what is wrong between its settings. */
const mixed: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
  ["{}", [["", "must have url, or command for a server to be started"]]],
  ["{ args: [secret] }", [["", "must have url, or command for a server to be started"]]],
  [
    "{ url: 'http://x', command: node, env: { A: secret } }",
    [["", "has url and command, and can have only one of them"]],
  ],
  [
    "{ url: 'http://x', args: [secret], env: { A: secret }, cwd: secret, transport: stdio }",
    [
      [".args", WITH_URL],
      [".env", WITH_URL],
      [".cwd", WITH_URL],
      [".transport", "stdio goes with command, and this server has a url"],
    ],
  ],
  [
    "{ command: node, headers: { A: secret }, forwardHeaders: [X], transport: sse, sessions: single, maxSessions: 2 }",
    [
      [".headers", WITH_COMMAND],
      [".forwardHeaders", WITH_COMMAND],
      [".transport", "sse goes with url, and this server has a command"],
      [".maxSessions", "2 contradicts sessions: single, which is one session"],
    ],
  ],
  [
    "{ command: node, transport: auto }",
    [[".transport", "auto goes with url, and this server has a command"]],
  ],
  [
    "{ url: 'http://x', sessions: single, maxSessions: '8' }",
    [[".maxSessions", "8 contradicts sessions: single, which is one session"]],
  ],
];

test.each(mixed)("upstream: %s", (text, expected) => {
  const problems = problemsOf(`servers: { a: { upstream: ${text} } }`);
  expect(problems).toEqual(
    expected.map(([path, message]) => ({ path: `servers.a.upstream${path}`, message })),
  );
  expect(JSON.stringify(problems)).not.toContain("secret");
});

/** The upstream of a server `a` with `command: node`. */
const started: readonly (readonly [string, string, string])[] = [
  ["command: ''", "command", 'must be a program to start, got ""'],
  ["command: [node, x]", "command", "must be a program to start, got a list"],
  ["args: server.js", "args", 'must be a list, got "server.js"'],
  ["args: [x, 5]", "args[1]", `${NO_NULL}, got 5`],
  ['args: ["a\\0b"]', "args[0]", `${NO_NULL}, got "a\\u0000b"`],
  ["cwd: ''", "cwd", 'must be a directory, got ""'],
  ["env: A=secret", "env", "must be a mapping from names of variables to texts"],
  ["env: [A=secret]", "env", "must be a mapping from names of variables to texts"],
  ["env: { A: 5 }", "env.A", NO_NULL],
  ["env: { A: [secret] }", "env.A", NO_NULL],
  ['env: { A: "secret\\0" }', "env.A", NO_NULL],
  ["env: { 1A: secret }", "env.1A", VARIABLE],
  ["env: { A=secret }", 'env["A=…"]', VARIABLE],
  ["env: { '': secret }", 'env[""]', VARIABLE],
  ["env: { A: 'secret $" + "{NOPE}' }", "env.A", "the environment variable NOPE is not set"],
];

test.each(started)("upstream with a command: %s → %s: %s", (text, path, message) => {
  const command = text.startsWith("command") ? "" : "command: node, ";
  const problems = problemsOf(`servers: { a: { upstream: { ${command}${text} } } }`);
  expect(problems).toEqual([{ path: `servers.a.upstream.${path}`, message }]);
  expect(JSON.stringify(problems)).not.toContain("secret");
});

/** Files that are wrong as a whole. */
const broken: readonly (readonly [string, string, string])[] = [
  ["", "", "must be a mapping, got nothing"],
  ["[]", "", "must be a mapping, got a list"],
  ["{}", "servers", "must be a mapping from names to servers, but is missing"],
  ["servers: {}", "servers", "must name at least one server, got a mapping"],
  ["servers: { a: }", "servers.a", "must be a mapping, got nothing"],
  ["servers: { __proto__: { upstream: { url: 'http://a' } } }", "servers.__proto__", "is not a setting"],
  [
    "servers: { a b: { upstream: { url: 'http://a' } } }",
    'servers["a b"]',
    "must be a name of up to 64 letters, digits, dots, dashes and underscores",
  ],
  [
    "servers: { a: { path: /x, upstream: { url: 'http://a' } }, b: { path: /x, upstream: { url: 'http://b' } } }",
    "servers.b.path",
    "/x is already the path of servers.a",
  ],
  [
    "servers: { a: { upstream: { url: 'http://a' } }, b: { path: /a/mcp, upstream: { url: 'http://b' } } }",
    "servers.b.path",
    "/a/mcp is already the path of servers.a",
  ],
  ["a: 1\na: 2", "", "line 2, column 1: Map keys must be unique"],
  ["a: 1\n\tb: 2", "", "line 2, column 1: Tabs are not allowed as indentation"],
  ["a: !secret x", "", "line 1, column 4: Unresolved tag: !secret"],
  ["a: *b", "", "Unresolved alias (the anchor must be set before the alias): b"],
];

test.each(broken)("%j → %s: %s", (text, path, message) => {
  expect(problemsOf(text)).toContainEqual({ path, message });
});

test("a syntax error does not quote the line, which may hold a secret", () => {
  const problems = problemsOf('key: "my secret\nnext: 1');
  expect(problems).not.toEqual([]);
  expect(JSON.stringify(problems)).not.toContain("my secret");
});

test("all problems are told at once, those of single settings and those between them", () => {
  const text = `
listen: { port: x }
bogus: 1
servers:
  a: { path: /x, upstream: { url: "ftp://a" } }
  b: { path: /x, upstream: { url: "$\{NOPE}" }, tasks: { ttl: 5 } }
`;
  expect(problemsOf(text).map(({ path }) => path)).toEqual([
    "servers.b.upstream.url",
    "listen.port",
    "servers.a.upstream.url",
    "servers.b.tasks.ttl",
    "bogus",
    "servers.b.path",
  ]);
});

test("messages show the reference to the environment and not its value", () => {
  expect(problemsOf("servers: { a: { upstream: { url: '$" + "{URL}' } } }", { URL: "secret" })).toEqual([
    { path: "servers.a.upstream.url", message: 'must be http or https, got "$' + '{URL}"' },
  ]);
});

test("a long text is cut", () => {
  const [problem] = problemsOf(
    `store: { url: ${"x".repeat(5000)} }\nservers: { a: { upstream: { url: "http://a" } } }`,
  );
  expect(problem?.message).toBe(`${STORE}, got "${"x".repeat(100)}…"`);
});

test("the message of the error lists every problem with its path", () => {
  const error = errorOf("servers: {}\nbogus: 1");
  expect(error.message.split("\n")).toEqual(error.problems.map(({ path, message }) => `${path}: ${message}`));
});

function problemsOf(text: string, env: Record<string, string> = {}) {
  return errorOf(text, env).problems.map(({ unset: _, ...problem }) => problem);
}

function errorOf(text: string, env: Record<string, string> = {}): ConfigError {
  try {
    parseConfig(text, env);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("the file was accepted");
}

function modeMessage(given: string): string {
  return `must be one of never, observe, auto, always, required, got "${given}"`;
}
