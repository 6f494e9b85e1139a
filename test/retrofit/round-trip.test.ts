import { parse as parseJson } from "jsonc-parser";
import { getStaticTOMLValue, parseTOML } from "toml-eslint-parser";
import { expect, test } from "vitest";
import { parse as parseYaml, stringify } from "yaml";
import { valueAt } from "../../src/config/problems.ts";
import { isObject, type JsonObject } from "../../src/protocol/jsonrpc.ts";
import { CLIENTS } from "../../src/retrofit/clients.ts";
import { entriesOf } from "../../src/retrofit/entries.ts";
import { FORMATS } from "../../src/retrofit/formats/formats.ts";
import { keptFinder } from "../../src/retrofit/kept.ts";
import { type Plan, planUnwrap, planWrap, type Source, type Undo } from "../../src/retrofit/plan.ts";
import { FIXTURES, fixture, SCRIPT, source, WRAPPING } from "./fixtures.ts";

const ALL = () => true;
const NAMES = FIXTURES.map(({ name }) => name);

test("every client that starts servers has a fixture", () => {
  const wanted = CLIENTS.filter(({ instead }) => instead === undefined).map(({ name }) => name);
  expect([...NAMES].sort()).toEqual([...wanted].sort());
});

test.each(NAMES)("%s: wrap changes every server, unwrap gives the file back byte for byte", (name) => {
  const before = fixture(name);
  const wrapped = planWrap(before, ALL, WRAPPING);
  expect(wrapped.changes.length).toBeGreaterThan(0);
  expect(wrapped.text).toContain(SCRIPT);
  const restored = unwrap({ ...before, text: wrapped.text }, wrapped);
  expect(restored.text).toBe(before.text);
  expect(restored.changes.length).toBe(wrapped.changes.length);
});

test.each(NAMES)(
  "%s: the same with Windows' line ends, with tabs, with a mark at the start and without a last line end",
  (name) => {
    const { text, format, ...rest } = fixture(name);
    const tabs = format === "yaml" ? text : text.replaceAll("  ", "\t");
    const mark = `\uFEFF${text}`;
    for (const variant of [text.replaceAll("\n", "\r\n"), tabs, mark, text.trimEnd()]) {
      const before = { ...rest, format, text: variant };
      const wrapped = planWrap(before, ALL, WRAPPING);
      expect(wrapped.changes.length).toBeGreaterThan(0);
      expect(wrapped.text.includes("\r\n")).toBe(variant.includes("\r\n"));
      expect(unwrap({ ...before, text: wrapped.text }, wrapped).text).toBe(variant);
    }
  },
);

test.each(NAMES)(
  "%s: what is not of a wrapped entry stays byte for byte, and comments in it as well",
  (name) => {
    const before = fixture(name);
    const { text, changes } = planWrap(before, ALL, WRAPPING);
    const without = (whole: string, entries: readonly string[]) =>
      entries.reduce((rest, entry) => rest.replace(entry, () => "…"), whole);
    const [old, now] = [changes.map((each) => each.before), changes.map((each) => each.after)];
    expect(without(text, now)).toBe(without(before.text, old));
    const comments = [...before.text.matchAll(/(?:\/\/ |# |\/\* ).*/g)].map(([comment]) => comment);
    // A comment behind a header goes with the headers.
    expect(comments.filter((comment) => !text.includes(comment) && comment !== "# of LibreChat")).toEqual([]);
  },
);

test.each(NAMES)("%s: nothing of a server at a URL is left beside the command", (name) => {
  const before = fixture(name);
  const { text, changes } = planWrap(before, ALL, WRAPPING);
  const document = FORMATS[before.format].parse(text).value;
  const remote = [
    "url",
    "httpUrl",
    "serverUrl",
    "uri",
    "baseUrl",
    "headers",
    "http_headers",
    "requestOptions",
  ];
  for (const { entry } of changes) {
    const value = valueAt(document, entry.path) as JsonObject;
    expect(Object.keys(value).filter((key) => remote.includes(key))).toEqual([]);
    expect(value.command ?? value.cmd).toBeDefined();
    const kept = Object.keys(entry.value).filter((key) => KEPT.includes(key));
    expect(kept.map((key) => value[key])).toEqual(kept.map((key) => entry.value[key]));
  }
});

const KEPT = [
  ...[
    "name",
    "disabled",
    "enabled",
    "autoApprove",
    "alwaysAllow",
    "tools",
    "includeTools",
    "enabled_tools",
    "trust",
  ],
  ...[
    "timeout",
    "alwaysLoad",
    "description",
    "startup_timeout_sec",
    "disabledTools",
    "dev",
    "envFile",
    "cwd",
  ],
];

test.each(NAMES)(
  "%s: a file that its client has written anew gets its servers back, and keeps the rest",
  (name) => {
    const before = fixture(name);
    const wrapped = planWrap(before, ALL, WRAPPING);
    const rewritten = rewrite({ ...before, text: wrapped.text });
    const restored = unwrap({ ...before, text: rewritten }, wrapped);
    expect(restored.changes.length).toBe(wrapped.changes.length);
    expect(documentOf({ ...before, text: restored.text })).toEqual(documentOf(before));
    expect(restored.text).not.toContain(SCRIPT);
  },
);

test.each(NAMES)("%s: what is wrapped is not wrapped twice", (name) => {
  const before = fixture(name);
  const { text, changes } = planWrap(before, ALL, WRAPPING);
  const again = planWrap({ ...before, text }, ALL, WRAPPING);
  expect(again.text).toBe(text);
  const twice = again.skipped.filter(({ reason }) => reason === "already wrapped");
  expect(twice.map((each) => each.name)).toEqual(changes.map(({ entry }) => entry.name));
});

test("a file that was rewritten, and whose user has changed other fields, keeps these", () => {
  const before = fixture("cline");
  const wrapped = planWrap(before, ALL, WRAPPING);
  const text = wrapped.text
    .replace('"disabled": false', '"disabled": true')
    .replace('"autoApprove": ["echo"]', '"autoApprove": ["echo", "add"]');
  const restored = unwrap({ ...before, text }, wrapped);
  expect(valueAt(parseJson(restored.text), ["mcpServers", "flat"])).toEqual({
    command: "node",
    args: ["a.js"],
    disabled: true,
    autoApprove: ["echo", "add"],
    timeout: 60,
  });
});

test("a list that was sorted anew is put back by the servers' names", () => {
  const before = fixture("continue");
  const wrapped = planWrap(before, ALL, WRAPPING);
  const document = parseYaml(wrapped.text);
  document.mcpServers.reverse();
  const restored = unwrap({ ...before, text: stringify(document) }, wrapped);
  const sorted = parseYaml(before.text);
  sorted.mcpServers.reverse();
  expect(parseYaml(restored.text)).toEqual(sorted);
});

test("a command that its user has changed while it was wrapped is kept", () => {
  const before = fixture("claude-desktop");
  const wrapped = planWrap(before, ALL, WRAPPING);
  const text = wrapped.text.replace('"notes-mcp"', '"notes-mcp@2", "--fast"');
  const restored = unwrap({ ...before, text }, wrapped);
  expect(valueAt(parseJson(restored.text), ["mcpServers", "notes", "args"])).toEqual([
    "notes-mcp@2",
    "--fast",
  ]);
  expect(restored.changes[1]?.notices).toEqual([
    "Its command was changed since it was wrapped: what stands behind the dashes is its command again.",
  ]);
});

test("without the ledger a command is put back from the entry itself, and a URL is not", () => {
  const before = source(
    "cursor",
    '{"mcpServers": {"a": {"command": "npx", "args": ["server"]}, "b": {"url": "http://localhost/mcp"}}}',
  );
  const wrapped = planWrap(before, ALL, WRAPPING);
  const restored = planUnwrap({ ...before, text: wrapped.text }, ALL, () => undefined, SCRIPT);
  expect(valueAt(parseJson(restored.text), ["mcpServers", "a"])).toEqual({
    command: "npx",
    args: ["server"],
  });
  expect(restored.skipped.map(({ name }) => name)).toEqual(["b"]);
});

test.each([
  ["an entry that others repeat", "yaml", "mcpServers:\n  a: &a { command: npx, args: [] }\n  b: *a\n"],
  ["an alias", "yaml", "mcpServers:\n  b: &a { command: npx, args: [] }\n  a: *a\n"],
  ["an anchor that others use", "yaml", "mcpServers:\n  a:\n    command: &c npx\n  b:\n    command: *c\n"],
  ["dotted keys", "toml", 'mcp_servers.a.command = "x"\nmcp_servers.a.args = []\n'],
  [
    "scattered tables",
    "toml",
    '[mcp_servers.a]\ncommand = "x"\n[other]\nb = 1\n[mcp_servers.a.env]\nK = "v"\n',
  ],
  [
    "a server that stands there twice",
    "json",
    '{"mcpServers": {"a": {"command": "x"}, "b": {"command": "y"}, "a": {"command": "z"}}}',
  ],
  ["a field that stands there twice", "json", '{"mcpServers": {"a": {"command": "x", "command": "y"}}}'],
  [
    "a list of servers that stands there twice",
    "json",
    '{"mcpServers": {"a": {"command": "x"}}, "mcpServers": {"a": {"command": "y"}}}',
  ],
] as const)("%s is left alone, and said", (_, format, text) => {
  const before = source(format === "toml" ? "codex" : "librechat", text, format);
  const plan = planWrap(before, ({ name }) => name === "a", WRAPPING);
  expect([plan.text, plan.changes, plan.skipped.map(({ name }) => name)]).toEqual([text, [], ["a"]]);
});

test("one server that cannot be wrapped keeps no other from it", () => {
  const text =
    "mcpServers:\n  a: &a { command: npx, args: [] }\n  b: *a\n  c: { command: node, args: [c.js] }\n";
  const plan = planWrap(source("librechat", text, "yaml"), ALL, WRAPPING);
  expect(plan.changes.map(({ entry }) => entry.name)).toEqual(["c"]);
  expect(plan.skipped.map(({ name }) => name)).toEqual(["b", "a"]);
});

test("TOML in inline tables is edited in place", () => {
  const text = '[mcp_servers]\na = { command = "npx", args = ["-y", "b"] } # mine\n';
  const { text: wrapped } = planWrap(source("codex", text, "toml"), ALL, WRAPPING);
  expect(wrapped).toBe(
    `[mcp_servers]\na = { command = "/usr/bin/node", args = ["${SCRIPT}", "stdio", "--", "npx", "-y", "b"] } # mine\n`,
  );
});

function unwrap(before: Source, { changes }: Plan): Plan {
  const kept = changes.map(({ entry: { id }, undo }) => ({ id, undo: asStored(undo) }));
  const { client, entries } = entriesOf(
    FORMATS[before.format].parse(before.text).value,
    before.client,
    before.format,
  );
  return planUnwrap(before, ALL, keptFinder(kept, entries, client), SCRIPT);
}

/** As the ledger gives it back. */
function asStored(undo: Undo): Undo {
  return JSON.parse(JSON.stringify(undo));
}

/** As clients do: comments and order of fields go, and the white space is the client's. */
function rewrite(given: Source): string {
  const value = sorted(documentOf(given));
  switch (given.format) {
    case "json":
      return `${JSON.stringify(value, null, 4)}\n`;
    case "yaml":
      return stringify(value);
    case "toml":
      return tomlOf(value as JsonObject, []);
  }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const fields = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(fields.map(([key, each]) => [key, sorted(each)]));
}

/** Every mapping as a table of its own, as Codex writes them. */
function tomlOf(value: JsonObject, path: readonly string[]): string {
  const entries = Object.entries(value);
  const own = entries
    .filter(([, each]) => !isObject(each))
    .map(([key, each]) => `${key} = ${JSON.stringify(each)}\n`);
  const header =
    path.length > 0 && own.length > 0 ? [`[${path.map((key) => JSON.stringify(key)).join(".")}]\n`] : [];
  const below = entries.flatMap(([key, each]) => (isObject(each) ? [tomlOf(each, [...path, key])] : []));
  return [...header, ...own, ...below].join("");
}

/** Read by the libraries that others use, in place of ours. */
function documentOf({ text, format }: Source): unknown {
  switch (format) {
    case "json":
      return parseJson(text);
    case "yaml":
      return parseYaml(text);
    case "toml":
      return getStaticTOMLValue(parseTOML(text));
  }
}
