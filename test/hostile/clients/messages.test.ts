/** Messages that are well formed as far as they go, and meant to be too much. */

import { describe, expect, onTestFinished, test } from "vitest";
import { encodeHeaderValue } from "../../../src/protocol/headers.ts";
import { ask } from "../../gateway/transparent/clients.ts";
import { fronted } from "../../http/fronted.ts";
import { asked, served } from "../../http/served.ts";
import { gatewayFor } from "../../support/gateway.ts";
import { LegacyWire } from "../../support/legacy-wire.ts";
import { read } from "../../support/modern-client.ts";
import { startSseServer } from "../../support/sse-server.ts";

const HEADERS = { host: "127.0.0.1", "content-type": "application/json" };
const TOO_LONG = "x".repeat(10_000);

function nested(levels: number): string {
  return `${"[".repeat(levels)}${"]".repeat(levels)}`;
}

describe("what is nested too deep", () => {
  test.for<[what: string, body: string]>([
    ["arrays", nested(129)],
    ["objects", `${'{"a":'.repeat(129)}1${"}".repeat(129)}`],
    [
      "arguments",
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"a":${nested(126)}}}}`,
    ],
    ["what is not closed", "[".repeat(1_000_000)],
    ["what follows a text with a quotation mark", `["\\"",${nested(128)}]`],
    ["what follows a text that ends in a backslash", `["\\\\",${nested(128)}]`],
    ["a batch", `[{"jsonrpc":"2.0","id":1,"method":"x","params":${nested(127)}}]`],
  ])("is refused and reaches no server: %s", async ([, body]) => {
    const { url, reached } = await fronted();
    const answer = await ask(url, { method: "POST", path: "/mcp", headers: HEADERS, body });
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.body.toString())).toMatchObject({
      jsonrpc: "2.0",
      id: null,
      error: { code: -32600, message: expect.stringContaining("limits.maxDepth") },
    });
    expect(reached()).toEqual([]);
  });

  test.for<[what: string, body: string]>([
    ["as deep as may be", nested(128)],
    ["wide instead", `{"x":[${"[],".repeat(100_000)}[]]}`],
    ["brackets in a text", JSON.stringify({ text: nested(1_000) })],
    ["brackets behind a quotation mark in a text", JSON.stringify({ text: `"${nested(1_000)}` })],
    ["brackets behind backslashes", JSON.stringify({ text: `\\\\"\\${nested(1_000)}` })],
  ])("and what is not is passed on: %s", async ([, body]) => {
    const { url, reached } = await fronted();
    const answer = await ask(url, { method: "POST", path: "/mcp", headers: HEADERS, body });
    expect(answer.status).toBe(200);
    expect(reached()).toHaveLength(1);
  });

  test("is refused by the setting", async () => {
    const { url } = await fronted({ limits: { maxDepth: 3 } });
    const send = async (body: string) =>
      (await ask(url, { method: "POST", path: "/mcp", headers: HEADERS, body })).status;
    expect([await send(nested(3)), await send(nested(4))]).toEqual([200, 400]);
  });

  test("is refused in a session that is paired, which goes on", async () => {
    const server = await startSseServer();
    onTestFinished(server.close);
    const { url } = await gatewayFor({ upstream: server.url, transport: "sse" });
    const user = await LegacyWire.connect(url, { version: "2024-11-05" });
    const { status, message } = await user.post(`{"jsonrpc":"2.0","id":7,"x":${nested(200)}}`).answer;
    expect([status, message.error.code]).toEqual([400, -32600]);
    expect(await user.result("tools/list")).toHaveProperty("tools");
  });
});

describe("ids", () => {
  test.for<[what: string, id: unknown]>([
    ["ten thousand letters", TOO_LONG],
    ["a fraction", 1.5],
    ["a number that is not exact", 1e308],
    ["null", null],
    ["true", true],
    ["an object", { id: 1 }],
    ["a list", [1]],
  ])("of a modern request that are none are refused without being repeated: %s", async ([, id]) => {
    const { client, server } = await served();
    const { status, message } = await client().send("tools/list", {}, { id });
    expect(status).toBe(400);
    expect(message).toMatchObject({ id: null, error: { code: -32600 } });
    expect(asked(server)).toEqual([]);
  });

  test.for<[what: string, id: unknown]>([
    ["none", ""],
    ["zero", 0],
    ["below zero", -1],
    ["the largest", Number.MAX_SAFE_INTEGER],
    ["a thousand letters", "\u2028".repeat(1_024)],
    ["a name that objects have", "__proto__"],
    ["half a character", "\ud800"],
  ])("of a modern request come back as they are: %s", async ([, id]) => {
    const { client } = await served();
    expect((await client().send("tools/list", {}, { id })).message).toMatchObject({ id, result: {} });
  });

  test("of a paired session's are refused as well", async () => {
    const server = await startSseServer();
    onTestFinished(server.close);
    const { url } = await gatewayFor({ upstream: server.url, transport: "sse" });
    const user = await LegacyWire.connect(url, { version: "2024-11-05" });
    for (const id of [TOO_LONG, 1.5, true, null, {}]) {
      const { status, message } = await user.send("tools/list", {}, { id });
      expect([status, message]).toMatchObject([400, { id: null, error: { code: -32600 } }]);
    }
    expect(server.received.filter(({ method }) => method === "tools/list")).toEqual([]);
  });
});

test.for<[what: string, method: string, meta: object]>([
  ["a method", `notifications/${TOO_LONG}`, {}],
  ["a method that was once one", "tasks/result", {}],
  ["a revision", "tools/list", { "io.modelcontextprotocol/protocolVersion": TOO_LONG }],
])("%s that is refused is not told back in all its length", async ([, method, meta]) => {
  const { client } = await served();
  const version = (meta as Record<string, string>)["io.modelcontextprotocol/protocolVersion"];
  const headers = { "mcp-protocol-version": version ?? "2026-07-28", "mcp-method": method };
  const { text, message } = await client().send(method, {}, { meta: { ...meta }, headers });
  expect(message.error.code).toEqual(expect.any(Number));
  expect(text.length).toBeLessThan(1_000);
});

describe("numbers and texts that JSON knows and others do not", () => {
  test.for<[what: string, args: string]>([
    ["beyond all bounds", '{"a":1e999,"b":-1e999}'],
    ["below zero and nothing", '{"a":-0}'],
    ["twice the same key", '{"a":1,"a":2}'],
    ["half a character", '{"a":"\\ud800","\\udc00":1}'],
    ["a zero byte", '{"a":"\\u0000","\\u0000":1}'],
    ["a list of a hundred thousand", `{"a":[${"0,".repeat(100_000)}0]}`],
    ["a key of a hundred thousand letters", `{"${"k".repeat(100_000)}":1}`],
    ["fifty thousand keys", `{${Array.from({ length: 50_000 }, (_, at) => `"k${at}":0`).join(",")}}`],
  ])("%s", async ([, args]) => {
    const { client, server } = await served({ scripts: { "tools/call": (call) => call.text("done") } });
    const user = client();
    const response = await user.open("tools/call", { name: "t", arguments: {} });
    expect(response.statusCode).toBe(200);
    await response.body.dump();
    const template = JSON.stringify((await server.arrival("tools/call")).message.params);
    expect(template).toContain('"arguments":{}');
    const meta = {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientInfo": { name: "t", version: "0" },
      "io.modelcontextprotocol/clientCapabilities": {},
    };
    const params = `{"name":"t","arguments":${args},"_meta":${JSON.stringify(meta)}}`;
    const answer = await read(
      await user.post(`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":${params}}`, {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "t",
      }),
    );
    expect(answer.message).toMatchObject({ id: 9, result: { content: [{ text: "done" }] } });
    const { message } = await server.arrival("tools/call", 2);
    expect(message.params?.arguments).toEqual(JSON.parse(args));
  });
});

test("a task id of any form names no other key of the store, and is as unknown as any", async () => {
  const { client } = await served({
    scripts: { "tools/call": (call) => call.text("done") },
    policy: { mode: "always" },
  });
  const user = client();
  const { taskId } = await user.callTool("t");
  await user.settled(taskId);
  const unknown = (await user.send("tasks/get", { taskId: "A".repeat(24) })).message.error;
  const forms = [
    ...["", ":", "../", "*", "__proto__", "constructor", "\0", "\ud83d\ude00"],
    ...["task:", "end:", "own:", "taskgate:task:", "./"].map((before) => before + taskId),
    ...[":1", ":name", "\n", " ", "/", "%00", "?"].map((after) => taskId + after),
    taskId.toLowerCase() + taskId.toUpperCase(),
  ];
  for (const form of forms)
    for (const method of ["tasks/get", "tasks/cancel", "tasks/update"]) {
      const headers = { "mcp-name": encodeHeaderValue(form) };
      const { message } = await user.send(method, { taskId: form, inputResponses: {} }, { headers });
      expect(message.error, JSON.stringify([method, form])).toEqual(unknown);
    }
  expect(await user.task(taskId)).toMatchObject({ status: "completed" });
});
