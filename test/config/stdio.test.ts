import { expect, test } from "vitest";
import type { ServerConfig } from "../../src/config/config.ts";
import { configOfFlags, configOfStdioFlags } from "../../src/config/flag-config.ts";
import type { Flags } from "../../src/config/flags.ts";
import { parseConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problems.ts";
import { fileWith } from "../cli/process.ts";

const UPSTREAM = "http://localhost:3001/mcp";
const TWO = `
listen: { host: 0.0.0.0 }
admin: { port: 9090 }
servers:
  reports: { upstream: { url: "${UPSTREAM}" }, tools: [{ match: "*" }, { match: dead }] }
  files: { upstream: { command: node, args: ["$\{SCRIPT}"] } }
`;

test("flags of stdio say what those of serve say, with the fallback, and tasks are kept in memory", async () => {
  const flags = { upstream: UPSTREAM, mode: "always", tool: ["a=never"], header: ["X-Key: a"] };
  const { config, warnings } = await configOfStdioFlags(flags, {});
  const served = await configOfFlags(flags, {});
  expect(config).toEqual({
    ...served.config,
    store: { ...served.config.store, url: "memory:" },
    servers: served.config.servers.map(withFallback),
  });
  expect(warnings).toEqual([]);
});

/** A server as `stdio` serves it. */
function withFallback({ tasks, tools, ...server }: ServerConfig): ServerConfig {
  const fallback = { afterMs: 45_000, prefix: "taskgate_" };
  return { ...server, tasks: { ...tasks, fallback }, tools: tools.map((rule) => ({ ...rule, fallback })) };
}

test("a file can say that there is no fallback, or another one", async () => {
  const tasks = { fallback: "off" };
  const tools = [{ match: "a", fallback: "tools", fallbackAfter: "20s" }];
  const servers = { a: { upstream: { url: UPSTREAM }, tasks: { ...tasks, fallbackPrefix: "x." }, tools } };
  const config = await fileWith("taskgate.json", JSON.stringify({ servers }));
  const [server] = (await configOfStdioFlags({ config }, {})).config.servers;
  expect(server?.tasks.fallback).toBeUndefined();
  expect(server?.tools[0]?.fallback).toEqual({ afterMs: 20_000, prefix: "x." });
});

test("a rule that never applies is worth a warning", async () => {
  const { warnings } = await configOfStdioFlags({ upstream: UPSTREAM, tool: ["*=auto", "a=never"] }, {});
  expect(warnings.map(({ path }) => path)).toEqual(["--tool a=never"]);
});

test("a store that is named is used, and one in memory is no reason to warn", async () => {
  const stores = ["memory:", "level:./data"].map((store) =>
    configOfStdioFlags({ upstream: UPSTREAM, store }, {}),
  );
  const loaded = await Promise.all(stores);
  expect(loaded.map(({ config, warnings }) => [config.store.url, warnings])).toEqual([
    ["memory:", []],
    ["level:./data", []],
  ]);
});

test("of a file with several servers one is used, and what is wrong with others does not matter", async () => {
  const config = await fileWith("taskgate.yaml", TWO);
  const loaded = await configOfStdioFlags({ config, server: "reports" }, {});
  const [reports] = parseConfig(TWO, { SCRIPT: "" }).config.servers.map(withFallback);
  expect(loaded.config.servers).toEqual([{ ...reports, aliases: ["/mcp"] }]);
  expect(loaded.config.store.url).toBe("memory:");
  expect(loaded.warnings.map(({ path }) => path)).toEqual(["servers.reports.tools[1]"]);
});

test("a file with one server needs no name, and its store counts", async () => {
  const text = `{ "store": { "url": "level:./data" }, "servers": { "a": { "upstream": { "url": "${UPSTREAM}" } } } }`;
  const config = await fileWith("taskgate.json", text);
  const unnamed = await configOfStdioFlags({ config }, {});
  const { config: served } = parseConfig(text, {});
  expect(unnamed.config).toEqual({ ...served, servers: served.servers.map(withFallback) });
  expect((await configOfStdioFlags({ config, server: "a" }, {})).config).toEqual(unnamed.config);
});

test("flags override the server that is used, and where tasks are kept", async () => {
  const config = await fileWith("taskgate.yaml", TWO);
  const flags = { config, server: "reports", mode: "always", store: "level:./x" };
  const loaded = await configOfStdioFlags(flags, {});
  expect(loaded.config.servers).toMatchObject([{ name: "reports", tasks: { mode: "always" } }]);
  expect(loaded.config.store.url).toBe("level:./x");
});

const NO_HTTP = "makes no sense with stdio, where nothing comes over HTTP";

test.each<[string, Flags, string | undefined, readonly (readonly [string, string])[]]>([
  ["nothing", {}, undefined, [["--upstream", "is needed, or -- COMMAND, or --config FILE"]]],
  [
    "flags for clients over HTTP",
    {
      upstream: UPSTREAM,
      port: "x",
      host: "a",
      path: "b",
      "admin-port": "c",
      "forward-header": ["d"],
      mode: "e",
    },
    undefined,
    [
      ["--forward-header", NO_HTTP],
      ["--port", NO_HTTP],
      ["--host", NO_HTTP],
      ["--path", NO_HTTP],
      ["--admin-port", NO_HTTP],
      ["--mode", 'must be one of never, observe, auto, always, required, got "e"'],
    ],
  ],
  [
    "a server without a file",
    { "--": ["node"], server: "a" },
    undefined,
    [["--server", "names a server of a file, and there is no --config"]],
  ],
  ["a file with several servers", {}, TWO, [["--server", "is needed: one of reports, files"]]],
  [
    "a server that the file does not have",
    { server: "constructor" },
    TWO,
    [["--server", 'must be one of reports, files, got "constructor"']],
  ],
  ["two servers", { server: ["reports", "files"] }, TWO, [["--server", "is given more than once"]]],
  ["a flag beside a file", { port: "1", mode: "never", server: "reports" }, TWO, [["--port", NO_HTTP]]],
  [
    "a server whose environment is not there",
    { server: "files" },
    TWO,
    [["servers.files.upstream.args[0]", "the environment variable SCRIPT is not set"]],
  ],
  [
    "a file without servers",
    {},
    "servers: {}",
    [["servers", "must name at least one server, got a mapping"]],
  ],
  ["a file that is no mapping", {}, "[]", [["", "must be a mapping, got a list"]]],
])("%s", async (_, flags, text, problems) => {
  const file = text === undefined ? {} : { config: await fileWith("taskgate.yaml", text) };
  const error = await configOfStdioFlags({ ...flags, ...file }, {}).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ConfigError);
  const found = error as ConfigError;
  expect(found.problems.map(({ path, message }) => [path, message])).toEqual(problems);
  expect(found.warnings).toEqual([]);
});

test("a command of the flags gets the environment of its client as it is, and a server of a file does not", async () => {
  const env = { API_KEY: `a$\{b}`, "ProgramFiles(x86)": "C:\\", EMPTY: "" };
  const given = await configOfStdioFlags({ "--": ["node"] }, env);
  const upstream = { command: "node", env: { API_KEY: `a$\{b}`, EMPTY: "" } };
  expect(given.config.servers[0]?.upstream).toMatchObject(upstream);
  expect((await configOfFlags({ "--": ["node"] }, env)).config.servers[0]?.upstream).toMatchObject({
    env: {},
  });
  const config = await fileWith("taskgate.yaml", "servers: { a: { upstream: { command: node } } }");
  expect((await configOfStdioFlags({ config }, env)).config.servers[0]?.upstream).toMatchObject({ env: {} });
});

test("a URL, its headers, a directory and the fallback can be given without a secret on the command line", async () => {
  const env = { TASKGATE_URL: "http://a/mcp?key=1", TASKGATE_HEADER_1: "Bearer b" };
  const remote = { "upstream-from": "TASKGATE_URL", "header-from": ["Authorization=TASKGATE_HEADER_1"] };
  const [server] = (await configOfStdioFlags({ ...remote, "fallback-after": "20s" }, env)).config.servers;
  expect(server?.upstream).toMatchObject({
    url: new URL("http://a/mcp?key=1"),
    headers: { authorization: "Bearer b" },
  });
  expect(server?.tasks.fallback?.afterMs).toBe(20_000);
  const local = await configOfStdioFlags({ "--": ["node"], cwd: "/srv" }, {});
  expect(local.config.servers[0]?.upstream).toMatchObject({ command: "node", cwd: "/srv" });
});

test.each<[string, Flags, readonly [string, string]]>([
  [
    "two URLs",
    { upstream: UPSTREAM, "upstream-from": "A" },
    ["--upstream-from", "says the same as --upstream"],
  ],
  [
    "a variable that is not set",
    { "upstream-from": "A" },
    ["--upstream-from", "the environment variable A is not set"],
  ],
  [
    "a header with its value in place of a variable",
    { upstream: UPSTREAM, "header-from": ["Authorization=Bearer secret"] },
    ["--header-from", "must look like Name=VARIABLE"],
  ],
  [
    "a header beside a command",
    { "--": ["node"], "header-from": ["A=B"] },
    ["--header-from", "cannot go with a command behind --"],
  ],
  [
    "a directory for a URL",
    { upstream: UPSTREAM, cwd: "/" },
    ["--cwd", "goes with command, and this server has a url"],
  ],
  [
    "a URL in place of the variable that has it",
    { "upstream-from": "http://a/?key=secret" },
    ["--upstream-from", "must be the name of an environment variable"],
  ],
])("%s is refused, and no value is told", async (_, flags, problem) => {
  const error = await configOfStdioFlags(flags, {}).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ConfigError);
  expect((error as ConfigError).problems.map(({ path, message }) => [path, message])).toEqual([problem]);
});
