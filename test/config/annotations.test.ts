import { expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problems.ts";

const URL = "http://localhost/mcp";

test("anchors and notes stand in x- keys, and what an anchor holds counts where it is put in", () => {
  const text = `
$schema: ./schema.json
x-tasks: &tasks { mode: always, ttl: 2h }
x-unused: { anything: "${"$"}{NOPE}" }
listen: { port: 1, x-why: taken }
servers:
  x-search:
    x-owner: { team: a }
    upstream: { url: ${URL}, x-a: 1, headers: { x-key: "${"$"}{KEY}" } }
    tasks: { <<: *tasks, ttl: 1h, x-b: 2 }
    tools: [{ match: a, <<: *tasks, x-c: [] }]
`;
  const plain = `
listen: { port: 1 }
servers:
  x-search:
    upstream: { url: ${URL}, headers: { x-key: k } }
    tasks: { mode: always, ttl: 1h }
    tools: [{ match: a, mode: always, ttl: 2h }]
`;
  expect(parseConfig(text, { KEY: "k" }).config).toEqual(parseConfig(plain, {}).config);
});

test("an anchor that refers to itself is nobody's trouble in an x- key", () => {
  const text = `x-a: &a { b: *a }\nservers: { s: { upstream: { url: ${URL} } } }`;
  expect(parseConfig(text, {}).config.servers).toHaveLength(1);
});

test.each([
  ["$schema further down", "listen: { $schema: x }", ["listen.$schema"]],
  ["keys that look alike", "x: 1\nX-a: 1\nx_a: 1", ["x", "X-a", "x_a"]],
  ["a server that is a note", "servers: { x-note: 1 }", ["servers.x-note"]],
  ["a merge of what is no mapping", "x-a: &a 1\nlisten: { <<: *a }", [""]],
])("%s is refused", (_, text, paths) => {
  const server = text.includes("servers:") ? "" : `\nservers: { s: { upstream: { url: ${URL} } } }`;
  const judge = () => parseConfig(text + server, {});
  expect(judge).toThrow(ConfigError);
  expect(problemsOf(judge)).toEqual(paths);
});

function problemsOf(judge: () => unknown): readonly string[] {
  try {
    judge();
    return [];
  } catch (error) {
    return (error as ConfigError).problems.map(({ path }) => path);
  }
}
