/** Real servers are told apart, and what is suggested for each of them works. */

import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { runInspect } from "../../src/inspect/command.ts";
import { startUpstream } from "../contracts/upstream-witness.ts";
import { modernTwin } from "../differential/twins.ts";
import { everything } from "../peers/peers.ts";
import { startEverything } from "../support/everything-process.ts";
import { startLegacyEverythingServer } from "../support/legacy-everything-server.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { textOf } from "../support/story.ts";
import { clientOf, factsOf, fileOf, type Given } from "./inspected.ts";

const LEGACY_VERSIONS = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05", "2024-10-07"];
const ALL = LEGACY_VERSIONS.map((version) => ({ asked: version, answered: version }));

interface Row {
  readonly name: string;
  readonly start: () => Given | Promise<Given>;
  readonly facts: object;
  readonly upstream: object;
  /** A call, and what comes of it through a gateway with the suggested file. */
  readonly call: readonly [tool: string, args: Record<string, unknown>, text: string];
}

const MODERN_ONLY = [
  process.execPath,
  ...["--import", import.meta.resolve("tsx")],
  fileURLToPath(new URL("../support/stdio-servers/modern-only.ts", import.meta.url)),
];
const ECHO = ["echo", { message: "hello" }, "Echo: hello"] as const;

const SERVERS: readonly Row[] = [
  {
    name: "server-everything 2025.12.18 over Streamable HTTP",
    start: () => startEverything("2025.12.18"),
    facts: {
      transport: "streamable-http",
      server: { name: "example-servers/everything", instructions: expect.any(String) },
      legacy: {
        protocolVersion: "2025-11-25",
        versions: ALL,
        answersPing: true,
        http: {
          answersAs: "stream",
          hasSessions: true,
          unknownSession: 400,
          get: { status: 200, isStream: true },
          delete: 200,
          eventIds: { post: true },
        },
        secondSession: { outcome: "works" },
      },
      declared: { more: expect.arrayContaining(["startElicitation", "listRoots"]), less: [] },
      listed: { resources: 100, prompts: 3, problems: [] },
    },
    upstream: { transport: "streamable-http", sessions: "lease" },
    call: ECHO,
  },
  {
    name: "server-everything 2025.4.28 over Streamable HTTP, which has one session",
    start: () => startEverything("2025.4.28"),
    facts: {
      transport: "streamable-http",
      legacy: {
        versions: ALL,
        secondSession: { outcome: "refused", reason: expect.stringContaining("HTTP 500") },
      },
    },
    upstream: { transport: "streamable-http", sessions: "single" },
    call: ECHO,
  },
  {
    name: "server-everything 2025.9.25 over HTTP+SSE",
    start: () => startEverything("2025.9.25", "sse"),
    facts: { transport: "sse", legacy: { versions: ALL, secondSession: { outcome: "works" } } },
    upstream: { transport: "sse", sessions: "lease" },
    call: ECHO,
  },
  {
    name: "server-everything 2025.12.18 over stdio",
    start: () => [process.execPath, everything("2025.12.18", "stdio")],
    facts: {
      transport: "stdio",
      legacy: { versions: ALL, secondSession: { outcome: "works" }, startMs: expect.any(Number) },
    },
    upstream: { transport: "stdio", command: process.execPath },
    call: ECHO,
  },
  {
    name: "a server that answers as JSON only",
    start: async () => (await startUpstream("json-only")).settings.upstream as URL,
    facts: {
      transport: "streamable-http",
      legacy: { http: { answersAs: "json", eventIds: { post: false, get: false } } },
    },
    upstream: { transport: "streamable-http" },
    call: ["echo", { text: "hello" }, "hello"],
  },
  {
    name: "a server without sessions",
    start: async () => (await startUpstream("stateless")).settings.upstream as URL,
    facts: { legacy: { http: { hasSessions: false }, secondSession: { outcome: "works" } } },
    upstream: { transport: "streamable-http" },
    call: ["echo", { text: "hello" }, "hello"],
  },
  {
    name: "a modern server",
    start: modernTwin,
    facts: {
      transport: "streamable-http",
      server: { name: "twin", version: "1.0.0", instructions: "Ask either." },
      modern: { versions: ["2026-07-28"], hasTasks: false },
      listed: {
        tools: [{ name: "echo" }, { name: "fail" }, { name: "mirror", headerParams: 1 }],
        prompts: 1,
        resources: 1,
      },
    },
    upstream: { transport: "streamable-http", sessions: "lease" },
    call: ["echo", { text: "hello" }, "hello"],
  },
  {
    name: "a modern server over stdio",
    start: () => MODERN_ONLY,
    facts: {
      transport: "stdio",
      server: { name: "modern-only", version: "2.4.0", instructions: "Be brief." },
      modern: { versions: ["2026-07-28"], hasTasks: false },
      listed: { prompts: 1, resources: 1, problems: [] },
      remarks: [],
    },
    upstream: { transport: "stdio", command: process.execPath },
    call: ["echo", { message: "hello" }, "hello"],
  },
];

describe.each(SERVERS)("$name", ({ start, facts, upstream, call: [tool, args, text] }) => {
  test("is told what it is", async () => {
    expect(await factsOf(await start())).toMatchObject(facts);
  });

  test("gets a file that works", async () => {
    const file = await fileOf(await start());
    expect(file.server.upstream).toMatchObject(upstream);
    const { content } = await (await clientOf(file)).callTool(tool, args);
    expect(textOf({ content })).toBe(text);
  });
});

test("a server that is older and newer is asked for its tools in the newer way", async () => {
  const { modern, legacy, listed } = await factsOf(await modernTwin({ legacy: "stateless" }));
  expect(modern?.versions).toEqual(["2026-07-28"]);
  expect(legacy).toMatchObject({ http: { hasSessions: false } });
  expect(legacy).not.toHaveProperty("secondSession");
  expect(listed.tools.map(({ name }) => name)).toContain("mirror");
});

test("events with ids are told from events without", async () => {
  const { url, close } = await startLegacyEverythingServer({ isResumable: true });
  onTestFinished(close);
  expect((await factsOf(url)).legacy?.http?.eventIds.post).toBe(true);
});

test("a server that a second session kills is told, and gets one", async () => {
  const { text, server } = await fileOf(await startEverything("2025.4.28", "sse"));
  expect(server.upstream.sessions).toBe("single");
  expect(text).toMatch(/# at one time +one session: it took no other .* may have to be started again/);
  expect(text).toMatch(/# ! 2025-06-18 got no answer: .*; older versions were not tried/);
});

test("no tool is called, and no session is left open", async () => {
  const server = await startScriptedServer();
  onTestFinished(server.close);
  await factsOf(server.url);
  expect(server.received.map(({ method }) => method)).not.toContain("tools/call");
  expect(server.sessions.size).toBe(0);
  await server.until(() => server.sockets === 0, "all connections to be closed");
});

test("inspect says what it waits for while a server takes its time", async () => {
  const said: string[] = [];
  let say = (_line: string) => {};
  const heard = new Promise<void>((resolve) => {
    say = (line) => {
      said.push(line);
      resolve();
    };
  });
  const server = await startScriptedServer({
    "tools/list": async (call) => {
      await heard;
      call.json({ tools: [] });
    },
  });
  onTestFinished(server.close);
  const never = new Promise<never>(() => {});
  const progress = { everyMs: 500, say };
  const { code } = await runInspect({ url: server.url.href, json: true }, {}, never, progress);
  expect(code).toBe(0);
  expect(said[0]).toMatch(/^still inspecting after \d+ s: waiting for the answer to tools\/list$/);
});

test("headers are sent with everything, and stand in the file as they were given", async () => {
  const server = await startScriptedServer();
  onTestFinished(server.close);
  const { text, server: found } = await fileOf(server.url, { header: [`X-Key: $\{KEY}`] }, { KEY: "secret" });
  expect(server.received.map(({ headers }) => headers["x-key"])).toEqual(server.received.map(() => "secret"));
  expect(text).toContain(`X-Key: $\{KEY}`);
  expect(text).not.toContain("secret");
  expect(found.upstream).toMatchObject({ headers: { "x-key": "secret" } });
});

test("a version that is answered with another, and one that is refused, are told", async () => {
  const server = await startScriptedServer({
    initialize: (call) => {
      const { protocolVersion: asked } = call.message.params ?? {};
      const answer = {
        protocolVersion: "2025-06-18",
        capabilities: {},
        serverInfo: { name: "picky", version: "1" },
      };
      if (asked === "2024-10-07") call.error(-32602, "too old");
      else call.json(answer);
    },
  });
  onTestFinished(server.close);
  expect((await factsOf(server.url)).legacy?.versions).toEqual([
    { asked: "2025-11-25", answered: "2025-06-18" },
    { asked: "2025-06-18", answered: "2025-06-18" },
    { asked: "2025-03-26", answered: "2025-06-18" },
    { asked: "2024-11-05", answered: "2025-06-18" },
    { asked: "2024-10-07", refusal: "too old" },
  ]);
});

test("a server that replaces a session by the next is told, and gets one session only", async () => {
  const server = await startScriptedServer({
    initialize: (call) => {
      for (const id of [...server.sessions.keys()]) if (id !== call.session.id) server.sessions.delete(id);
      call.json({
        protocolVersion: "2025-06-18",
        capabilities: {},
        serverInfo: { name: "lonely", version: "1" },
      });
    },
  });
  onTestFinished(server.close);
  const { server: found } = await fileOf(server.url);
  expect(found.upstream.sessions).toBe("single");
});

test("a list that cannot be had is told, and stops nothing", async () => {
  const server = await startScriptedServer(
    {
      "prompts/list": (call) => call.error(-32603, "out of prompts"),
      "tools/list": (call) => call.json({ tools: "none" }),
    },
    { capabilities: { tools: {}, prompts: {} } },
  );
  onTestFinished(server.close);
  expect((await factsOf(server.url)).listed).toEqual({
    tools: [],
    problems: [
      "tools/list: the answer has no list of tools",
      "prompts/list: the server refused: out of prompts",
    ],
  });
});
