import { expect, test } from "vitest";
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
  };
  const file = `
listen: { host: localhost, port: 0 }
admin: { port: 9090 }
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

const MODES = "must be one of never, auto, always, required";
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
    "a file and a command",
    { config: "x.yaml", "--": ["node"] },
    [["--", "cannot go with --config, where it is servers.<name>.upstream.command"]],
  ],
  [
    "a file and its settings",
    { config: "x.yaml", port: "1", tool: ["a=never"] },
    [
      ["--port", "cannot go with --config, where it is listen.port"],
      ["--tool", "cannot go with --config, where it is servers.<name>.tools"],
    ],
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
