import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { substituteEnvironment } from "../../src/config/environment.ts";
import { parseConfig } from "../../src/config/load.ts";
import { ConfigError } from "../../src/config/problems.ts";
import { addressOf } from "../../src/upstream/address.ts";

let folder = "";
const SECRET = "s3cret-of-the-file";
const ref = (name: string) => `$\{file:${name}}`;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "taskgate-secrets-"));
  const files = {
    token: `${SECRET}\n`,
    windows: `${SECRET}\r\n`,
    plain: SECRET,
    "two-lines": "a\nb\n\n",
    reference: "$" + "{KEY}",
    empty: "",
    newline: "\n",
    zero: "a\0b",
    latin1: Buffer.from([0x61, 0xe4, 0x62]),
    large: "x".repeat(65_537),
    largest: "x".repeat(65_536),
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  mkdirSync(join(folder, "folder"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each([
  ["the newline at the end is not part of it", "token", SECRET],
  ["nor is that of Windows", "windows", SECRET],
  ["a file without one", "plain", SECRET],
  ["only the last newline goes", "two-lines", "a\nb\n"],
  ["a reference in a file stays", "reference", "$" + "{KEY}"],
  ["the largest", "largest", "x".repeat(65_536)],
])("the text of a file: %s", (_, name, expected) => {
  const path = join(folder, name);
  expect(substituteEnvironment({ a: [`<${ref(path)}>`] }, { KEY: "k" })).toEqual({
    value: { a: [`<${expected}>`] },
    problems: [],
    fromFiles: [{ path: ["a", 0], text: expected }],
  });
});

test("a name without a folder is a credential of systemd", () => {
  const env = { CREDENTIALS_DIRECTORY: folder };
  expect(substituteEnvironment(`Bearer ${ref("token")}`, env).value).toBe(`Bearer ${SECRET}`);
});

test.each([
  ["a missing file", "missing", "the file FOLDER/missing cannot be read (ENOENT)"],
  ["a folder", "folder", "the file FOLDER/folder is no regular file"],
  ["an empty file", "empty", "the file FOLDER/empty is empty"],
  ["nothing but a newline", "newline", "the file FOLDER/newline is empty"],
  ["a zero byte", "zero", "the file FOLDER/zero is no text"],
  ["another encoding", "latin1", "the file FOLDER/latin1 is no text in UTF-8"],
  ["too much", "large", "the file FOLDER/large has more than 64 KB"],
])("%s is a problem at its path, and the text stays", (_, name, message) => {
  for (const text of [ref(join(folder, name)), ref(name)])
    expect(substituteEnvironment({ a: { b: text } }, { CREDENTIALS_DIRECTORY: folder })).toEqual({
      value: { a: { b: text } },
      problems: [{ path: "a.b", message: message.replace("FOLDER", folder) }],
      fromFiles: [],
    });
});

test.each([
  ["../token", "file:../token must be an absolute path, or the name of a systemd credential"],
  ["./token", "file:./token must be an absolute path, or the name of a systemd credential"],
  ["..", "file:.. must be an absolute path, or the name of a systemd credential"],
  ["", "file: must be an absolute path, or the name of a systemd credential"],
  [
    "token",
    "file:token is a systemd credential (LoadCredential), but CREDENTIALS_DIRECTORY is not set; elsewhere give an absolute path",
  ],
])("without a folder of credentials %j is refused", (name, message) => {
  expect(substituteEnvironment(ref(name), {}).problems).toEqual([{ path: "", message }]);
});

test.skipIf(process.platform === "win32")("nobody waits for a named pipe", () => {
  const path = join(folder, "pipe");
  expect(spawnSync("mkfifo", [path]).status).toBe(0);
  expect(substituteEnvironment(ref(path), {}).problems).toEqual([
    { path: "", message: `the file ${path} is no regular file` },
  ]);
});

test("a missing brace at the end is a problem, and no file is read", () => {
  const text = `$\{file:${join(folder, "token")}`;
  expect(substituteEnvironment(text, {})).toMatchObject({ value: text, fromFiles: [] });
  expect(substituteEnvironment(text, {}).problems).toHaveLength(1);
});

test("every setting takes a file, and a problem names the line", () => {
  const yaml = (name: string) => `
admin: { port: 9090, token: "${ref(join(folder, name))}" }
servers: { a: { upstream: { url: "http://localhost/mcp", headers: { Authorization: "Bearer ${ref(join(folder, "token"))}" } } } }
`;
  const { config } = parseConfig(yaml("token"), {});
  expect(config.admin?.token).toBe(SECRET);
  expect(config.servers[0]?.upstream).toMatchObject({ headers: { authorization: `Bearer ${SECRET}` } });
  expect(() => parseConfig(yaml("missing"), {})).toThrow(ConfigError);
  expect(() => parseConfig(yaml("missing"), {})).toThrow("admin.token");
});

test("what a file puts into a URL or a command is masked where people see it", () => {
  const token = ref(join(folder, "token"));
  const { config } = parseConfig(
    `servers:
  address: { upstream: { url: "http://localhost/${token}/mcp" } }
  command: { upstream: { command: node, args: ["--key=${token}"] } }
  header: { upstream: { url: "http://localhost/mcp", headers: { X-Key: "${token}" } } }`,
    {},
  );
  expect(config.servers.map(({ upstream }) => addressOf(upstream))).toEqual([
    "http://localhost/…/mcp",
    "node --key=…",
    "http://localhost/mcp",
  ]);
  // A secret that changes elsewhere must not make another server of this one.
  expect(config.servers.map(({ upstream }) => upstream.secrets)).toEqual([[SECRET], [SECRET], undefined]);
});
