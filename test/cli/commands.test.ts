import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { jsonSchema, settingSchema } from "../../src/config/json-schema.ts";
import { fileWith, run } from "./process.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
/** Those of a file. */
const SECTIONS = Object.keys(settingSchema().properties ?? {}).join(", ");

test("--help shows every command and flag", async () => {
  const { code, stdout, stderr } = await run(["--help"]);
  const words = [
    "serve",
    "stdio",
    "call",
    "check",
    "schema",
    "--config",
    "--upstream",
    "--port",
    "--host",
    "--path",
  ];
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
      `error: bogus: is not a setting; the settings here are ${SECTIONS} (line 3)`,
      "error: servers.a.tasks.mode: the environment variable MODE is not set (line 4)",
      'error: servers.a.upstream.url: must be http or https, got "ftp://x" (line 4)',
      "warning: store.url: memory: loses every task when the gateway stops (line 2)",
      "3 errors, 1 warning\n",
    ].join("\n"),
    stderr: "",
  });
});

test("check names all variables that are missing in one line", async () => {
  const text = `
store: { url: "level:./data" }
servers: { a: { upstream: { url: "https://a.example/mcp", headers: { X-Key: "$\{KEY}", X-Other: "$\{KEY}$\{OTHER}" } } } }
`;
  const { code, stdout } = await run(["check", await fileWith("a.yaml", text)]);
  expect([code, stdout.split("\n").slice(-3)]).toEqual([
    1,
    ["hint: export these variables first: KEY, OTHER", "3 errors", ""],
  ]);
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
    "a misspelt flag",
    ["--prot", "1"],
    ["Unknown argument: prot; did you mean --port? (see mcp-taskgate --help)"],
  ],
  [
    "a misspelt flag of a command",
    ["tasks", "list", "--sever", "a"],
    ["Unknown argument: sever; did you mean --server? (see mcp-taskgate tasks --help)"],
  ],
  [
    "a misspelt mode",
    ["--upstream", "http://a/", "--mode", "alway"],
    ['--mode: must be one of never, observe, auto, always, required, got "alway"; did you mean always?'],
  ],
  [
    "an unknown command",
    ["sevre"],
    [
      "first argument that belongs to no flag: is no URL and no file; did you mean serve?; a command goes after two dashes, mcp-taskgate -- COMMAND, and a value with blanks in quotes",
    ],
  ],
  [
    "a command without dashes",
    ["node", "server.js"],
    [
      "first argument that belongs to no flag: is no URL and no file; a command goes after two dashes, mcp-taskgate -- COMMAND, and a value with blanks in quotes",
    ],
  ],
  [
    "a URL and more",
    ["http://a/", "b"],
    ["second argument that belongs to no flag: comes after a URL, which is all there can be"],
  ],
  [
    "a URL twice",
    ["http://a/", "--upstream", "http://b/"],
    ["first argument that belongs to no flag: is the same as --upstream, which is given as well"],
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
      '--tool b=no: must be one of never, observe, auto, always, required, got "no"',
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
      `error: bogus: is not a setting; the settings here are ${SECTIONS} (line 1)`,
      "error: servers: must name at least one server, got a mapping (line 2)\n",
    ].join("\n"),
  });
});

const SECRET = "pa55word";
const HEADER = `Authorization: Bearer ${SECRET}`;

test.each([
  ["a URL with a password, and more", [`http://u:${SECRET}@a/`, "b"]],
  ["a URL with a token, and more", [`http://a/?token=${SECRET}`, "b"]],
  ["a second URL", ["http://a/", `http://u:${SECRET}@b/`]],
  ["a URL twice", [`http://a/?token=${SECRET}`, "--upstream", "http://b/"]],
  ["a URL with a token in its fragment", [`http://a/#${SECRET}`]],
  ["a header without its flag", ["http://a/", HEADER]],
  ["a header without quotes", ["http://a/", "--header", ...HEADER.split(" ")]],
  ["a key without quotes", ["--header", "X-Key:", SECRET, "http://a/"]],
  ["a header without its colon", ["http://a/", "--header", `X-Key ${SECRET}`]],
  ["a header whose colon is elsewhere", ["http://a/", "--header", `X-Key ${SECRET}: a`]],
  ["a header to forward, with its value", ["http://a/", "--forward-header", HEADER]],
  ["a header to forward, with its value and no colon", ["http://a/", "--forward-header", `X-Key ${SECRET}`]],
  ["a flag with a slip", ["http://a/", "--heder", HEADER]],
  ["a flag with a slip and a value", ["http://a/", `--heder=${HEADER}`]],
  ["a flag with a header in its name", ["http://a/", `--${HEADER}`]],
  ["a flag of curl", ["http://a/", "-H", HEADER]],
  ["a flag of other programs", ["http://a/", "--token", SECRET]],
  ["a variable before a command", [`TOKEN=${SECRET}`, "node", "server.js"]],
  ["a variable before the dashes", [`TOKEN=${SECRET}`, "--", "node"]],
  ["no URL and no file", [SECRET]],
  ["no URL and no file, over stdio", ["stdio", SECRET]],
  ["a header over stdio", ["stdio", "--header", HEADER, "--", "node"]],
  ["a URL in place of a file", ["--config", `http://u:${SECRET}@a/x.yaml`]],
  ["a URL in place of a rule", ["http://a/", "--tool", `http://u:${SECRET}@a`]],
  ["a URL in place of a host", ["http://a/", "--host", `u:${SECRET}@h`]],
  ["check of a URL", ["check", `http://u:${SECRET}@a/mcp`]],
  ["check of a URL with a token", ["check", `http://a/?token=${SECRET}`]],
  ["check of two", ["check", "a.yaml", SECRET]],
  ["schema of something", ["schema", SECRET]],
  ["an action that is none", ["store", SECRET, "a"]],
  ["a Redis in place of a directory", ["store", "check", `redis://:${SECRET}@a`]],
  ["a directory and more", ["store", "check", "/no/such", SECRET]],
  ["inspect of a URL and more", ["inspect", "http://a/", SECRET]],
  [
    "inspect with arguments that are no JSON",
    ["inspect", "http://a/", "--call", "t", "--args", `{"a":"${SECRET}"`],
  ],
])("no secret on the command line is repeated: %s", async (_, args) => {
  const { code, stdout, stderr } = await run(args);
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toMatch(/^error: /);
  expect(stderr).not.toContain(SECRET);
});

test("a flag of one letter with its value is not spelled out", async () => {
  const { code, stderr } = await run(["http://a/", `-H${HEADER}`]);
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: "error: Unknown argument, not shown because it may be a secret (see mcp-taskgate --help)\n",
  });
});

test("under Bun it refuses to start, and says what to use", async () => {
  const preload = "data:text/javascript,Object.defineProperty(process.versions,'bun',{value:'1.4.5'})";
  const { code, stdout, stderr } = await run(["http://127.0.0.1:9/mcp"], {
    NODE_OPTIONS: `--import=${preload}`,
  });
  expect([code, stdout]).toEqual([2, ""]);
  expect(stderr).toBe("error: Bun cannot run mcp-taskgate: use Node.js 20.19 or later, or Deno\n");
});
