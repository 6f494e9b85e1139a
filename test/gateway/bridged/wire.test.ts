/** Clients of older revisions, message by message, before a server that speaks only 2026-07-28. */

import { describe, expect, onTestFinished, test } from "vitest";
import type { JsonObject } from "../../../src/protocol/jsonrpc.ts";
import { startDoorkeeper } from "../../support/doorkeeper.ts";
import { type GatewaySettings, gatewayFor } from "../../support/gateway.ts";
import { LegacyWire, relatedTask } from "../../support/legacy-wire.ts";
import { startModernOnly } from "../../support/modern-only.ts";
import { modernScripts, modernStory, STATELESS, said } from "../../support/modern-server.ts";
import { startScriptedServer } from "../../support/scripted-server.ts";
import { accept, count, story, textOf } from "../../support/story.ts";
import { follow, plainly, SOON } from "../fallback/model.ts";

async function before(settings: Omit<GatewaySettings, "upstream"> = {}) {
  const server = await startModernOnly();
  onTestFinished(server.close);
  return { server, ...(await gatewayFor({ upstream: server.url, ...settings })) };
}

const CAPABILITIES = { elicitation: {}, sampling: {}, roots: { listChanged: true }, tasks: { cancel: {} } };

describe.each(["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])("a client of %s", (version) => {
  test("is told what the server is, and nothing that its revision has not", async () => {
    const { url, server } = await before();
    const client = await LegacyWire.connect(url, { version, capabilities: CAPABILITIES });
    const { tasks, ...capabilities } = client.initialized.capabilities;
    expect({ ...client.initialized, capabilities }).toEqual({
      protocolVersion: version,
      capabilities: {
        logging: {},
        completions: {},
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { listChanged: true, subscribe: true },
      },
      serverInfo: { name: "modern-only", version: "2.4.0" },
      instructions: "Be brief.",
    });
    expect(tasks !== undefined).toBe(version === "2025-11-25");
    const list = await client.result("tools/list");
    expect(Object.keys(list)).toEqual(["tools"]);
    const schemas = list.tools.map(({ name, outputSchema }: JsonObject) => [
      name,
      outputSchema !== undefined,
    ]);
    expect(schemas).toContainEqual(["count", false]);
    expect(schemas).toContainEqual(["measure", true]);
    expect(await client.result("tools/call", { name: "echo", arguments: { message: "é" } })).toEqual({
      content: [{ type: "text", text: "é" }],
    });
    await client.result("tools/call", { name: "measure" });
    expect(server.envelope).toEqual({
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientInfo": {
        name: "wire",
        version: "0",
        title: expect.stringMatching(/^wire \(via mcp-taskgate /),
      },
      "io.modelcontextprotocol/clientCapabilities": { elicitation: { form: {} }, roots: {}, sampling: {} },
    });
  });
});

test("clients that come all at once, before the gateway knows the server, are all served", async () => {
  const { url } = await before();
  const clients = await Promise.all(Array.from({ length: 24 }, () => LegacyWire.connect(url)));
  for (const client of clients) expect(await client.result("ping")).toEqual({});
});

test("a page to visit has the id that clients of 2025-11-25 need", async () => {
  const { url } = await before();
  const client = await LegacyWire.connect(url);
  const call = client.open("tools/call", { name: "visit" });
  const question = await call.heard("elicitation/create");
  expect(question.params).toEqual({
    mode: "url",
    message: "Log in",
    url: "https://example.com/login",
    elicitationId: expect.any(String),
  });
  await client.respond(question.id, { result: { action: "accept" } });
  expect((await call.answer).message.result).toEqual({
    content: [{ type: "text", text: '{"action":"accept"}' }],
  });
});

test("a question is taken back when its call is cancelled", async () => {
  const { url } = await before();
  const client = await LegacyWire.connect(url);
  const stream = await client.listen();
  const call = client.open("tools/call", { name: "form" }, { id: "mine" });
  const { id } = await call.heard("elicitation/create");
  await client.notify("notifications/cancelled", { requestId: "mine" });
  expect((await stream.heard("notifications/cancelled")).params).toEqual({ requestId: id });
});

test("an answer with an error ends the call, and says so", async () => {
  const { url } = await before();
  const client = await LegacyWire.connect(url);
  const call = client.open("tools/call", { name: "roots" });
  const { id } = await call.heard("roots/list");
  await client.respond(id, { error: { code: -32601, message: "no roots here" } });
  expect((await call.answer).message.error.message).toMatch(/roots\/list.*no roots here/);
});

test("what the server does not offer, and what makes no sense, is refused by name", async () => {
  const { url } = await modernStory({});
  const client = await LegacyWire.connect(url);
  expect(await client.error("resources/subscribe", { uri: "a://b" })).toMatchObject({ code: -32601 });
  expect(await client.error("logging/setLevel", { level: "loud" })).toMatchObject({
    code: -32602,
    message: expect.stringContaining("level must be"),
  });
  const other = await LegacyWire.connect((await before()).url);
  expect(await other.error("resources/subscribe", { uri: 1 })).toMatchObject({
    code: -32602,
    message: expect.stringContaining("uri must be a string"),
  });
  expect(await other.error("resources/subscribe", { uri: "x".repeat(70_000) })).toMatchObject({
    code: -32602,
    message: expect.stringContaining("65536 characters"),
  });
  expect(await other.error("vendor/unknown")).toMatchObject({ code: -32601 });
});

test("calls become tasks of 2025-11-25, and each asks its own questions", async () => {
  const { url, server } = await before({ policy: { mode: "always" } });
  const client = await LegacyWire.connect(url);
  const [first, second] = [await client.begin("form"), await client.begin("sample")];
  for (const { taskId } of [first, second]) await client.taskThat(taskId, "input_required");
  const answer = async (taskId: string, method: string, result: JsonObject) => {
    const waiting = client.open("tasks/result", { taskId });
    const question = await waiting.heard(method);
    expect(relatedTask(question)).toEqual({ taskId });
    await client.respond(question.id, { result });
    return (await waiting.answer).message.result;
  };
  expect(
    await answer(second.taskId, "sampling/createMessage", {
      model: "m",
      role: "assistant",
      content: { type: "text", text: "Paris" },
    }),
  ).toMatchObject({ content: [{ text: expect.stringContaining("Paris") }] });
  const named = await answer(first.taskId, "elicitation/create", accept({ name: "Ada" }));
  expect(JSON.parse(textOf(named) ?? "")).toEqual(accept({ name: "Ada" }));
  expect(named.resultType).toBeUndefined();

  const { taskId } = await client.begin("wait");
  await client.taskThat(taskId, "working");
  await expect.poll(() => server.calls).toContain("wait");
  await client.result("tasks/cancel", { taskId });
  await expect.poll(() => server.cancelled).toBe(1);
});

test("a client without tasks gets a long result by the fallback tools", async () => {
  const { url, server } = await before({ policy: SOON });
  const client = await LegacyWire.connect(url, { version: "2025-06-18" });
  const first = await plainly(client).call("slow");
  expect(textOf(first)).toContain("taskgate_result");
  expect(textOf(await follow(plainly(client), first))).toBe("slow, and done");
  expect(server.calls).toEqual(["slow"]);
});

test("a session hears of changes after its server was away", async () => {
  const server = await startModernOnly();
  const { url } = await gatewayFor({ upstream: server.url });
  const client = await LegacyWire.connect(url);
  const stream = await client.listen();
  await server.close();
  const back = await startModernOnly(Number(server.url.port));
  onTestFinished(back.close);
  // Nobody knows what has changed meanwhile.
  await stream.heard("notifications/tools/list_changed");
  expect(textOf(await client.result("tools/call", { name: "echo", arguments: { message: "again" } }))).toBe(
    "again",
  );
});

test("a server of both eras keeps its legacy clients, whatever one of them was refused for", async () => {
  const { url, server, gateway } = await story(
    {
      ...modernScripts(),
      initialize: (call) =>
        call.message.params?.protocolVersion === undefined
          ? call.error(-32602, "no version", { status: 400 })
          : call.json({
              protocolVersion: "2025-11-25",
              capabilities: {},
              serverInfo: { name: "dual", version: "1" },
            }),
      DELETE: (call) => call.reply(200, ""),
    },
    {},
    STATELESS,
  );
  expect(gateway.routes[0]?.description).toBe("modern 2026-07-28");
  const refused = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params: {} }),
  });
  expect([refused.status, await refused.json()]).toMatchObject([400, { error: { message: "no version" } }]);
  const client = await LegacyWire.connect(url);
  expect(client.initialized.serverInfo.name).toBe("dual");
  // The client's twice, and the gateway's own in between.
  expect(count(server, "initialize")).toBe(4);
  expect(server.received.at(-2)?.message.params).toMatchObject({ clientInfo: { name: "wire" } });
});

test("a server that is replaced by one of an older revision gets the next sessions", async () => {
  const told = await modernStory({ "tools/call": (call) => call.json(said("modern")) });
  const client = await LegacyWire.connect(told.url);
  expect(textOf(await client.result("tools/call", { name: "anything" }))).toBe("modern");
  await told.server.close();
  const legacy = await startScriptedServer(
    { "tools/call": (call) => call.text("legacy") },
    { port: Number(told.server.url.port) },
  );
  onTestFinished(legacy.close);
  await expect
    .poll(async () => {
      const next = await LegacyWire.connect(told.url).catch(() => undefined);
      return textOf((await next?.result("tools/call", { name: "anything" })) ?? {});
    })
    .toBe("legacy");
});

test("a credential that the server takes opens a session, and any other is refused as the server does", async () => {
  const server = await startModernOnly();
  onTestFinished(server.close);
  const { url: door } = await startDoorkeeper(server.url, (authorization) => authorization === "Bearer ada");
  const { url } = await gatewayFor({ upstream: door, callers: { identify: "auto" } });
  await expect(LegacyWire.connect(url, { headers: { authorization: "Bearer eve" } })).rejects.toThrow();
  const client = await LegacyWire.connect(url, { headers: { authorization: "Bearer ada" } });
  expect(textOf(await client.result("tools/call", { name: "echo", arguments: { message: "in" } }))).toBe(
    "in",
  );
});
