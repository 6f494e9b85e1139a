/** `--call`: one call, what it brings, and what that suggests. */

import { describe, expect, onTestFinished, test } from "vitest";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";
import { modernTwin } from "../differential/twins.ts";
import { everything } from "../peers/peers.ts";
import { type Script, startScriptedServer } from "../support/scripted-server.ts";
import { served } from "../wire/served.ts";
import { complaintsOf, factsOf, fileOf } from "./inspected.ts";

async function scripted(call: Script) {
  const server = await startScriptedServer({ "tools/call": call });
  onTestFinished(server.close);
  return server;
}

const CALL = { call: "anything" };

test("a call that reports and asks is told with everything, and everything it asks is turned down", async () => {
  const answers: unknown[] = [];
  const server = await scripted(async (call) => {
    const stream = call.sse();
    const { progressToken } = (call.message.params?._meta ?? {}) as JsonObject;
    stream.notify("notifications/progress", { progressToken, progress: 1, message: "half way" });
    for (const [method, params] of [
      ["elicitation/create", { message: "Really?" }],
      ["sampling/createMessage", { messages: [] }],
      ["roots/list", {}],
      ["x-vendor/ask", {}],
    ] as const)
      answers.push(await stream.ask(method, params));
    stream.event(call.answer({ content: [{ type: "text", text: "done" }] }));
    call.response.end();
  });
  const { call } = await factsOf(server.url, { ...CALL, args: '{"a":1}' });
  expect(answers).toMatchObject([
    { result: { action: "decline" } },
    { error: { code: -1 } },
    { result: { roots: [] } },
    { error: { code: -32601 } },
  ]);
  const asked = { afterMs: expect.any(Number) };
  expect(call).toEqual({
    tool: "anything",
    acceptedMs: expect.any(Number),
    firstWordMs: expect.any(Number),
    progress: { count: 1, last: "half way" },
    questions: [
      { ...asked, method: "elicitation/create", message: "Really?", answer: "declined" },
      { ...asked, method: "sampling/createMessage", answer: "rejected" },
      { ...asked, method: "roots/list", answer: "told that there are none" },
      { ...asked, method: "x-vendor/ask", answer: "not understood" },
    ],
    endedMs: expect.any(Number),
    end: { kind: "result", bytes: 43, isError: false, text: "done" },
  });
  expect((await server.arrival("tools/call")).message.params).toMatchObject({
    name: "anything",
    arguments: { a: 1 },
  });
  expect(server.received.filter(({ method }) => method === "tools/call")).toHaveLength(1);
});

test.each<[string, Script, object]>([
  [
    "an error of the tool",
    (call) => call.json({ content: [], isError: true }),
    { kind: "result", isError: true },
  ],
  [
    "an error of the server",
    (call) => call.error(-32602, "no"),
    { kind: "error", code: -32602, message: "no" },
  ],
  [
    "a stream without an answer",
    (call) => void call.sse().end(),
    { kind: "failed", message: /without an answer/ },
  ],
  ["a refusal", (call) => call.reply(500, "<html>"), { kind: "failed", message: /HTTP 500: an HTML page/ }],
])("a call that ends with %s is told so", async (_, script, end) => {
  const server = await scripted(script);
  const { call } = await factsOf(server.url, CALL);
  const expected = Object.entries(end).map(([key, value]) => [
    key,
    value instanceof RegExp ? expect.stringMatching(value) : value,
  ]);
  expect(call?.end).toMatchObject(Object.fromEntries(expected));
});

test("a call that takes too long is cancelled, and what becomes of it is told", async () => {
  const server = await scripted((call) => void call.sse());
  const { call } = await factsOf(server.url, { ...CALL, "call-timeout": "300ms" });
  expect(call?.end).toEqual({ kind: "late" });
  expect((await server.arrival("notifications/cancelled")).message.params).toMatchObject({
    requestId: (await server.arrival("tools/call")).message.id,
  });
});

test("a call of a modern server is measured, with its arguments mirrored", async () => {
  const { call } = await factsOf(await modernTwin(), { call: "mirror", args: '{"region":"nörd"}' });
  expect(call?.end).toMatchObject({ kind: "result", isError: false, text: "nörd" });
});

test("a modern server that asks is not answered", async () => {
  const elicitation = { method: "elicitation/create", params: { message: "Which?" } };
  const url = await served(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { id, method } = JSON.parse(Buffer.concat(chunks).toString());
    const results: Record<string, unknown> = {
      "server/discover": {
        resultType: "complete",
        supportedVersions: ["2026-07-28"],
        capabilities: { tools: {} },
      },
      "tools/list": { tools: [{ name: "asks", inputSchema: { type: "object" } }] },
      "tools/call": { resultType: "input_required", inputRequests: { one: elicitation }, requestState: "s" },
    };
    const result = results[method];
    const answer =
      result === undefined ? { error: { code: -32601, message: "Method not found" } } : { result };
    response.writeHead(result === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
  });
  const { call, legacy } = await factsOf(url, { call: "asks" });
  expect(legacy).toBeUndefined();
  expect(call).toMatchObject({
    end: { kind: "asks" },
    questions: [{ method: "elicitation/create", message: "Which?", answer: "left unanswered" }],
  });
});

test("a call of a modern server that takes too long is told as such", async () => {
  const url = await served(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { id, method } = JSON.parse(Buffer.concat(chunks).toString());
    if (method === "tools/call") return;
    const result = {
      resultType: "complete",
      supportedVersions: ["2026-07-28"],
      capabilities: { tools: {} },
      tools: [{ name: "slow", inputSchema: { type: "object" } }],
    };
    const isKnown = method === "server/discover" || method === "tools/list";
    const answer = isKnown ? { result } : { error: { code: -32601, message: "Method not found" } };
    response.writeHead(isKnown ? 200 : 404, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
  });
  const { call } = await factsOf(url, { call: "slow", "call-timeout": "300ms" });
  expect(call?.end).toEqual({ kind: "late" });
});

test("a call over stdio is measured, and its duration is in the file", async () => {
  const command = [process.execPath, everything("2025.12.18", "stdio")];
  const flags = { call: "longRunningOperation", args: '{"duration":1,"steps":2}' };
  const { text, server } = await fileOf(command, flags);
  expect(server.tools).toMatchObject([{ match: "longRunningOperation", mode: "auto" }]);
  expect(server.tools[0]?.waitForMs).toBeGreaterThanOrEqual(2_000);
  expect(text).toMatch(/# one call took 1\d{3} ms/);
  expect(text).toMatch(/# progress +\d notifications?/);
});

describe("a call that cannot be made is refused with exit code 2", () => {
  test("because there is no such tool", async () => {
    const server = await scripted((call) => call.text("never"));
    const { code, said } = await complaintsOf(server.url, { call: "nothing" });
    expect(said).toBe('error: --call: there is no tool "nothing"; the tools are anything');
    expect(code).toBe(2);
    expect(server.received.map(({ method }) => method)).not.toContain("tools/call");
  });

  test.each<[string, Record<string, unknown>, string]>([
    ["its arguments are no JSON", { ...CALL, args: "{oops" }, "error: --args: must be a JSON object"],
    ["its arguments are a list", { ...CALL, args: "[1]" }, "error: --args: must be a JSON object"],
    ["there are arguments without a tool", { args: "{}" }, "error: --args: goes with --call TOOL"],
    ["there are two tools", { call: ["a", "b"] }, "error: --call: is given more than once"],
    [
      "the time it may take has no unit",
      { ...CALL, "call-timeout": "30" },
      'error: --call-timeout: must be a duration with a unit such as "250ms", "1h" or "2d"',
    ],
  ])("because %s", async (_, flags, complaint) => {
    const { code, said } = await complaintsOf(new URL("http://127.0.0.1:1/mcp"), flags);
    expect(said).toBe(complaint);
    expect(code).toBe(2);
  });
});
