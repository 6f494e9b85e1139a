import { expect, test } from "vitest";
import { parse } from "yaml";
import { parseConfig } from "../../src/config/load.ts";
import { gatewayFile } from "../../src/retrofit/import.ts";
import { planWrap } from "../../src/retrofit/plan.ts";
import { FIXTURES, fixture, source, WRAPPING } from "./fixtures.ts";

test.each(FIXTURES.map(({ name }) => name))(
  "the servers of %s become a file that the gateway accepts",
  (name) => {
    const { text, lines } = gatewayFile(fixture(name), "a file", "linux");
    const variables = lines.flatMap((line) => /^ {2}(\w+) {2}/.exec(line)?.[1] ?? []);
    const { config, warnings } = parseConfig(
      text,
      Object.fromEntries(variables.map((each) => [each, "https://x/"])),
    );
    expect(config.servers.length).toBeGreaterThan(0);
    expect(config.servers.map(({ tasks }) => tasks.fallback !== undefined)).not.toContain(false);
    expect(warnings).toEqual([]);
  },
);

test.each(FIXTURES.map(({ name }) => name))("no value of env or headers of %s is printed", (name) => {
  const { text, lines } = gatewayFile(fixture(name), "a file", "linux");
  const secrets = [
    "token-of-notes",
    "a-key-of",
    "of-roo",
    "of-mcp",
    "a key of codex",
    "of goose",
    "blue",
    "Bearer of",
  ];
  expect(secrets.filter((secret) => `${text}\n${lines.join("\n")}`.includes(secret))).toEqual([]);
});

test("values become variables, and variables of the client are the gateway's", () => {
  const mcpServers = {
    one: {
      command: "cmd",
      args: ["/c", "npx", "-y", `$\{PACKAGE}`],
      env: { TOKEN: "1", FROM: `$\{HOME:-x}` },
    },
    "two words": { command: "node", env: { TOKEN: "2" }, cwd: "/srv" },
    three: {
      type: "http",
      url: "https://a.example/?key=3",
      headers: { Authorization: "Bearer 4", Accept: "x" },
    },
  };
  const { text, lines } = gatewayFile(
    source("claude-code", JSON.stringify({ mcpServers })),
    "a file",
    "linux",
  );
  expect(parse(text)).toEqual({
    store: { url: "level:./taskgate-data" },
    servers: {
      one: {
        upstream: {
          command: "npx",
          args: ["-y", `$\{PACKAGE}`],
          env: { TOKEN: `$\{TOKEN}`, FROM: `$\{HOME}` },
        },
        tasks: { fallback: "tools" },
      },
      "two-words": {
        upstream: { command: "node", env: { TOKEN: `$\{TWO_WORDS_TOKEN}` }, cwd: "/srv" },
        tasks: { fallback: "tools" },
      },
      three: {
        upstream: { url: `$\{THREE_URL}`, headers: { Authorization: `$\{THREE_AUTHORIZATION}` } },
        tasks: { fallback: "tools" },
      },
    },
  });
  expect(lines).toEqual([
    "Set these variables for the gateway:",
    "  PACKAGE  its command of one, as in the client",
    "  TOKEN  env.TOKEN of one",
    "  HOME  env.FROM of one, as in the client",
    "  TWO_WORDS_TOKEN  env.TOKEN of two words",
    "  THREE_URL  its URL of three",
    "  THREE_AUTHORIZATION  header Authorization of three",
  ]);
});

test("a text that only looks like a variable stays what it is", () => {
  const text = '[mcp_servers.a]\ncommand = "sh"\nargs = ["-c", "echo $\\u007bHOME}"]\n';
  const { config } = parseConfig(gatewayFile(source("codex", text, "toml"), "a file", "linux").text, {});
  expect(config.servers[0]?.upstream).toMatchObject({ args: ["-c", `echo $\{HOME}`] });
});

test("what only the client knows is left out, and said", () => {
  const servers = { a: { command: "a", args: [`$\{workspaceFolder}`] }, b: { command: "b" } };
  const { text, lines } = gatewayFile(source("vscode", JSON.stringify({ servers })), "a file", "linux");
  expect(Object.keys(parse(text).servers)).toEqual(["b"]);
  expect(lines).toEqual([
    `note: a: left out: $\{workspaceFolder} is known to the client only, in its command`,
  ]);
  const none = source("vscode", JSON.stringify({ servers: { a: servers.a } }));
  expect(() => gatewayFile(none, "mcp.json", "linux")).toThrow(
    /^mcp.json: has no server that the gateway could stand in front of/,
  );
});

test("a wrapped command is imported as it was", () => {
  const given = fixture("claude-agent-sdk");
  const { text } = planWrap(given, ({ name }) => name === "everything", WRAPPING);
  expect(parse(gatewayFile({ ...given, text }, "a file", "linux").text).servers.everything).toEqual(
    parse(gatewayFile(given, "a file", "linux").text).servers.everything,
  );
});

test("on Windows scripts are started by the command interpreter", () => {
  const mcpServers = { a: { command: "cmd", args: ["/c", "npx", "a"] }, b: { command: "npx", args: ["b"] } };
  const { text } = gatewayFile(source("cursor", JSON.stringify({ mcpServers })), "a file", "win32");
  const { a, b } = parse(text).servers;
  expect([a.upstream, b.upstream]).toEqual([
    { command: "cmd", args: ["/c", "npx", "a"] },
    { command: "cmd", args: ["/c", "npx", "b"] },
  ]);
});
