import {
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { chmod, chown, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { fixture, SCRIPT } from "./fixtures.ts";
import { home } from "./home.ts";

const CURSOR = ".cursor/mcp.json";
const TEXT = fixture("cursor").text;
/** The user and group without rights on most machines. */
const NOBODY = 65_534;
const STATE = ".local/state/mcp-taskgate";

test("wrap shows a diff and writes, unwrap puts the file back, and nothing is left but directories", async () => {
  const { run, read, list, write } = home();
  write(CURSOR, TEXT);
  const wrapped = await run("wrap", { client: "cursor", server: ["everything"], yes: true });
  expect(wrapped.out).toBe(`~/.cursor/mcp.json: mcpServers.everything
   {
  -      "command": "npx",
  -      "args": ["-y", "server", "$\{workspaceFolder}"],
  +      "command": "/usr/bin/node",
  +      "args": ["${SCRIPT}", "stdio", "--", "npx", "-y", "server", "$\{workspaceFolder}"],
         "env": { "API_KEY": "…" },
         "envFile": "…"
       }`);
  expect(wrapped.err).toBe(
    "note: Cursor connects again when the file is saved, which may take a minute the first time.\nwrapped 1 server in ~/.cursor/mcp.json",
  );
  expect(wrapped.code).toBe(0);
  expect(read(CURSOR)).toContain(SCRIPT);
  expect(list(STATE).length).toBe(4);
  const unwrapped = await run("unwrap", { client: "cursor", all: true, yes: true });
  expect([unwrapped.code, unwrapped.err]).toEqual([
    0,
    "skipped: weather in ~/.cursor/mcp.json: not wrapped\nunwrapped 1 server in ~/.cursor/mcp.json",
  ]);
  expect(read(CURSOR)).toBe(TEXT);
  expect(list(STATE)).toEqual(["backups", "wrapped"]);
});

test("only the owner may read what is kept, and the file keeps its mode", async () => {
  const { path, run, write, list, read } = home();
  write(CURSOR, TEXT);
  await chmod(join(path, CURSOR), 0o640);
  await run("wrap", { client: "cursor", all: true, yes: true });
  expect(statSync(join(path, CURSOR)).mode & 0o777).toBe(0o640);
  const kept = list(STATE).map((file) => [file, statSync(join(path, STATE, file))] as const);
  expect(kept.filter(([, stat]) => stat.isFile()).map(([, { mode }]) => mode & 0o777)).toEqual([
    0o600, 0o600, 0o600,
  ]);
  expect(kept.filter(([, stat]) => stat.isDirectory()).map(([, { mode }]) => mode & 0o777)).toEqual([
    0o700, 0o700,
  ]);
  const [backup] = kept.filter(([file]) => file.startsWith("backups/"));
  expect(read(join(STATE, backup?.[0] ?? ""))).toBe(TEXT);
});

test("a client that locks its file is not written past, and a lock that nobody holds any more is taken away", async () => {
  const file = ".cline/data/settings/cline_mcp_settings.json";
  const { path, run, read } = home({ [file]: fixture("cline").text });
  const lock = join(path, `${file}.lock`);
  const wrap = () => run("wrap", { client: "cline", all: true, yes: true });
  mkdirSync(lock);
  writeFileSync(join(lock, "owner.1"), "");
  const waiting = wrap();
  let isOver = false;
  void waiting.then(() => {
    isOver = true;
  });
  // It has prepared a lock of its own, and cannot put it there.
  await expect
    .poll(() => readdirSync(dirname(lock)).some((name) => name.includes(".lock.owner.")))
    .toBe(true);
  expect([isOver, read(file)]).toEqual([false, fixture("cline").text]);
  rmSync(lock, { recursive: true });
  expect((await waiting).code).toBe(0);
  expect(read(file)).toContain(SCRIPT);
  expect(readdirSync(dirname(lock))).toEqual(["cline_mcp_settings.json"]);

  mkdirSync(lock);
  writeFileSync(join(lock, "owner.1"), "");
  utimesSync(lock, 1_000, 1_000);
  expect((await run("unwrap", { client: "cline", all: true, yes: true })).code).toBe(0);
  expect(read(file)).toBe(fixture("cline").text);
  expect(readdirSync(dirname(lock))).toEqual(["cline_mcp_settings.json"]);
});

test("what a symbolic link leads to is written, and the link stays", async () => {
  const { path, run, write, read } = home();
  write("dotfiles/cursor.json", TEXT);
  write(".cursor/other", "");
  symlinkSync("../dotfiles/cursor.json", join(path, CURSOR));
  expect((await run("wrap", { client: "cursor", all: true, yes: true })).code).toBe(0);
  expect(lstatSync(join(path, CURSOR)).isSymbolicLink()).toBe(true);
  expect(read("dotfiles/cursor.json")).toContain(SCRIPT);
  expect((await run("unwrap", { server: [join(path, CURSOR)], all: true, yes: true })).code).toBe(0);
  expect(read("dotfiles/cursor.json")).toBe(TEXT);
});

test("nothing is written by --dry-run, without --yes where nobody can be asked, or after a no", async () => {
  const { run, read, list } = home({ [CURSOR]: TEXT });
  const flags = { client: "cursor", all: true };
  expect((await run("wrap", { ...flags, "dry-run": true })).code).toBe(0);
  const unasked = await run("wrap", flags);
  expect([unasked.code, unasked.err.split("\n").at(-1)]).toEqual([
    2,
    "error: --yes: is needed where nobody can be asked; nothing was written",
  ]);
  const refused = await run("wrap", flags, async () => false);
  expect([refused.code, refused.err.split("\n").at(-1)]).toEqual([0, "nothing was written"]);
  expect([read(CURSOR), list(STATE)]).toEqual([TEXT, []]);
  expect((await run("wrap", flags, async () => true)).err).toContain("wrapped 2 servers");
});

test("what the client writes between the question and the answer is kept", async () => {
  const { run, read, write } = home({ [CURSOR]: TEXT });
  const more = TEXT.replace('"mcpServers"', '"theirs": 1,\n  "mcpServers"');
  const wrapped = await run("wrap", { client: "cursor", all: true }, async () => {
    write(CURSOR, more);
    return true;
  });
  expect(wrapped.code).toBe(0);
  expect(read(CURSOR)).toContain('"theirs": 1');
  await run("unwrap", { client: "cursor", all: true, yes: true });
  expect(read(CURSOR)).toBe(more);
});

test("a server that was changed between the question and the answer is not written", async () => {
  const { run, read, write } = home({ [CURSOR]: TEXT });
  const more = TEXT.replace('"-y", "server"', '"-y", "other"');
  const wrapped = await run("wrap", { client: "cursor", all: true }, async () => {
    write(CURSOR, more);
    return true;
  });
  expect([wrapped.code, read(CURSOR)]).toEqual([2, more]);
  expect(wrapped.err).toContain(
    "error: ~/.cursor/mcp.json: its servers have changed meanwhile; nothing was written there, run the command again",
  );
});

test("a file in a project gets no path of this machine, and is written only when it is named", async () => {
  const { path, run, read } = home({
    "work/.mcp.json": fixture("claude-agent-sdk").text,
    "work/.git/HEAD": "",
  });
  const unnamed = await run("wrap", { client: "claude-code", all: true, yes: true });
  expect([unnamed.code, unnamed.err]).toEqual([
    2,
    "error: --client: no file of Claude Code was found at ~/.claude.json; ~/work/.mcp.json is the project's: name it to change it",
  ]);
  const named = await run("wrap", { server: [".mcp.json"], all: true, yes: true });
  expect(named.code).toBe(0);
  expect(named.err).toContain(
    "note: .mcp.json may be shared: it gets the bare command mcp-taskgate, which everybody who uses it then needs in their PATH.",
  );
  expect(JSON.parse(read("work/.mcp.json")).mcpServers.everything).toEqual({
    command: "mcp-taskgate",
    args: ["stdio", "--fallback-after", "21s", "--", "npx", "-y", "server"],
  });
  expect(read("work/.mcp.json")).not.toContain(path);
});

test("a file that no client is known by is read by its form", async () => {
  const files = {
    "a.json": fixture("zed").text,
    "b.yaml": fixture("goose").text,
    "c.toml": fixture("codex").text,
  };
  const { path, run, read } = home({ ...files, "d.json": fixture("opencode").text });
  for (const file of ["a.json", "b.yaml", "c.toml", "d.json"]) {
    const before = read(file);
    expect((await run("wrap", { server: [join(path, file), "everything"], yes: true })).code).toBe(0);
    expect(read(file)).toContain(SCRIPT);
    await run("unwrap", { server: [join(path, file), "everything"], yes: true });
    expect(read(file)).toBe(before);
  }
});

test("clients lists files and servers, whether wrapped, and no value", async () => {
  const { run } = home({
    [CURSOR]: TEXT,
    ".claude.json": fixture("claude-code").text,
    ".config/Code/User/profiles/p/mcp.json": fixture("vscode").text,
    ".codex/config.toml": "[mcp_servers.",
    ".config/goose/config.yaml": fixture("goose").text,
    "work/.mcp.json": "{}",
  });
  await run("wrap", { client: "cursor", server: ["everything"], yes: true });
  const { code, out } = await run("clients", {});
  expect(out).toBe(`claude-code  ~/.claude.json
  everything  local
  tickets  remote
  local one  local
claude-code  ~/work/.mcp.json
vscode  ~/.config/Code/User/profiles/p/mcp.json
  everything  local
  weather  remote
cursor  ~/.cursor/mcp.json
  everything  local, wrapped
  weather  remote
codex  ~/.codex/config.toml
  cannot be read: line 1: is not TOML
goose  ~/.config/goose/config.yaml
  developer  runs inside the client
  everything  local
  weather  remote`);
  expect(code).toBe(0);
  const json = JSON.parse((await run("clients", { json: true })).out);
  expect(json[3]).toEqual({
    client: "cursor",
    file: "~/.cursor/mcp.json",
    scope: "user",
    servers: [
      { name: "everything", kind: "local", isWrapped: true },
      { name: "weather", kind: "remote", isWrapped: false },
    ],
  });
});

test("clients says that there is nothing", async () => {
  expect(await home().run("clients", {})).toEqual({
    code: 0,
    out: "no file of a client that is known was found",
    err: "",
  });
});

test.each([
  [
    "no client and no file",
    {},
    "give a client (--client NAME) or a file; `mcp-taskgate clients` lists what is here",
  ],
  [
    "a client that is misspelt",
    { client: "cursr" },
    /^--client: must be one of .*, got "cursr"; did you mean cursor\?$/,
  ],
  ["a client that is unknown", { client: "emacs" }, /got "emacs"$/],
  [
    "a client without a file",
    { client: "zed" },
    "--client: no file of Zed was found at ~/.config/zed/settings.json",
  ],
  [
    "a client that has no file of its own",
    { client: "mcp-use" },
    "--client: mcp-use has no file of its own: name the file that you give it, as in mcp-taskgate wrap FILE --client mcp-use",
  ],
  ["Open WebUI", { client: "open-webui" }, /run `mcp-taskgate URL`, and give Open WebUI the address/],
  ["Docker's toolkit", { client: "docker" }, /wrap the entry MCP_DOCKER of the client that you use/],
  ["a file that is not there", { server: ["./no.json"], all: true }, "~/work/no.json: does not exist"],
  [
    "a file that is no JSON",
    { server: ["../bad.json"], all: true },
    "../bad.json: line 2: is not JSON: invalid symbol",
  ],
  ["a file that is not UTF-8", { server: ["../latin.json"], all: true }, "~/latin.json: is not UTF-8"],
  ["a directory", { server: ["../.cursor/"], all: true }, "~/.cursor: is a directory"],
  [
    "a file without servers",
    { server: ["../empty.json"], all: true },
    "../empty.json: has no servers that are known",
  ],
  [
    "no servers that are named",
    { client: "cursor" },
    "name servers, or give --all for all of them: everything, weather",
  ],
  [
    "a server and all",
    { client: "cursor", server: ["everything"], all: true },
    "--all: means all servers, and some are named as well",
  ],
  [
    "a server that is misspelt",
    { client: "cursor", server: ["wether"] },
    'no server is called "wether"; did you mean weather?; there are everything, weather',
  ],
  [
    "a server with a command and a URL",
    { server: ["../both.json", "a"] },
    "a in ../both.json: has a command and a URL: remove the one that is not meant",
  ],
])("%s is refused", async (_, flags, message) => {
  const { path, run, write, list } = home({ [CURSOR]: TEXT, "empty.json": '{"a": 1}', "bad.json": "{\n a" });
  write("both.json", '{"mcpServers": {"a": {"command": "b", "url": "http://c/"}}}');
  writeFileSync(join(path, "latin.json"), Buffer.of(0x7b, 0xe4, 0x7d));
  const { code, out, err } = await run("wrap", { yes: true, ...flags });
  const line = err.split("\n").at(-1)?.replace("error: ", "");
  expect(line).toEqual(typeof message === "string" ? message : expect.stringMatching(message));
  expect([code, out, list(STATE)]).toEqual([2, "", []]);
});

test("what is wrapped already is said, and is no reason to fail with --all", async () => {
  const { run } = home({ [CURSOR]: TEXT });
  await run("wrap", { client: "cursor", all: true, yes: true });
  const again = await run("wrap", { client: "cursor", server: ["everything"], yes: true });
  expect([again.code, again.err]).toEqual([2, "error: everything in ~/.cursor/mcp.json: already wrapped"]);
  const all = await run("wrap", { client: "cursor", all: true, yes: true });
  expect([all.code, all.err.split("\n").at(-1)]).toEqual([0, "nothing to do"]);
});

test("a read-only folder is named, and the file stays as it is", async () => {
  const { path, run, read, list } = home({ [CURSOR]: TEXT });
  await chmod(join(path, ".cursor"), 0o500);
  const { code, err } = await asNobody(path, () => run("wrap", { client: "cursor", all: true, yes: true }));
  expect([code, err.split("\n").at(-1)]).toEqual([
    2,
    "error: ~/.cursor/mcp.json: you may not read or write it, or its folder",
  ]);
  expect(read(CURSOR)).toBe(TEXT);
  expect(list(STATE)).toEqual(["backups", "wrapped"]);
});

/** Runs as a user without rights whose the folder is, where this process is root's, who may write everywhere. */
async function asNobody<T>(folder: string, work: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return work();
  for (const name of ["", ...(await readdir(folder, { recursive: true }))])
    await chown(join(folder, name), NOBODY, NOBODY);
  process.seteuid?.(NOBODY);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
  }
}

test("a server that its client has logged in to is skipped, and said, unless forced", async () => {
  const text =
    '{"mcpServers": {"a": {"url": "https://a.example/mcp"}, "b": {"url": "https://b.example/", "auth": {"CLIENT_ID": "x"}}}}';
  const { run, read } = home({ [CURSOR]: text });
  const skipped = await run("wrap", { client: "cursor", all: true, yes: true });
  expect(
    skipped.err,
  ).toBe(`skipped: a in ~/.cursor/mcp.json: has no credential: Cursor may have logged in to it, which the gateway cannot; --force wraps it all the same
skipped: b in ~/.cursor/mcp.json: Cursor logs in to it (auth), which the gateway cannot; --force wraps it all the same
nothing to do`);
  expect((await run("wrap", { client: "cursor", all: true, yes: true, force: true })).code).toBe(0);
  expect(JSON.parse(read(CURSOR)).mcpServers.b).toEqual({
    command: "/usr/bin/node",
    args: [SCRIPT, "stdio", "https://b.example/"],
  });
  await run("unwrap", { client: "cursor", all: true, yes: true });
  expect(read(CURSOR)).toBe(text);
});

test.each([
  ["nothing", ""],
  ["half of it", '{"undo": {"original": "'],
  ["no mapping", "null"],
  ["an empty one", '{"undo": {}}'],
  [
    "fields of other types",
    '{"undo": {"original": 1, "length": "1", "hash": 1, "fields": "a", "words": {}}}',
  ],
  [
    "fields without names",
    '{"undo": {"original": "", "length": 1, "hash": "", "fields": [null], "words": []}}',
  ],
])("a ledger with %s in it is as good as none", async (_, damaged) => {
  const { run, read, list, write } = home({ [CURSOR]: TEXT });
  await run("wrap", { client: "cursor", server: ["everything"], yes: true });
  for (const file of list(`${STATE}/wrapped`)) write(`${STATE}/wrapped/${file}`, damaged);
  const { code, err } = await run("unwrap", { client: "cursor", server: ["everything"], yes: true });
  expect([code, err.split("\n").at(-1)]).toEqual([0, "unwrapped 1 server in ~/.cursor/mcp.json"]);
  expect(JSON.parse(read(CURSOR))).toEqual(JSON.parse(TEXT));
  expect(list(STATE)).toEqual(["backups", "wrapped"]);
});

const REMOTE = '{ "url": "https://b.example/mcp", "headers": { "X-Key": "k" } }';

test.each([
  ["renamed", (text: string) => text, (text: string) => text],
  ["renamed, and written anew", rewritten, JSON.parse],
])("an entry that its client has %s is found by what it holds", async (_, write, read) => {
  const text = `{ "mcpServers": { "a": { "command": "npx" }, "b": ${REMOTE} } }`;
  const renamed = (given: string) => given.replace('"b"', '"renamed"');
  const { run, list, ...files } = home({ [CURSOR]: text });
  await run("wrap", { client: "cursor", all: true, yes: true });
  files.write(CURSOR, write(renamed(files.read(CURSOR))));
  const { code, err } = await run("unwrap", { client: "cursor", all: true, yes: true });
  expect([code, err]).toEqual([
    0,
    "note: renamed: It was called b when it was wrapped.\nunwrapped 2 servers in ~/.cursor/mcp.json",
  ]);
  expect(read(files.read(CURSOR))).toEqual(read(renamed(text)));
  expect(list(STATE)).toEqual(["backups", "wrapped"]);
});

test("of two renamed entries with the same command neither is taken for the other", async () => {
  const other = REMOTE.replace('"k"', '"l"');
  const text = `{ "mcpServers": { "a": ${REMOTE}, "b": ${other} } }`;
  const { run, read, write } = home({ [CURSOR]: text });
  await run("wrap", { client: "cursor", all: true, yes: true });
  const renamed = (given: string) => given.replace('"a"', '"c"').replace('"b"', '"d"');
  const wrapped = renamed(read(CURSOR));
  write(CURSOR, rewritten(wrapped));
  const refused = await run("unwrap", { client: "cursor", all: true, yes: true });
  expect(refused.err).toContain("skipped: c in ~/.cursor/mcp.json: was not wrapped on this machine");
  // As they were written, their headers tell them apart.
  write(CURSOR, wrapped);
  expect((await run("unwrap", { client: "cursor", all: true, yes: true })).code).toBe(0);
  expect(read(CURSOR)).toBe(renamed(text));
});

/** As a client writes its file. */
function rewritten(text: string): string {
  return `${JSON.stringify(JSON.parse(text), null, 4)}\n`;
}

test("what a file's author wrote into names and comments does nothing to a terminal", async () => {
  const [turned, clear] = ["a\u202eb", "\x1b]0;x\x07"];
  const yaml = `mcpServers:\n  "${turned}\\e[2J":\n    command: npx # ${clear}\n  "b\\n\\e[2J":\n    url: ws://b/\n`;
  const { run } = home({ "work/librechat.yaml": yaml });
  const flags = { server: ["librechat.yaml"], all: true };
  const all = [
    await run("clients", {}),
    await run("wrap", { ...flags, yes: true }),
    await run("import", { file: "librechat.yaml" }),
    await run("unwrap", { ...flags, yes: true }),
  ];
  expect(all.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
  for (const { out, err } of all) expect(out + err).not.toMatch(/(?![\n\t])[\p{Cc}\u202e]/u);
  expect(all[0]?.out).toContain("a\\u202eb\\u001b[2J");
  expect(all[0]?.out).toContain("  b\\u000a\\u001b[2J  is at a URL");
});

test("a program that npm may remove at will says so", async () => {
  const program = ["/usr/bin/node", "/home/ada/.npm/_npx/1/node_modules/.bin/mcp-taskgate"] as const;
  const { run } = home({ [CURSOR]: TEXT }, { program });
  const { err } = await run("wrap", { client: "cursor", server: ["everything"], "dry-run": true });
  expect(err).toContain("note: This program runs from a cache that npm empties at will");
});
