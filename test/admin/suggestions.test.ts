/** What calls suggest: how each kind of client's calls are counted, and which rules come of it. */

import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/server/validators/ajv";
import { describe, expect, onTestFinished, test } from "vitest";
import { parse, stringify } from "yaml";
import { suggestionsOf } from "../../src/admin/suggestions.ts";
import { policyOf } from "../../src/calls/policy.ts";
import type { ServerConfig, TaskMode } from "../../src/config/config.ts";
import { jsonSchema } from "../../src/config/json-schema.ts";
import { parseConfig } from "../../src/config/load.ts";
import { CallCounts } from "../../src/observers/calls/call-counts.ts";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import type { Route } from "../../src/requests/request.ts";
import { run } from "../cli/process.ts";
import { SOON } from "../gateway/fallback/model.ts";
import { said, talks } from "../gateway/paired/talks.ts";
import { LegacyWire } from "../support/legacy-wire.ts";
import type { Json } from "../support/modern-client.ts";
import { said as complete, modernStory } from "../support/modern-server.ts";
import { gate, INPUT, type Story, type StorySettings, story, textResult } from "../support/story.ts";

const OBSERVED: StorySettings = { admin: true, policy: { mode: "observe", waitForMs: 0 } };

/** What a gateway has counted of its server's tools. */
async function figuresOf({ gateway }: Pick<Story, "gateway">): Promise<Record<string, Json>> {
  const { servers } = (await (await fetch(new URL("/api/suggestions", gateway.adminUrl))).json()) as Json;
  return Object.fromEntries(servers[0].tools.map(({ tool, ...figures }: Json) => [tool, figures]));
}

/** Polls until the gateway has counted so many calls of a tool, answered ones and abandoned ones. */
async function counts(tested: Pick<Story, "gateway">, tool: string, calls: number, abandoned: number) {
  const counted = async () => (await figuresOf(tested))[tool];
  await expect.poll(counted, { interval: 20 }).toMatchObject({ calls, abandoned });
}

/** A server whose tool `quick` answers and whose tool `slow` does not. */
const TOOLS = ["quick", "slow"].map((name) => ({ name, inputSchema: { type: "object" } }));

function slowStory(settings: StorySettings = OBSERVED) {
  const { opened, open } = gate();
  onTestFinished(() => open());
  const scripts = {
    "tools/call": async (call: Json) => {
      if (call.message.params?.name === "slow") await Promise.race([opened, call.cancelled]);
      call.json(textResult("done"));
    },
  };
  return story(scripts, settings, { tools: TOOLS });
}

describe("of a client of 2026-07-28", () => {
  test("the calls that are answered and those that it leaves are counted", async () => {
    const tested = await slowStory();
    const client = tested.client({ capabilities: INPUT });
    await client.callTool("quick");
    await counts(tested, "quick", 1, 0);
    const leaving = new AbortController();
    const left = client.callTool("slow", {}, { signal: leaving.signal }).catch(() => "left");
    await tested.server.arrival("tools/call", 2);
    leaving.abort();
    expect(await left).toBe("left");
    await counts(tested, "slow", 1, 1);
  });

  test("the calls that become tasks are counted when these end, and not before", async () => {
    const { opened, open } = gate();
    const script = async (call: Json) => {
      await opened;
      call.json(textResult("done"));
    };
    const settings = { admin: true, policy: { mode: "always" } } as const;
    const tested = await story({ "tools/call": script }, settings, { tools: TOOLS });
    const { taskId } = await tested.user.callTool("slow");
    await tested.user.result("tools/list");
    expect(await figuresOf(tested)).toEqual({});
    open();
    await tested.user.settled(taskId);
    await counts(tested, "slow", 1, 0);
  });

  test("a call that it may send again counts once", async () => {
    const tested = await slowStory({ admin: true, policy: { mode: "auto" } });
    const keyed = { headers: { "idempotency-key": "a-key-that-is-long-enough" } };
    for (const options of [keyed, keyed, {}])
      expect((await tested.user.callTool("quick", {}, options)).content).toBeDefined();
    await counts(tested, "quick", 2, 0);
  });

  test("the calls that pass to a server of that revision are counted", async () => {
    const { opened, open } = gate();
    onTestFinished(() => open());
    const script = async (call: Json) => {
      if (call.message.params?.name === "slow") await Promise.race([opened, call.closed]);
      call.json(complete("done"));
    };
    const tested = await modernStory({ "tools/call": script }, OBSERVED, { tools: TOOLS });
    await tested.user.callTool("quick");
    const leaving = new AbortController();
    const left = tested.user.callTool("slow", {}, { signal: leaving.signal }).catch(() => "left");
    await tested.server.arrival("tools/call", 2);
    leaving.abort();
    expect(await left).toBe("left");
    // The server's list passed as it was.
    await counts(tested, "_other", 2, 1);
  });
});

describe.each(["2025-06-18", "2025-11-25"])("of a client of %s", (version) => {
  test("the calls that it lets be, takes back and leaves are counted", async () => {
    const tested = await slowStory();
    const named = tested.client({ capabilities: INPUT });
    await named.callTool("quick");
    await counts(tested, "quick", 1, 0);
    const client = await LegacyWire.connect(tested.url, { version });
    await client.result("tools/call", { name: "quick", arguments: {} });
    await counts(tested, "quick", 2, 0);

    const taken = client.open("tools/call", { name: "slow", arguments: {} }, { id: "taken back" });
    await tested.server.arrival("tools/call", 3);
    await client.notify("notifications/cancelled", { requestId: "another" });
    await client.notify("notifications/cancelled", { requestId: "taken back" });
    await counts(tested, "slow", 1, 1);
    taken.leave();
    const left = client.open("tools/call", { name: "slow", arguments: {} });
    await tested.server.arrival("tools/call", 4);
    left.leave();
    await counts(tested, "slow", 2, 2);
  });

  test("the calls in a session that is paired are counted", async () => {
    const tested = await talks({ admin: true, policy: { mode: "observe", waitForMs: 0 } });
    const client = await LegacyWire.connect(tested.url, { version });
    await client.result("tools/list");
    expect(said(await client.result("tools/call", { name: "echo", arguments: { said: "é" } }))).toBe("é");
    client.open("tools/call", { name: "wait", arguments: { key: "a" } }, { id: 7 });
    await client.result("ping");
    await client.notify("notifications/cancelled", { requestId: 7 });
    await counts(tested, "wait", 1, 1);
    client.open("tools/call", { name: "wait", arguments: { key: "b" } }, { id: 8 });
    await client.result("ping");
    await client.end();
    await counts(tested, "wait", 2, 2);
    await counts(tested, "echo", 1, 0);
  });
});

test("the calls of an older client whose long results come by tools are counted", async () => {
  const tested = await slowStory({ admin: true, policy: SOON });
  const older = await LegacyWire.connect(tested.url, { version: "2025-11-25" });
  await older.result("tools/list");
  await older.result("tools/call", { name: "quick", arguments: {} });
  const paired = await talks({ admin: true, policy: SOON });
  const client = await LegacyWire.connect(paired.url, { version: "2025-11-25" });
  await client.result("tools/list");
  await client.result("tools/call", { name: "echo", arguments: { said: "é" } });
  await counts(paired, "echo", 1, 0);
  await expect
    .poll(async () => Object.values(await figuresOf(tested)).map(({ calls }) => calls))
    .toEqual([1]);
});

test("the tools of the gateway's own count nowhere, and what they wait for counts once", async () => {
  const { opened, open } = gate();
  const script = async (call: Json) => {
    await opened;
    call.json(textResult("done"));
  };
  const tested = await story({ "tools/call": script }, { admin: true, policy: SOON }, { tools: TOOLS });
  const client = tested.client({ capabilities: INPUT });
  const told = await client.callTool("slow");
  const [word] = /(?:[b-z2-9]{4}-)+[b-z2-9]{4}/.exec(JSON.stringify(told)) ?? [];
  const result = client.callTool("taskgate_result", { task: word });
  open();
  expect(JSON.stringify(await result)).toContain("done");
  await counts(tested, "slow", 1, 0);
  expect(Object.keys(await figuresOf(tested))).toEqual(["slow"]);
});

describe("a tool is not slower", () => {
  const waitForMs = 500;

  test("for a rate that holds its calls back", async () => {
    const limits = { perRoute: { calls: { count: 10, perMs: 1_000 } } };
    const tested = await slowStory({ admin: true, policy: { waitForMs }, limits });
    const client = tested.client({ capabilities: INPUT });
    await client.callTool("quick");
    await counts(tested, "quick", 1, 0);
    const older = await LegacyWire.connect(tested.url, { version: "2025-11-25" });
    const begunAt = performance.now();
    // The rate lets two pass at once, and the others one after another, the last 0.8 s later at least.
    await Promise.all(
      Array.from({ length: 5 }, () => [
        client.callTool("quick"),
        older.result("tools/call", { name: "quick", arguments: {} }),
      ]).flat(),
    );
    expect(performance.now() - begunAt).toBeGreaterThan(waitForMs);
    await counts(tested, "quick", 11, 0);
    expect((await figuresOf(tested)).quick).toMatchObject({ verdict: "fits" });
  });

  test("for a slot that its calls wait for, nor given up by a client that leaves meanwhile", async () => {
    const { opened, open } = gate();
    onTestFinished(() => open());
    const script = async (call: Json) => {
      if (call.message.params?.name === "slow") await opened;
      call.json(textResult("done"));
    };
    const settings = { admin: true, policy: { waitForMs }, server: { maxConcurrent: 1 } } as const;
    const tested = await story({ "tools/call": script }, settings, { tools: TOOLS });
    const client = tested.client({ capabilities: INPUT });
    const slow = client.callTool("slow");
    await tested.server.arrival("tools/call");
    const begunAt = performance.now();
    const quick = Array.from({ length: 12 }, () => client.callTool("quick"));
    const leaving = new AbortController();
    const left = client.callTool("quick", {}, { signal: leaving.signal }).catch(() => "left");
    await expect.poll(() => performance.now() - begunAt).toBeGreaterThan(waitForMs);
    leaving.abort();
    expect(await left).toBe("left");
    open();
    await Promise.all([slow, ...quick]);
    await counts(tested, "quick", 12, 0);
    const { quick: figures } = await figuresOf(tested);
    expect(figures).toMatchObject({ verdict: "fits" });
    expect(figures.p50Ms).toBeLessThan(waitForMs);
  });
});

test("an operator gets rules to paste, with the reasons, from what clients have given up", async () => {
  const tested = await slowStory();
  const client = tested.client({ capabilities: INPUT });
  for (let n = 0; n < 10; n += 1) await client.callTool("quick");
  const impatient = Array.from({ length: 12 }, () => {
    const leaving = new AbortController();
    const left = client.callTool("slow", {}, { signal: leaving.signal }).catch(() => "left");
    return { leave: () => leaving.abort(), left };
  });
  await tested.server.arrival("tools/call", 22);
  for (const { leave } of impatient) leave();
  await Promise.all(impatient.map(({ left }) => left));
  await counts(tested, "slow", 12, 12);

  const env = { MCP_TASKGATE_ADMIN: tested.gateway.adminUrl ?? "" };
  const { code, stdout } = await run(["suggest"], env);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^# from the calls counted since 2.*Z, at gateway \S+; /);
  expect(stdout).toMatch(
    /\n +# p50 .*, p95 .*, 12 of 12 calls abandoned at .*: a task at once\n +- \{ match: slow, mode: always \}\n/,
  );
  const day = await run(["suggest", "--since", "24h", "--json"], env);
  expect(JSON.parse(day.stdout)).toMatchObject({
    servers: [
      { name: "tested", rules: expect.arrayContaining([expect.objectContaining({ match: "slow" })]) },
    ],
    yaml: expect.stringContaining("mode: always"),
  });
  for (const since of ["30m", "25h", "soon"])
    expect(await run(["suggest", "--since", since], env)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--since: must be whole hours"),
    });

  const file = join(tmpdir(), `suggested-${process.pid}.yaml`);
  const whole = parse(stdout);
  whole.servers.tested.upstream = { url: "http://127.0.0.1:1/mcp" };
  whole.admin = { port: 9090 };
  await writeFile(file, stringify(whole));
  expect((await run(["check", file])).stdout).toMatch(/^ok: 1 server/);
});

test.each([
  ["hours=0", /^hours must be a whole number of hours from 1 to 24/],
  ["hours=25", /^hours must be/],
  ["since=24h", /^since is no filter; there is hours/],
])("the API says what is wrong with %s", async (query, detail) => {
  const { gateway } = await slowStory();
  const response = await fetch(new URL(`/api/suggestions?${query}`, gateway.adminUrl));
  expect(response.status).toBe(400);
  expect(((await response.json()) as Json).detail).toMatch(detail);
});

describe("the rules", () => {
  const validate = new AjvJsonSchemaValidator().getValidator(jsonSchema());

  test.each([
    [
      "always waits, and mostly takes long",
      "observe",
      calls(40, 41_000),
      "p50 41 s, p95 41 s of 40 calls: a task at once",
      { mode: "always" },
    ],
    [
      "is given up",
      "never",
      [...calls(68, 900), ...calls(12, 60_000, true)],
      "p50 .*, p95 1 min, 12 of 80 calls abandoned at 1 min: a task at once",
      { mode: "always" },
    ],
    [
      "takes long now and then",
      "observe",
      [...calls(80, 100), ...calls(10, 90_000)],
      "p50 .* of 90 calls: a task when it takes long",
      { mode: "auto" },
    ],
    [
      "takes a while",
      "observe",
      calls(20, 1_900),
      "p50 1.9 s, p95 1.9 s of 20 calls: nearly all are answered directly within 2s",
      { mode: "auto", waitFor: "2s" },
    ],
    [
      "takes a while, and clients without tasks are refused",
      "required",
      calls(20, 1_900),
      "p50 .*: nearly all are answered directly within 2s",
      { mode: "required", waitFor: "2s" },
    ],
    [
      "is quick, and always a task",
      "always",
      calls(20, 20),
      "p50 20 ms, p95 20 ms of 20 calls: a task when it takes long",
      { mode: "auto" },
    ],
  ] as const)("for a tool that %s", (_, mode, all, reason, rule) => {
    const { servers, yaml } = suggested({ render: all }, mode);
    expect(servers[0]?.rules).toEqual([
      { match: "render", reason: expect.stringMatching(`^${reason}$`), ...rule },
    ]);
    expect(servers[0]?.tools).toMatchObject([{ tool: "render", mode, calls: all.length, verdict: "rule" }]);
    const document = parse(yaml);
    document.servers.reports.upstream = { url: "http://127.0.0.1:1/mcp" };
    expect(validate(document)).toMatchObject({ valid: true });
    expect(parseConfig(stringify(document), {}).config.servers[0]?.tools).toMatchObject([
      { match: "render", mode: rule.mode },
    ]);
  });

  test.each([
    ["is quick", "observe", calls(50, 20), "fits", "observe fits"],
    ["is quick, with waitFor", "auto", calls(50, 200), "fits", "auto fits"],
    ["is slow, and a task", "required", calls(50, 90_000), "fits", "required fits"],
    [
      "was always a task, and takes long now and then",
      "always",
      [...calls(50, 20), ...calls(10, 90_000)],
      "fits",
      "always fits",
    ],
    ["was left before anything could be a task", "observe", calls(50, 20, true), "fits", "observe fits"],
    ["was called a few times", "never", calls(9, 90_000), "not enough seen", "not enough seen"],
  ] as const)("are none for a tool that %s", (_, mode, all, verdict, text) => {
    const { servers, yaml } = suggested({ render: all }, mode);
    expect(servers[0]).toMatchObject({ rules: [], tools: [{ verdict }] });
    expect(yaml).toMatch(/^# no rule to suggest from the calls counted since/);
    expect(yaml).toMatch(new RegExp(`^# reports: render: p50 .*: ${text}$`, "m"));
    expect(parse(yaml)).toBeNull();
  });

  test("are one for tools whose first word is the same, if all of them need the same", () => {
    const slow = calls(20, 41_000);
    const match = (tools: Record<string, readonly Counted[]>) =>
      suggested(tools, "observe").servers[0]?.rules.map((rule) => rule.match);
    expect(match({ render_video: slow, render_page: slow, find: calls(20, 5) })).toEqual(["render_*"]);
    expect(match({ render_video: slow, render_page: slow, render_icon: calls(20, 5) })).toEqual([
      "render_video",
      "render_page",
    ]);
    expect(match({ render_video: slow, renderer: slow })).toEqual(["render_video", "renderer"]);
    const { servers } = suggested({ "render-a": slow, "render-b": calls(5, 41_000) }, "observe");
    expect(servers[0]?.rules).toMatchObject([
      { match: "render-a", reason: expect.stringContaining("of 20 calls") },
    ]);
  });

  test("cannot be written by a server", () => {
    const evil = "x*\nlisten: { port: 1 }\r\n# \u0085\u2028servers: {}";
    const { yaml } = suggested({ [evil]: calls(20, 41_000), [`${evil}2`]: calls(2, 1) }, "observe");
    const document = parse(yaml);
    document.servers.reports.upstream = { url: "http://127.0.0.1:1/mcp" };
    const { config } = parseConfig(stringify(document), {});
    expect(config.listen.port).toBe(8080);
    const [server] = config.servers;
    expect(policyOf(server as ServerConfig)(evil).mode).toBe("always");
    expect(policyOf(server as ServerConfig)("xy").mode).toBe("auto");
  });

  test("are none for what the server does not list", () => {
    const { servers } = suggested({ "not listed": calls(50, 90_000) }, "observe", []);
    expect(servers[0]).toMatchObject({ rules: [], tools: [{ tool: "_other", verdict: "not listed" }] });
  });
});

interface Counted {
  readonly ms: number;
  readonly isAbandoned: boolean;
}

function calls(count: number, ms: number, isAbandoned = false): readonly Counted[] {
  return Array.from({ length: count }, () => ({ ms, isAbandoned }));
}

function suggested(
  tools: Readonly<Record<string, readonly Counted[]>>,
  mode: TaskMode,
  listed: readonly string[] = Object.keys(tools),
) {
  let now = 0;
  const servers = [{ name: "reports", lists: (tool: string) => listed.includes(tool) }];
  const counted = new CallCounts({ servers: () => servers, now: () => now });
  for (const [name, all] of Object.entries(tools)) {
    for (const { ms, isAbandoned } of all) {
      const params: JsonObject = { name };
      const call = counted.begin("reports", { method: "tools/call", params });
      call?.sent();
      now += ms;
      call?.end(isAbandoned ? "abandoned" : "answered");
    }
  }
  const policy = () => ({ mode, waitForMs: 250 });
  const route = { config: { name: "reports" }, policy } as unknown as Route;
  return suggestionsOf({ routes: [route], count: counted.count(), now: now + 1_000, replica: "me" });
}
