/** What a legacy client has of a gateway that is about to stop. */

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { request } from "undici";
import { describe, expect, onTestFinished, test } from "vitest";
import { taskgate } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { configFor } from "../support/gateway.ts";
import { read } from "../support/modern-client.ts";
import type { Exchange } from "../support/scripted-exchange.ts";
import { type ScriptedServer, startScriptedServer } from "../support/scripted-server.ts";
import { served } from "./served.ts";

/** Longer than any test: what ends before has not been cut off. */
const PATIENT = { limits: { drainTimeoutMs: 60_000 } };
const CALL = '{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t"}}';

describe("a stream that a session listens on", () => {
  test("ends in good order, though the server would go on", async () => {
    const { url, gateway, server } = await served(PATIENT);
    const { response, session } = await listening(url, server);
    const chunks = response.body[Symbol.asyncIterator]();
    (await server.stream(session)).notify("notifications/x");
    const first = String((await chunks.next()).value);
    const closed = gateway.close();
    expect(first + (await texts(chunks))).toBe('data: {"jsonrpc":"2.0","method":"notifications/x"}\n\n');
    await closed;
    await server.until(() => server.pending === 0, "the server's stream to be let go");
  });

  test("ends when the event that is just passing is complete", async () => {
    const { url, gateway, server } = await served(PATIENT);
    const { response, session } = await listening(url, server);
    const stream = await server.stream(session);
    const chunks = response.body[Symbol.asyncIterator]();
    stream.raw('data: {"half":');
    const first = String((await chunks.next()).value);
    const closed = gateway.close();
    stream.raw("1}\n\n");
    const rest = await texts(chunks);
    expect(first + rest).toBe('data: {"half":1}\n\n');
    await closed;
  });

  test("is cut off with the rest when its event is never completed", async () => {
    const { url, gateway, server } = await served({ limits: { drainTimeoutMs: 100 } });
    const { response, session } = await listening(url, server);
    const chunks = response.body[Symbol.asyncIterator]();
    (await server.stream(session)).raw('data: {"half":');
    await chunks.next();
    await gateway.close();
    await expect(texts(chunks)).rejects.toThrow();
    await server.until(() => server.pending === 0, "the server's stream to be let go");
  });

  test("is not opened any more", async () => {
    const { url, server, gate } = await mounted();
    const waiting = held(url, server);
    const call = await waiting.arrived;
    const closed = gate.close();
    const before = server.received.length;
    const { status, message } = await read(await request(url, { headers: { accept: "text/event-stream" } }));
    expect(status).toBe(503);
    expect(message).toMatchObject({ id: null, error: { code: -32603, data: { retryable: true } } });
    expect(server.received).toHaveLength(before);
    call.text("done");
    await waiting.answer;
    await closed;
  });

  test("ends at once when its server begins it only now", async () => {
    const { url, server, gateway } = await served(PATIENT);
    let begin = () => {};
    server.on("GET", async (exchange) => {
      await new Promise<void>((resolve) => {
        begin = resolve;
      });
      exchange.session.stream = exchange.sse();
    });
    const session = await opened(url);
    const answer = request(url, { headers: { accept: "text/event-stream", ...session } });
    await server.until(
      () =>
        server.received.some((got) => got.method === "GET" && got.session.id === session["mcp-session-id"]),
      "the stream to be asked for",
    );
    const closed = gateway.close();
    begin();
    const { body } = await answer;
    await body.text();
    await closed;
    await server.until(() => server.pending === 0, "the server's stream to be let go");
  });
});

describe("a call that is under way", () => {
  test.for<[what: string, answer: (call: Exchange) => void, text: string]>([
    ["in JSON", (call) => call.json({ content: [] }), '{"jsonrpc":"2.0","id":7,"result":{"content":[]}}'],
    [
      "as a stream",
      (call) =>
        call
          .sse()
          .event(call.answer({ content: [] }))
          .end(),
      'data: {"jsonrpc":"2.0","id":7,"result":{"content":[]}}\n\n',
    ],
    ["with an error", (call) => call.reply(418, { odd: true }), '{"odd":true}'],
  ])("is answered %s in the time that there is", async ([, answer, text]) => {
    const { url, gateway, server } = await served({ ...PATIENT, options: { stateless: true } });
    const waiting = held(url, server);
    const call = await waiting.arrived;
    const closed = gateway.close();
    answer(call);
    expect(await (await waiting.answer).body.text()).toBe(text);
    await closed;
  });

  test("and whose stream has begun is answered in the time that there is", async () => {
    const { url, gateway, server } = await served({ ...PATIENT, options: { stateless: true } });
    const waiting = held(url, server);
    const call = await waiting.arrived;
    const stream = call.sse().notify("notifications/progress", { progress: 1 });
    const { body } = await waiting.answer;
    const chunks = body[Symbol.asyncIterator]();
    await chunks.next();
    const closed = gateway.close();
    stream.notify("notifications/progress", { progress: 2 });
    stream.event(call.answer({ content: [] })).end();
    expect(await texts(chunks)).toContain('"id":7,"result":{"content":[]}');
    await closed;
  });

  test("ends with 502 when that time is over, and the server is let go", async () => {
    const { url, gateway, server } = await served({
      limits: { drainTimeoutMs: 100 },
      options: { stateless: true },
    });
    const waiting = held(url, server);
    await waiting.arrived;
    await gateway.close();
    expect((await waiting.answer).statusCode).toBe(502);
    await server.until(() => server.pending === 0, "the call to be let go");
  });
});

test("a page that is just being sent is sent to its end", async () => {
  const { url, gateway, server } = await served(PATIENT);
  let page: Exchange | undefined;
  server.on("GET", (exchange) => {
    page = exchange;
    exchange.response.writeHead(200, { "content-type": "text/plain" });
    exchange.response.write("one ");
  });
  const session = await opened(url);
  const { body } = await request(new URL("/page", url), { headers: session });
  const chunks = body[Symbol.asyncIterator]();
  const first = String((await chunks.next()).value);
  const closed = gateway.close();
  page?.response.end("two");
  expect(first + (await texts(chunks))).toBe("one two");
  await closed;
});

/** Opens a session through the gateway, and gives the header that its requests have. */
async function opened(url: URL): Promise<{ readonly "mcp-session-id": string }> {
  const params = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "a", version: "1" } };
  const { headers, body } = await request(url, {
    method: "POST",
    headers: { accept: "application/json, text/event-stream", "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params }),
  });
  await body.text();
  return { "mcp-session-id": String(headers["mcp-session-id"]) };
}

/** A session that has opened its stream. */
async function listening(url: URL, server: ScriptedServer) {
  const header = await opened(url);
  const response = await request(url, { headers: { accept: "text/event-stream", ...header } });
  const session = server.sessions.get(header["mcp-session-id"]);
  if (session === undefined) throw new Error("the server does not know the session");
  return { response, session };
}

/** A call that its server answers when the test does. */
function held(url: URL, server: ScriptedServer) {
  server.on("tools/call", () => undefined);
  const answer = request(url, {
    method: "POST",
    headers: { accept: "application/json, text/event-stream", "content-type": "application/json" },
    body: CALL,
  });
  // A test looks at it when it is time.
  answer.catch(() => undefined);
  return { answer, arrived: server.arrival("tools/call") };
}

async function texts(chunks: AsyncIterator<unknown>): Promise<string> {
  let text = "";
  for (let next = await chunks.next(); !next.done; next = await chunks.next()) text += String(next.value);
  return text;
}

/** The gateway in a listener that goes on when it stops. */
async function mounted() {
  const server = await startScriptedServer({}, { stateless: true });
  onTestFinished(server.close);
  const config = configFor({ upstream: server.url, ...PATIENT });
  const gate = await taskgate(config, { log: createLog("silent") });
  onTestFinished(() => gate.close());
  const http = createServer((incoming, response) => gate(incoming, response, () => response.end()));
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  onTestFinished(() => {
    http.closeAllConnections();
    http.close();
  });
  return { server, gate, url: new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`) };
}
