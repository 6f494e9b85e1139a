import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { expect, onTestFinished, test } from "vitest";
import { type Script, type ScriptedServer, startScriptedServer } from "./scripted-server.ts";

test("an unscripted server is one that a client of the SDK can use", async () => {
  const server = await scripted({});
  const client = await connected(server);

  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(["anything"]);
  await expect(client.callTool({ name: "anything" })).rejects.toThrow("no script for tools/call");
  expect((await server.stream()).isOpen).toBe(true);
  expect(server.received.map(({ method }) => method)).toEqual(
    expect.arrayContaining(["initialize", "notifications/initialized", "GET", "tools/list", "tools/call"]),
  );
});

test("a script asks the client on the stream of the call, and on the GET stream, with an id of 0", async () => {
  const server = await scripted({
    "tools/call": async (call) => {
      const stream = call.sse();
      const params = { message: "?", requestedSchema: { type: "object", properties: {} } };
      const here = await stream.ask("elicitation/create", params, 0);
      const there = await (await server.stream(call.session)).ask("elicitation/create", params);
      stream.event(call.answer({ content: [], structuredContent: { here, there } }));
      stream.end();
    },
  });
  const client = await connected(server);
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: "decline" }));

  await server.stream();
  const result = await client.callTool({ name: "anything" });
  expect(result.structuredContent).toMatchObject({
    here: { id: 0, result: { action: "decline" } },
    there: { id: "asked-2", result: { action: "decline" } },
  });
  expect(server.received.filter(({ method }) => method === "answer")).toHaveLength(2);
});

test("a script sees the cancellation of its call, and how many requests are open", async () => {
  const server = await scripted({
    "tools/call": async (call) => {
      const stream = call.sse();
      stream.event(call.answer({ content: [{ type: "text", text: String(await call.cancelled) }] }));
      stream.end();
    },
  });
  const client = await connected(server);
  await server.stream();
  const abort = new AbortController();
  const call = client.callTool({ name: "anything" }, undefined, { signal: abort.signal });
  await server.arrival("tools/call");
  expect(server.pending).toBe(2);
  abort.abort("enough");

  await expect(call).rejects.toThrow("enough");
  await server.arrival("notifications/cancelled");
  await server.until(() => server.pending === 1, "the call's request to end");
});

test("a session that was lost is refused with the status of the options", async () => {
  const server = await scripted({}, { lostStatus: 400 });
  const client = await connected(server);
  server.sessions.clear();

  await expect(client.listTools()).rejects.toMatchObject({ code: 400 });
});

test("a stateless server hands out no session id", async () => {
  const server = await scripted({}, { stateless: true, protocolVersion: "2025-03-26" });
  const transport = new StreamableHTTPClientTransport(server.url);
  await connected(server, transport);

  expect(transport.sessionId).toBeUndefined();
  expect(transport.protocolVersion).toBe("2025-03-26");
  expect([...server.sessions.keys()]).toEqual([undefined]);
});

test("a connection can be cut before, and in the middle of, an answer", async () => {
  const server = await scripted(
    { before: (call) => call.cut(), within: (call) => call.sse().raw("data: {").cut() },
    { stateless: true },
  );
  await expect(post(server, "before")).rejects.toThrow("fetch failed");

  const reader = (await post(server, "within")).body?.getReader();
  expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe("data: {");
  await expect(reader?.read()).rejects.toThrow("terminated");
});

test("an answer that is written twice, or to nobody, does no harm", async () => {
  const server = await scripted(
    {
      twice: (call) => {
        call.json({});
        call.response.write("more");
      },
      late: async (call) => {
        const stream = call.sse();
        await stream.closed;
        stream.event(call.answer({}));
      },
    },
    { stateless: true },
  );
  expect(await (await post(server, "twice")).json()).toEqual({ jsonrpc: "2.0", id: 1, result: {} });
  await (await post(server, "late")).body?.cancel();
  await server.until(() => server.pending === 0, "both requests to end");
});

test("what a script throws comes out when the server is closed", async () => {
  const server = await startScriptedServer(
    {
      "tools/call": () => {
        throw new Error("the script is wrong");
      },
    },
    { stateless: true },
  );
  await expect(post(server, "tools/call")).rejects.toThrow("fetch failed");
  await expect(server.close()).rejects.toThrow("the script is wrong");
});

async function scripted(
  scripts: Record<string, Script>,
  options?: Parameters<typeof startScriptedServer>[1],
): Promise<ScriptedServer> {
  const server = await startScriptedServer(scripts, options);
  onTestFinished(server.close);
  return server;
}

async function connected(
  server: ScriptedServer,
  transport = new StreamableHTTPClientTransport(server.url),
): Promise<Client> {
  const client = new Client({ name: "test", version: "1" }, { capabilities: { elicitation: {} } });
  await client.connect(transport as Transport);
  onTestFinished(() => client.close());
  return client;
}

const post = (server: ScriptedServer, method: string): Promise<Response> =>
  fetch(server.url, { method: "POST", body: JSON.stringify({ jsonrpc: "2.0", id: 1, method }) });
