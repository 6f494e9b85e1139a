/** What stands in a wrapped entry: one line for each trap. */

import { parse } from "jsonc-parser";
import { expect, test } from "vitest";
import { valueAt } from "../../src/config/problems.ts";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { FORMATS } from "../../src/retrofit/formats/formats.ts";
import { planWrap } from "../../src/retrofit/plan.ts";
import type { Wrapping } from "../../src/retrofit/wrapped.ts";
import { fixture, SCRIPT, source, WRAPPING } from "./fixtures.ts";

const NODE = "/usr/bin/node";
const START = [SCRIPT, "stdio"];

test.each<[what: string, client: string, server: string, entry: JsonObject]>([
  [
    "a directory that the client ignores is the gateway's to set",
    "claude-desktop",
    "files",
    {
      command: NODE,
      args: [
        ...START,
        ...["--cwd", "/home/ada", "--", "npx", "-y", "@modelcontextprotocol/server-everything"],
        "/home/ada/Documents",
      ],
      cwd: "/home/ada",
    },
  ],
  [
    "variables stay where the client fills them in",
    "claude-code",
    "everything",
    {
      type: "stdio",
      command: NODE,
      args: [...START, "--", "npx", "-y", `$\{PACKAGE:-server}`],
      env: { A: `$\{A}` },
    },
  ],
  [
    "headers become variables, which the client fills in as before; a short time-out has a shorter fallback",
    "claude-code",
    "tickets",
    {
      type: "stdio",
      command: NODE,
      args: [
        ...[...START, "--fallback-after", "14s", "--header-from", "Authorization=TASKGATE_HEADER_1"],
        ...["--header-from", "X-Team=TASKGATE_HEADER_2", "https://tickets.example/mcp"],
      ],
      env: { TASKGATE_HEADER_1: `Bearer $\{TICKETS_TOKEN}`, TASKGATE_HEADER_2: "blue team" },
      timeout: 20_000,
      alwaysLoad: true,
    },
  ],
  [
    "an input of VS Code is asked for as before",
    "vscode",
    "weather",
    {
      type: "stdio",
      command: NODE,
      args: [...START, "--header-from", "X-Key=TASKGATE_HEADER_1", "https://weather.example/mcp"],
      env: { TASKGATE_HEADER_1: `$\{input:key}` },
    },
  ],
  [
    "Copilot calls a started server local, and has half a minute",
    "copilot",
    "everything",
    {
      type: "local",
      command: NODE,
      args: [...START, "--fallback-after", "21s", "--", "npx", "server"],
      tools: ["*"],
      env: { T: "$T" },
    },
  ],
  [
    "a URL with a key in it stands in the environment",
    "devin-desktop",
    "weather",
    {
      command: NODE,
      args: [...START, "--header-from", "X-Key=TASKGATE_HEADER_1", "--upstream-from", "TASKGATE_URL"],
      env: {
        TASKGATE_URL: "https://weather.example/mcp?key=a-key-in-a-url",
        TASKGATE_HEADER_1: `$\{env:WEATHER}`,
      },
    },
  ],
  [
    "Codex has variables by name, and no URL, token or headers beside a command",
    "codex",
    "at a url",
    {
      command: NODE,
      args: [
        ...[...START, "--header-from", "X-Team=TASKGATE_HEADER_1", "--header", `X-User: $\{USER_NAME}`],
        ...["--header", `Authorization: Bearer $\{WEATHER_TOKEN}`, "https://weather.example/mcp"],
      ],
      enabled: true,
      env: { TASKGATE_HEADER_1: "blue-team" },
      env_vars: ["USER_NAME", "WEATHER_TOKEN"],
    },
  ],
  [
    "Goose has other names",
    "goose",
    "everything",
    {
      args: [...START, "--fallback-after", "21s", "--", "npx", "-y", "server"],
      cmd: NODE,
      description: "",
      enabled: true,
      env_keys: ["KEY"],
      envs: {},
      name: "everything",
      timeout: 30,
      type: "stdio",
    },
  ],
  [
    "opencode has one list, and environment",
    "opencode",
    "weather",
    {
      type: "local",
      command: [NODE, ...START, "--header-from", "X-Key=TASKGATE_HEADER_1", "https://weather.example/mcp"],
      environment: { TASKGATE_HEADER_1: "{env:K}" },
    },
  ],
  [
    "Continue's headers lie deeper",
    "continue",
    "weather",
    {
      name: "weather",
      type: "stdio",
      command: NODE,
      args: [...START, "--header-from", "Authorization=TASKGATE_HEADER_1", "https://weather.example/mcp"],
      env: { TASKGATE_HEADER_1: `Bearer $\{{ secrets.WEATHER }}` },
    },
  ],
  [
    "Cline's second form is kept",
    "cline",
    "nested",
    {
      type: "stdio",
      command: NODE,
      args: [...START, "--header-from", "X-Key=TASKGATE_HEADER_1", "http://127.0.0.1:4000/mcp"],
      env: { TASKGATE_HEADER_1: `$\{env:KEY}` },
    },
  ],
  [
    "Warp's directory has another name, and is honoured",
    "warp",
    "everything",
    {
      command: NODE,
      args: [...START, "--", "npx", "server"],
      working_directory: "/srv",
      env: { K: "{{k}}" },
    },
  ],
  [
    "fast-agent says its kind in transport",
    "fast-agent",
    "weather",
    {
      transport: "stdio",
      command: NODE,
      args: [...START, "--header-from", "X-Key=TASKGATE_HEADER_1", "https://weather.example/mcp"],
      env: { TASKGATE_HEADER_1: `$\{WEATHER_KEY:none}` },
    },
  ],
])("%s", (_, client, server, entry) => {
  const given = fixture(client);
  const { text, changes } = planWrap(given, ({ name }) => name === server, WRAPPING);
  expect(changes.length).toBe(1);
  expect(valueAt(FORMATS[given.format].parse(text).value, changes[0]?.entry.path ?? [])).toEqual(entry);
});

const URL_ENTRY = { url: "https://a.example/mcp", headers: { "X-Key": "k" } };

test.each<[what: string, client: string, entry: JsonObject, reason: RegExp]>([
  ["a command and a URL", "zed", { ...URL_ENTRY, command: "a" }, /has a command and a URL/],
  ["neither", "zed", { settings: {} }, /no command and no URL/],
  ["an empty command", "cursor", { command: " ", args: ["a"] }, /an empty command/],
  ["an empty command in a list", "opencode", { type: "local", command: ["", "a"] }, /an empty command/],
  ["a command that is a mapping", "zed", { command: { path: "a" } }, /the old form/],
  ["a server on another machine", "zed", { command: "a", remote: true }, /on another machine/],
  ["a WebSocket", "claude-code", { type: "ws", url: "wss://a.example" }, /WebSocket/],
  ["a socket", "vscode", { type: "http", url: "unix:///run/a.sock" }, /not http or https/],
  ["no MCP server", "mcphub", { type: "openapi", url: "https://a.example" }, /no MCP server/],
  ["OAuth of the client", "codex", { ...URL_ENTRY, scopes: ["a"] }, /logs in to it \(scopes\)/],
  ["a URL without a credential", "kiro", { url: "https://a.example/mcp" }, /may have logged in/],
  [
    "values of each user",
    "librechat",
    { ...URL_ENTRY, headers: { A: "{{LIBRECHAT_USER_ID}}" } },
    /its header A/,
  ],
  [
    "a variable that would be filled in, and was not",
    "copilot",
    { url: "https://a.example/?x=$X", headers: { A: "b" } },
    /variable in its URL/,
  ],
  [
    "a variable that would not be filled in any more",
    "goose",
    { type: "streamable_http", uri: "https://a.example/", headers: { A: "$TOKEN" } },
    /its header A/,
  ],
])("%s: refused, with the reason", (_, client, entry, reason) => {
  const at =
    client === "zed"
      ? "context_servers"
      : client === "codex"
        ? "mcp_servers"
        : client === "vscode"
          ? "servers"
          : client === "goose"
            ? "extensions"
            : client === "opencode"
              ? "mcp"
              : "mcpServers";
  const given = source(client, JSON.stringify({ [at]: { a: entry } }));
  const { changes, skipped } = planWrap(given, () => true, WRAPPING);
  expect([changes, skipped]).toEqual([[], [{ name: "a", reason: expect.stringMatching(reason) }]]);
});

test.each<[what: string, words: readonly string[], wrapping: Partial<Wrapping>, after: readonly string[]]>([
  ["a script on Windows is started by cmd", ["npx", "a"], { platform: "win32" }, ["cmd", "/c", "npx", "a"]],
  [
    "what is started by cmd stays so",
    ["cmd", "/c", "npx", "a"],
    { platform: "win32" },
    ["cmd", "/c", "npx", "a"],
  ],
  ["a program on Windows is started itself", ["uvx", "a"], { platform: "win32" }, ["uvx", "a"]],
])("%s", (_, [command, ...args], wrapping, after) => {
  const given = source("cursor", JSON.stringify({ mcpServers: { a: { command, args } } }));
  const { text } = planWrap(given, () => true, { ...WRAPPING, ...wrapping });
  expect(valueAt(parse(text), ["mcpServers", "a", "args"])).toEqual([...START, "--", ...after]);
});

test.each([
  ["a path of this machine", [SCRIPT]],
  ["another install", ["/usr/local/bin/mcp-taskgate"]],
  ["a release", ["npx", "-y", "mcp-taskgate@0.1.0"]],
  ["a script on Windows", ["C:\\npm\\mcp-taskgate.cmd"]],
])("an entry that starts the gateway by %s is wrapped already", (_, words) => {
  const [command, ...args] = [...words, "stdio", "--", "npx"];
  const given = source("cursor", JSON.stringify({ mcpServers: { a: { command, args } } }));
  expect(planWrap(given, () => true, WRAPPING).skipped).toEqual([{ name: "a", reason: "already wrapped" }]);
});

test("headers that the gateway sends itself are left out, and said", () => {
  const headers = { Accept: "application/json", "Content-Type": "application/json", "X-Key": "k" };
  const given = source(
    "cursor",
    JSON.stringify({ mcpServers: { a: { url: "https://a.example/", headers } } }),
  );
  const { changes } = planWrap(given, () => true, WRAPPING);
  expect(changes[0]?.notices).toEqual([
    "Cursor starts it as a program now, in place of reaching https://a.example/ itself.",
    "The gateway sends Accept and Content-Type itself, and what the entry says of it is left out.",
  ]);
  expect(changes[0]?.after).toContain('"--header-from", "X-Key=TASKGATE_HEADER_1"');
});
