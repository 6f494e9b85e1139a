import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { jsonSchema } from "../../src/config/json-schema.ts";
import { fileWith, run } from "./process.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

test("--help shows every command and flag", async () => {
  const { code, stdout, stderr } = await run(["--help"]);
  const words = ["serve", "stdio", "check", "schema", "--config", "--upstream", "--port", "--host", "--path"];
  const more = ["--store", "--mode", "--wait-for", "--tool", "--admin-port", "--header", "--forward-header"];
  expect(words.concat(more).filter((word) => !stdout.includes(word))).toEqual([]);
  expect([code, stderr]).toEqual([0, ""]);
});

test("stdio --help shows what makes sense there", async () => {
  const { code, stdout, stderr } = await run(["stdio", "--help"]);
  const [shown, hidden] = [
    ["--server", "--upstream", "--store", "--tool"],
    ["--port", "--forward-header"],
  ];
  expect(shown.filter((word) => !stdout.includes(word))).toEqual([]);
  expect(hidden.filter((word) => stdout.includes(word))).toEqual([]);
  expect(stdout).toContain("[default: memory:]");
  expect([code, stderr]).toEqual([0, ""]);
});

test("--version is the version of the package", async () => {
  expect(await run(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
});

test("schema prints the JSON Schema of the file", async () => {
  const { code, stdout, stderr } = await run(["schema"]);
  expect(JSON.parse(stdout)).toEqual(jsonSchema());
  expect([code, stderr]).toEqual([0, ""]);
});

test("check is content with a good file", async () => {
  const file = await fileWith("a.yaml", "servers: { a: { upstream: { url: 'http://a/' } } }");
  expect(await run(["check", "--config", file])).toEqual({ code: 0, stdout: "ok: 1 server\n", stderr: "" });
});

test("check is content with servers that are started, and starts none", async () => {
  const text = `servers: { a: { upstream: { command: /no/such/program, env: { KEY: "$\{KEY}" } } } }`;
  const file = await fileWith("a.yaml", text);
  expect(await run(["check", "--config", file], { KEY: "k" })).toEqual({
    code: 0,
    stdout: "ok: 1 server\n",
    stderr: "",
  });
});

test("check tells what is wrong with a server that is started, but no value of its environment", async () => {
  const text = `servers: { a: { upstream: { command: node, env: { KEY: "$\{KEY}\\0", B: 5 } } } }`;
  const file = await fileWith("a.yaml", text);
  expect(await run(["check", "--config", file], { KEY: "secret" })).toEqual({
    code: 1,
    stdout: [
      "error: servers.a.upstream.env.KEY: must be text without null characters, in quotes where it looks like a number (line 1)",
      "error: servers.a.upstream.env.B: must be text without null characters, in quotes where it looks like a number (line 1)",
      "2 errors\n",
    ].join("\n"),
    stderr: "",
  });
});

test("check tells warnings, and they are no errors", async () => {
  const text = `{ "store": { "url": "memory:" }, "servers": {
    "a": { "upstream": { "url": "http://a/" } }, "b": { "upstream": { "url": "$\{B}" } } } }`;
  const file = await fileWith("a.json", text);
  expect(await run(["check", "--config", file], { B: "http://b/" })).toEqual({
    code: 0,
    stdout:
      "warning: store.url: memory: loses every task when the gateway stops (line 1)\nok: 2 servers, 1 warning\n",
    stderr: "",
  });
});

test("check tells everything that is wrong with a file, and gives 1", async () => {
  const text = `
store: { url: "memory:" }
bogus: 1
servers: { a: { upstream: { url: "ftp://x" }, tasks: { mode: "$\{MODE}" } } }
`;
  const file = await fileWith("a.yaml", text);
  expect(await run(["check", "--config", file])).toEqual({
    code: 1,
    stdout: [
      "error: bogus: is not a setting; the settings here are listen, admin, store, callers, limits, log, servers (line 3)",
      "error: servers.a.tasks.mode: the environment variable MODE is not set (line 4)",
      'error: servers.a.upstream.url: must be http or https, got "ftp://x" (line 4)',
      "warning: store.url: memory: loses every task when the gateway stops (line 2)",
      "3 errors, 1 warning\n",
    ].join("\n"),
    stderr: "",
  });
});

test.each([
  ["check, with a flag", ["check", "--config", "/no/such.yaml"]],
  ["check", ["check", "/no/such.yaml"]],
  ["serve", ["/no/such.yaml"]],
  ["stdio", ["stdio", "/no/such.yaml"]],
])("a file that is not there is exit code 2: %s", async (_, args) => {
  expect(await run(args)).toEqual({
    code: 2,
    stdout: "",
    stderr: "error: cannot be read: ENOENT: no such file or directory, open '/no/such.yaml'\n",
  });
});

test("check takes the file as its argument", async () => {
  const file = await fileWith("a.yaml", "servers: { a: { upstream: { url: 'http://a/' } } }");
  expect(await run(["check", file])).toEqual({ code: 0, stdout: "ok: 1 server\n", stderr: "" });
});

test.each([
  ["no flags", [], ["--upstream: is needed, or -- COMMAND, or --config FILE"]],
  ["an unknown flag", ["--bogus"], ["Unknown argument: bogus (see mcp-taskgate --help)"]],
  [
    "an unknown command",
    ["sevre"],
    ["sevre: is no URL and no file; a command goes after two dashes: mcp-taskgate -- sevre …"],
  ],
  [
    "a command without dashes",
    ["node", "server.js"],
    ["node: is no URL and no file; a command goes after two dashes: mcp-taskgate -- node …"],
  ],
  ["a URL and more", ["http://a/", "b"], ["b: comes after http://a/, which is all there can be"]],
  [
    "a URL twice",
    ["http://a/", "--upstream", "http://b/"],
    ["http://a/: is the same as --upstream, which is given as well"],
  ],
  [
    "a flag without its value",
    ["--port"],
    ["Not enough arguments following: port (see mcp-taskgate --help)"],
  ],
  ["a negated flag", ["--no-port"], ["Unknown argument: no-port (see mcp-taskgate --help)"]],
  ["check without a file", ["check"], ["give one file: mcp-taskgate check FILE"]],
  [
    "check of two files",
    ["check", "--config", "a", "--config", "b"],
    ["give one file: mcp-taskgate check FILE"],
  ],
  ["check with a command", ["check", "--config", "a", "--", "node"], ["nothing may stand behind -- here"]],
  ["schema with a command", ["schema", "--", "node"], ["nothing may stand behind -- here"]],
  ["stdio without a server", ["stdio"], ["--upstream: is needed, or -- COMMAND, or --config FILE"]],
  [
    "stdio with a flag for clients over HTTP",
    ["stdio", "--port", "1", "--", "node"],
    ["--port: makes no sense with stdio, where nothing comes over HTTP"],
  ],
  [
    "a command beside a URL",
    ["--upstream", "http://a/", "--", "check", "--config", "x.yaml", "--port", "y"],
    ["--upstream: cannot go with a command behind --"],
  ],
  ["nothing behind --", ["--"], ["--upstream: is needed, or -- COMMAND, or --config FILE"]],
  [
    "a command beside a file that is not there",
    ["--config", "x.yaml", "--", "node", "--help"],
    ["cannot be read: ENOENT: no such file or directory, open 'x.yaml'"],
  ],
  [
    "a file that is not there, and its settings",
    ["--config", "x.yaml", "--port", "1"],
    ["cannot be read: ENOENT: no such file or directory, open 'x.yaml'"],
  ],
  [
    "several bad values",
    ["serve", "--upstream", "ftp://x", "--port", "x", "--tool", "a=never", "--tool", "b=no", "--tool", "c"],
    [
      '--tool: must look like GLOB=MODE, got "c"',
      '--port: must be a whole number from 0 to 65535, got "x"',
      '--upstream: must be http or https, got "ftp://x"',
      '--tool b=no: must be one of never, auto, always, required, got "no"',
    ],
  ],
])("%s: exit code 2, and every problem on standard error", async (_, args, problems) => {
  expect(await run(args)).toEqual({
    code: 2,
    stdout: "",
    stderr: problems.map((problem) => `error: ${problem}\n`).join(""),
  });
});

test("serve does not start with a bad file", async () => {
  const file = await fileWith("a.yaml", "bogus: 1\nservers: {}");
  expect(await run(["--config", file])).toEqual({
    code: 2,
    stdout: "",
    stderr: [
      "error: bogus: is not a setting; the settings here are listen, admin, store, callers, limits, log, servers (line 1)",
      "error: servers: must name at least one server, got a mapping (line 2)\n",
    ].join("\n"),
  });
});
