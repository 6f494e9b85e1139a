/** What facts suggest, without a server. */

import { describe, expect, test } from "vitest";
import { policyOf } from "../../src/calls/policy.ts";
import { parseConfig } from "../../src/config/load.ts";
import type { CallFacts, Facts, LegacyFacts, ToolFacts } from "../../src/inspect/facts.ts";
import { report } from "../../src/inspect/report.ts";
import { nameOf, suggest, suggestRules } from "../../src/inspect/suggestion.ts";

const LEGACY: LegacyFacts = { protocolVersion: "2025-06-18", versions: [], answersPing: true };

const FACTS: Facts = {
  target: "http://a.example/mcp",
  transport: "streamable-http",
  server: { capabilities: {} },
  legacy: LEGACY,
  listed: { tools: [], problems: [] },
  remarks: [],
};

const withTools = (...tools: readonly ToolFacts[]): Facts => ({ ...FACTS, listed: { tools, problems: [] } });

const RESULT = { kind: "result", bytes: 10, isError: false } as const;
const CALL: CallFacts = { tool: "slow", progress: { count: 0 }, questions: [], endedMs: 100, end: RESULT };
const QUESTION = { method: "elicitation/create", answer: "declined", afterMs: 1 };

describe("rules", () => {
  test.each<[string, ToolFacts, object[]]>([
    ["that says nothing of itself has none", { name: "a" }, []],
    ["that only reads stays at auto", { name: "a", readOnlyHint: true }, [{ match: "a", mode: "auto" }]],
    [
      "that destroys is a task from the start",
      { name: "a", destructiveHint: true },
      [{ match: "a", mode: "always" }],
    ],
    ["that destroys nothing has none", { name: "a", destructiveHint: false }, []],
    ["that may be repeated has none", { name: "a", destructiveHint: true, idempotentHint: true }, []],
    [
      "that only reads destroys nothing, whatever it says",
      { name: "a", readOnlyHint: true, destructiveHint: true },
      [{ match: "a", mode: "auto" }],
    ],
  ])("a tool %s", (_, tool, rules) => {
    expect(suggestRules(withTools(tool))).toMatchObject(rules);
    expect(suggestRules(withTools(tool))).toHaveLength(rules.length);
  });

  test.each<[string, Partial<CallFacts>, object[]]>([
    ["is quick is answered directly", {}, [{ mode: "auto" }]],
    ["takes a while is waited for twice as long", { endedMs: 1_300 }, [{ mode: "auto", waitFor: "3s" }]],
    ["takes long is left to auto", { endedMs: 20_000 }, [{ mode: "auto" }]],
    ["takes longer than clients wait needs tasks", { endedMs: 55_000 }, [{ mode: "required" }]],
    ["does not end needs tasks", { end: { kind: "late" } }, [{ mode: "required" }]],
    ["fails says nothing", { end: { ...RESULT, isError: true } }, []],
    ["breaks says nothing", { end: { kind: "failed", message: "x" } }, []],
    ["was not answered says nothing", { questions: [QUESTION] }, []],
  ])("a call that %s", (_, call, rules) => {
    const found = suggestRules({ ...FACTS, call: { ...CALL, ...call } });
    expect(found).toMatchObject(rules.map((rule) => ({ match: "slow", ...rule })));
    expect(found).toHaveLength(rules.length);
  });

  test("what was measured comes before what a tool says of itself", () => {
    const facts = { ...withTools({ name: "slow", destructiveHint: true }), call: CALL };
    expect(suggestRules(facts)).toMatchObject([{ match: "slow", mode: "auto" }]);
  });

  test.each(["a*", "a?c", "[ab]", "{a,b}", "!a", "a(b)", "+(a)", "back\\slash", "@(x|y)"])(
    "%s is matched by its rule, and nothing else is",
    (name) => {
      const facts = withTools({ name, destructiveHint: true });
      const { server } = parsed(facts);
      const policy = policyOf(server);
      expect(policy(name).mode).toBe("always");
      for (const other of ["a", "b", "abc", "ax", "x", "z"]) expect(policy(other).mode).toBe("auto");
    },
  );
});

describe("the file", () => {
  test.each([
    ["example-servers/everything", "everything"],
    ["My Reports (v2)", "my-reports-v2"],
    ["@scope/pkg.name", "pkg-name"],
    ["", "server"],
    ["日本語", "server"],
    ["health", "health-server"],
    ["x".repeat(100), "x".repeat(64)],
    ["_-_", "server"],
  ])("calls a server %j %s", (name, expected) => {
    const facts = { ...FACTS, server: { name, capabilities: {} } };
    expect(nameOf(facts)).toBe(expected);
    expect(parsed(facts).server.name).toBe(expected);
  });

  test.each<[LegacyFacts["secondSession"], string]>([
    [undefined, "lease"],
    [{ outcome: "works" }, "lease"],
    [{ outcome: "refused", reason: "x" }, "single"],
    [{ outcome: "ends the first", reason: "x" }, "single"],
    [{ outcome: "fatal", reason: "x" }, "single"],
  ])("has the sessions that the server can have: %j → %s", (secondSession, sessions) => {
    const legacy = secondSession === undefined ? LEGACY : { ...LEGACY, secondSession };
    expect(parsed({ ...FACTS, legacy }).server.upstream.sessions).toBe(sessions);
  });

  test.each([
    [{ "X-Key": "in the open" }, true],
    [{ "X-Key": `$\{KEY}` }, false],
  ])("says where a secret had better be: %j", (headers, isSaid) => {
    const text = suggest(FACTS, { url: FACTS.target, headers }, []);
    expect(text.includes("better taken from the environment")).toBe(isSaid);
  });

  test("leaves the tasks of a server that has its own to it", () => {
    const facts = {
      ...withTools({ name: "a", readOnlyHint: true }),
      modern: { versions: ["2026-07-28"], hasTasks: true },
    };
    const { text, server } = parsed(facts);
    expect(server.tools).toEqual([]);
    expect(text).toMatch(/# tasks +are its own/);
    expect(text).not.toContain("mode:");
  });

  test("says nothing that holds without it", () => {
    const { text, server } = parsed({ ...withTools({ name: "a", readOnlyHint: true }), call: CALL });
    expect(server.tools).toEqual([]);
    expect(text).not.toMatch(/^ *(?:tasks|tools|- .*auto|mode):?/m);
  });

  test("gives a slow starter time", () => {
    const facts = { ...FACTS, transport: "stdio", legacy: { ...LEGACY, startMs: 20_000 } } as const;
    expect(parsed(facts, { command: "npx" }).server.upstream.startTimeoutMs).toBe(60_000);
  });

  test("cannot be written to by a server", () => {
    const evil = "x\nlisten: { port: 1 }\r\n# \u0085\u2028servers: {}";
    const facts: Facts = {
      ...withTools({ name: evil, destructiveHint: true, taskSupport: evil }),
      server: { name: evil, version: evil, instructions: evil, capabilities: { [evil]: { [evil]: 1 } } },
      call: {
        ...CALL,
        tool: evil,
        questions: [{ ...QUESTION, method: evil, message: evil }],
        end: { ...RESULT, text: evil },
      },
      remarks: [evil],
    };
    const { config, server, text } = parsed(facts);
    expect(config.listen.port).toBe(8080);
    expect(server.tools.map(({ match }) => match.replaceAll("\\", ""))).toEqual([evil]);
    expect(text.split("\n").filter((line) => line.startsWith("listen"))).toEqual([]);
  });

  test("keeps what looks like a variable of the environment in a command's words", () => {
    const upstream = { command: "node", args: ["$${HOME}", "# no comment"] };
    expect(parsed({ ...FACTS, transport: "stdio" }, upstream).server.upstream).toMatchObject({
      args: ["${" + "HOME}", "# no comment"],
    });
  });
});

function parsed(facts: Facts, upstream: object = { url: facts.target, headers: {}, forwardHeaders: [] }) {
  const text = suggest(facts, { ...upstream }, report(facts));
  const { config, warnings } = parseConfig(text, {});
  expect(warnings).toEqual([]);
  const [server] = config.servers;
  if (server === undefined) throw new Error("no server");
  return { text, config, server };
}
