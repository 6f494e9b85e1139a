/** Wrapped entries of clients' files, started as the clients would start them. */

import { createRequire } from "node:module";
import { join } from "node:path";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { expect, onTestFinished, test } from "vitest";
import { COMMAND, fileWith, run } from "../cli/process.ts";
import { home } from "../retrofit/home.ts";
import { startScriptedServer } from "../support/scripted-server.ts";

const EVERYTHING = createRequire(import.meta.url).resolve(
  "@modelcontextprotocol/server-everything/package.json",
);
const SERVER = join(EVERYTHING, "../dist/index.js");
const PROGRAM = [process.execPath, ...COMMAND] as const;
const FILE = ".claude.json";
const WRAP = { client: "claude-code", all: true, yes: true };

interface Entry {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Record<string, string>;
}

test("a real server behind a wrapped entry has the environment and the directory of the entry, and its client the fallback", async () => {
  const files = home({}, { program: PROGRAM });
  const entry = { command: process.execPath, args: [SERVER], env: { API_KEY: "a key" }, cwd: files.path };
  files.write(FILE, JSON.stringify({ mcpServers: { everything: entry } }, null, 2));
  const before = files.read(FILE);
  expect(await files.run("wrap", WRAP)).toMatchObject({ code: 0 });

  const client = await started(entryIn(files.read(FILE), "everything"));
  const { content } = await client.callTool({ name: "printEnv", arguments: {} });
  const [{ text }] = content as [{ text: string }];
  expect(JSON.parse(text.slice(text.indexOf("{")))).toMatchObject({ API_KEY: "a key" });
  const { tools } = await client.listTools();
  expect(tools.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["echo", "taskgate_result", "taskgate_cancel"]),
  );

  expect(await files.run("unwrap", WRAP)).toMatchObject({ code: 0 });
  expect(files.read(FILE)).toBe(before);
});

test("a server at a URL gets the headers of its entry, which stand on no command line", async () => {
  const server = await startScriptedServer();
  onTestFinished(server.close);
  const web = {
    type: "http",
    url: `${server.url.href}?key=of-the-url`,
    headers: { "X-Key": "of-the-header" },
  };
  const files = home({ [FILE]: JSON.stringify({ mcpServers: { web } }) }, { program: PROGRAM });
  expect(await files.run("wrap", WRAP)).toMatchObject({ code: 0 });
  const entry = entryIn(files.read(FILE), "web");
  expect(JSON.stringify(entry.args)).not.toMatch(/of-the-(url|header)/);

  await started(entry);
  const { headers, request } = await server.arrival("initialize");
  expect([headers["x-key"], request.url]).toEqual(["of-the-header", "/mcp?key=of-the-url"]);
});

test("wrap, clients, import and unwrap on the command line", async () => {
  const files = home({
    [FILE]: '{"mcpServers": {"a": {"command": "npx", "args": ["b"], "env": {"K": "v"}}}}',
  });
  const before = files.read(FILE);
  const env = { HOME: files.path };
  const unasked = await run(["wrap", "--client", "claude-code", "a"], env);
  expect([unasked.code, unasked.stdout.includes("stdio")]).toEqual([2, true]);
  const wrapped = await run(["wrap", "a", "--client", "claude-code", "--yes"], env);
  expect([wrapped.code, entryIn(files.read(FILE), "a")]).toEqual([
    0,
    { command: process.execPath, args: [...COMMAND, "stdio", "--", "npx", "b"], env: { K: "v" } },
  ]);
  expect((await run(["clients"], env)).stdout).toBe(
    `claude-code  ${join(files.path, FILE)}\n  a  local, wrapped\n`,
  );
  const imported = await run(["import", join(files.path, FILE)], env);
  expect(imported).toMatchObject({
    code: 0,
    stderr: "Set these variables for the gateway:\n  K  env.K of a\n",
  });
  const gateway = await fileWith("taskgate.yaml", imported.stdout);
  expect(await run(["check", gateway], { K: "v" })).toEqual({
    code: 0,
    stdout: "ok: 1 server\n",
    stderr: "",
  });
  expect((await run(["unwrap", "--all", "--client", "claude-code", "--yes"], env)).code).toBe(0);
  expect(files.read(FILE)).toBe(before);
  expect((await run(["wrap", "--client", "claude-cod"], env)).stderr).toContain("did you mean claude-code?");
});

/** As clients on the official SDK do it: command, args and env of the entry, and little else of their own environment. */
async function started({ command, args, env }: Entry): Promise<Client> {
  const client = new Client({ name: "a-client", version: "1.0.0" });
  onTestFinished(() => client.close());
  await client.connect(new StdioClientTransport({ command, args: [...args], env, stderr: "pipe" }));
  return client;
}

function entryIn(text: string, name: string): Entry {
  return JSON.parse(text).mcpServers[name];
}
