import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { configOfFlags } from "../../src/config/flag-config.ts";
import type { Flags } from "../../src/config/flags.ts";
import { parseConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problems.ts";

const UPSTREAM = "http://localhost:3001/mcp";

test("flags say what a file with the same settings says", async () => {
  const flags = {
    upstream: UPSTREAM,
    port: "0",
    host: "localhost",
    path: "/x",
    store: "memory:",
    mode: "always",
    "wait-for": "1s",
    tool: ["greet=never", "a=b_*=required"],
    header: ["X-Key: a: b", "X-Env:$" + "{KEY}"],
    "forward-header": ["Authorization"],
    "admin-port": "9090",
    verbose: true,
    audit: true,
  };
  const file = `
listen: { host: localhost, port: 0 }
admin: { port: 9090 }
log: { level: debug, audit: true }
store: { url: "memory:" }
servers:
  default:
    path: /x
    upstream:
      url: ${UPSTREAM}
      headers: { X-Key: "a: b", X-Env: secret }
      forwardHeaders: [authorization]
    tasks: { mode: always, waitFor: 1s }
    tools: [{ match: greet, mode: never }, { match: "a=b_*", mode: required }]
`;
  const { config } = await configOfFlags(flags, { KEY: "secret" });
  expect(config).toEqual(parseConfig(file, {}).config);
});

test("--quiet hides all but warnings, and cannot go with its opposite", async () => {
  const flags = { upstream: UPSTREAM, quiet: true };
  expect((await configOfFlags(flags, {})).config.log.level).toBe("warn");
  await expect(configOfFlags({ ...flags, verbose: true }, {})).rejects.toMatchObject({
    problems: [{ path: "--verbose", message: "is the opposite of --quiet" }],
  });
});

test("the URL of the server is enough, and the endpoint is /mcp", async () => {
  const { config, warnings } = await configOfFlags({ upstream: UPSTREAM }, {});
  expect(config.servers.map(({ path, aliases }) => [path, aliases])).toEqual([["/mcp", []]]);
  expect(warnings).toEqual([]);
});

test("what stands behind -- is a command, word for word", async () => {
  const words = ["node", "./server.js", "--port", "07", "", "a b", "$" + "{KEY} $" + "$" + "{KEY}"];
  const { config } = await configOfFlags({ "--": words, mode: "always", port: "0" }, { KEY: "secret" });
  const [command, ...args] = words;
  expect(config.servers).toMatchObject([
    {
      name: "default",
      path: "/mcp",
      upstream: { transport: "stdio", command, args, env: {}, sessions: "lease" },
      tasks: { mode: "always" },
    },
  ]);
});

const MODES = "must be one of never, observe, auto, always, required";
const BESIDES_COMMAND = "cannot go with a command behind --";

test.each<[string, Flags, readonly (readonly [string, string])[]]>([
  ["nothing", {}, [["--upstream", "is needed, or -- COMMAND, or --config FILE"]]],
  ["a command without a name", { "--": ["", "x"] }, [["--", 'must be a program to start, got ""']]],
  [
    "a command and a URL with its headers",
    { "--": ["node"], upstream: UPSTREAM, header: ["X-A: secret"], "forward-header": ["X-B"], port: "x" },
    [
      ["--upstream", BESIDES_COMMAND],
      ["--header", BESIDES_COMMAND],
      ["--forward-header", BESIDES_COMMAND],
      ["--port", 'must be a whole number from 0 to 65535, got "x"'],
    ],
  ],
  [
    "a file, a command and a URL",
    { config: "x.yaml", "--": ["node"], upstream: UPSTREAM },
    [["--upstream", BESIDES_COMMAND]],
  ],
  [
    "a file and a rule without a mode",
    { config: "x.yaml", tool: ["greet"] },
    [["--tool", 'must look like GLOB=MODE, got "greet"']],
  ],
  ["a flag given twice", { upstream: UPSTREAM, port: ["1", "2"] }, [["--port", "is given more than once"]]],
  ["a bad URL", { upstream: "ftp://x" }, [["--upstream", 'must be http or https, got "ftp://x"']]],
  [
    "a bad path",
    { upstream: UPSTREAM, path: "/.well-known" },
    [
      [
        "--path",
        "/.well-known belongs to the gateway, like everything below /.well-known, /health, /metrics",
      ],
    ],
  ],
  [
    "a rule without a mode",
    { upstream: UPSTREAM, tool: ["greet"] },
    [["--tool", 'must look like GLOB=MODE, got "greet"']],
  ],
  [
    "rules with bad modes",
    { upstream: UPSTREAM, tool: ["greet", "a=never", "b=no"] },
    [
      ["--tool", 'must look like GLOB=MODE, got "greet"'],
      ["--tool b=no", `${MODES}, got "no"`],
    ],
  ],
  [
    "a header without a name",
    { upstream: UPSTREAM, header: ["secret"] },
    [["--header", 'must look like "Name: value"']],
  ],
  [
    "a header given twice",
    { upstream: UPSTREAM, header: ["X: secret", "X: secret"] },
    [["--header X", "is given more than once"]],
  ],
  [
    "a header of the gateway",
    { upstream: UPSTREAM, header: ["Accept: secret"] },
    [["--header Accept", "is set by the gateway itself"]],
  ],
  [
    "an unset variable",
    { upstream: UPSTREAM, header: ["X-A: $" + "{NOPE}"] },
    [["--header X-A", "the environment variable NOPE is not set"]],
  ],
  [
    "several mistakes",
    { upstream: "x", port: "x", mode: "x", "admin-port": "y", store: "x", "wait-for": "1" },
    [
      ["--port", 'must be a whole number from 0 to 65535, got "x"'],
      ["--admin-port", 'must be a whole number from 0 to 65535, got "y"'],
      ["--store", 'must be memory:, level:PATH, redis://HOST or rediss://HOST, got "x"'],
      ["--upstream", 'must be http or https, got "x"'],
      ["--mode", `${MODES}, got "x"`],
      ["--wait-for", 'must be a duration with a unit such as "250ms", "1h" or "2d", got "1"'],
    ],
  ],
])("%s", async (_, flags, expected) => {
  const error: unknown = await configOfFlags(flags, {}).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ConfigError);
  expect(error).toMatchObject({ problems: expected.map(([path, message]) => ({ path, message })) });
  expect(String(error)).not.toContain("secret");
});

test("warnings are told of flags, where a flag can change them", async () => {
  const { warnings } = await configOfFlags(
    { upstream: UPSTREAM, store: "memory:", tool: ["a=never", "a=auto"] },
    {},
  );
  expect(warnings).toEqual([
    { path: "--store", message: "memory: loses every task when the gateway stops" },
    { path: "--tool a=auto", message: 'never applies, because the rule for "a" comes first' },
  ]);
});

const FILE = `
listen: { host: localhost, port: 7000 }
store: { url: "memory:" }
servers:
  reports.v2:
    path: /r
    upstream:
      url: http://localhost:1/mcp
      transport: sse
      headers: { X-A: secret-a, X-B: secret-b }
      forwardHeaders: [x-c]
    tasks: { mode: never, waitFor: 1s }
    tools: [{ match: greet, mode: never }]
`;
const STARTED = "servers: { s: { upstream: { command: node, args: [a], env: { K: v }, cwd: /x } } }";
const TWO = `servers: { a: { upstream: { url: "${UPSTREAM}" } }, b: { upstream: { url: "${UPSTREAM}" } } }`;

test("flags override a file with one server, and leave the rest of it as it is", async () => {
  const flags = {
    config: await fileWith(FILE),
    port: "0",
    store: "level:./x",
    "admin-port": "9090",
    path: "/x",
    mode: "always",
    upstream: UPSTREAM,
    header: ["x-b: secret-$" + "{KEY}"],
    "forward-header": ["X-D"],
    tool: ["greet=always", "a=never"],
  };
  const { config, warnings } = await configOfFlags(flags, { KEY: "k" });
  const expected = `
listen: { host: localhost, port: 0 }
admin: { port: 9090 }
store: { url: "level:./x" }
servers:
  reports.v2:
    path: /x
    upstream:
      url: ${UPSTREAM}
      transport: sse
      headers: { X-A: secret-a, x-b: secret-k }
      forwardHeaders: [x-d, x-c]
    tasks: { mode: always, waitFor: 1s }
    tools: [{ match: greet, mode: always }, { match: a, mode: never }, { match: greet, mode: never }]
`;
  expect(config).toEqual(parseConfig(expected, {}).config);
  // Of the file's own rules the first is the one that never applies.
  expect(warnings.map(({ path }) => path)).toEqual(['servers["reports.v2"].tools[0]']);
});

test.each<[string, Flags, string, object]>([
  ["--wait-for", { "wait-for": "9s" }, FILE, { tasks: { mode: "never", waitForMs: 9_000 } }],
  ["--host", { host: "::1" }, FILE, {}],
  [
    "--upstream for a command",
    { upstream: UPSTREAM },
    STARTED,
    { upstream: { transport: "auto", url: new URL(UPSTREAM), headers: {} } },
  ],
  [
    "another command, with what goes with either",
    { "--": ["deno", "b"] },
    STARTED,
    { upstream: { command: "deno", args: ["b"], env: { K: "v" }, cwd: "/x" } },
  ],
  [
    "a command for a URL",
    { "--": ["deno"] },
    FILE,
    { upstream: { transport: "stdio", command: "deno", args: [] } },
  ],
])("%s overrides a file", async (_, flags, text, server) => {
  const { config } = await configOfFlags({ ...flags, config: await fileWith(text) }, {});
  expect(config.servers).toMatchObject([server]);
  expect(config.listen.host).toBe(flags.host ?? parseConfig(text, {}).config.listen.host);
});

test("what is about no server overrides a file with several", async () => {
  const flags = { config: await fileWith(TWO), port: "0", host: "localhost", store: "memory:" };
  const { config } = await configOfFlags(flags, {});
  expect(config).toMatchObject({ listen: { port: 0, host: "localhost" }, store: { url: "memory:" } });
  expect(config.servers.map(({ name }) => name)).toEqual(["a", "b"]);
});

const ONE_OF_TWO = (setting: string) =>
  `is about one server, and the file has 2: a, b; set servers.<name>.${setting} there`;

test.each<[string, Flags, string, readonly (readonly [string, string])[]]>([
  [
    "flags about one of several servers",
    {
      upstream: UPSTREAM,
      header: ["X: secret"],
      "forward-header": ["a"],
      path: "/x",
      mode: "auto",
      "wait-for": "1s",
      tool: ["a=auto"],
    },
    TWO,
    [
      ["--upstream", ONE_OF_TWO("upstream.url")],
      ["--header", ONE_OF_TWO("upstream.headers")],
      ["--forward-header", ONE_OF_TWO("upstream.forwardHeaders")],
      ["--path", ONE_OF_TWO("path")],
      ["--mode", ONE_OF_TWO("tasks.mode")],
      ["--wait-for", ONE_OF_TWO("tasks.waitFor")],
      ["--tool", ONE_OF_TWO("tools")],
    ],
  ],
  ["a command for one of several servers", { "--": ["node"] }, TWO, [["--", ONE_OF_TWO("upstream.command")]]],
  [
    "headers for a command",
    { header: ["X: secret"] },
    STARTED,
    [["--header", "goes with url, and this server has a command"]],
  ],
  [
    "bad values",
    { port: "x", mode: "x", tool: ["a=x"], header: ["Accept: secret"] },
    FILE,
    [
      ["--port", 'must be a whole number from 0 to 65535, got "x"'],
      ["--header Accept", "is set by the gateway itself"],
      ["--mode", `${MODES}, got "x"`],
      ["--tool a=x", `${MODES}, got "x"`],
    ],
  ],
  [
    "a file that is wrong where flags say nothing",
    { tool: ["a=auto"], header: ["X: secret"] },
    `servers: { a: { upstream: { url: "${UPSTREAM}", headers: { Accept: secret } }, tools: [{ match: b, mode: no }], tasks: { mode: no } } }`,
    [
      ["servers.a.upstream.headers.Accept", "is set by the gateway itself"],
      ["servers.a.tasks.mode", `${MODES}, got "no"`],
      ["servers.a.tools[0].mode", `${MODES}, got "no"`],
    ],
  ],
  ["a file that is none", { port: "1", mode: "auto" }, "[]", [["", "must be a mapping, got a list"]]],
  [
    "a section that is none",
    { port: "1" },
    `listen: 5\nservers: { a: { upstream: { url: "${UPSTREAM}" } } }`,
    [["listen", "must be a mapping, got 5"]],
  ],
])("a file and %s", async (_, flags, text, expected) => {
  const config = await fileWith(text);
  const error: unknown = await configOfFlags({ ...flags, config }, {}).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ConfigError);
  expect(error).toMatchObject({ problems: expected.map(([path, message]) => ({ path, message })) });
  expect(String(error)).not.toContain("secret");
});

async function fileWith(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "taskgate-flags-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, "taskgate.yaml");
  await writeFile(file, text);
  return file;
}
