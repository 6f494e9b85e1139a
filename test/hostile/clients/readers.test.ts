/** Clients that do not read what they are sent: it costs the gateway little, and not for long. */

import { once } from "node:events";
import type { RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { httpServer } from "../../../src/http/app.ts";
import { HttpReply } from "../../../src/http/outbound.ts";
import { Unsent } from "../../../src/http/unsent.ts";
import type { JsonText } from "../../../src/protocol/jsonrpc.ts";
import { ask, type Connection, open } from "../../gateway/transparent/clients.ts";
import { ENVELOPE, served } from "../../http/served.ts";

const FILLER = "x".repeat(1_000_000);
/** Far more than the buffers of a connection hold. */
const MESSAGES = 40;
const LISTEN = { toolsListChanged: true };

test("the progress of a call goes no further than its client reads, and the answer comes when it does", async () => {
  let onSaid = () => {};
  const said = new Promise<void>((resolve) => {
    onSaid = resolve;
  });
  const { url } = await served({
    scripts: {
      "tools/call": async (call) => {
        const stream = call.sse();
        for (let sent = 0; sent < MESSAGES; sent += 1) {
          stream.event({
            jsonrpc: "2.0",
            method: "notifications/message",
            params: { level: "info", data: FILLER },
          });
          await new Promise((resolve) => setImmediate(resolve));
        }
        stream.event(call.answer({ content: [{ type: "text", text: "done" }] }));
        call.response.end(onSaid);
      },
    },
    policy: { waitForMs: 60_000, mode: "never" },
  });
  const meta = { ...ENVELOPE, "io.modelcontextprotocol/logLevel": "debug" };
  const connection = asking(url, "tools/call", { name: "t", arguments: {} }, meta, "t");
  await connection.until("notifications/message");
  connection.pause();
  await said;
  connection.resume();
  await connection.until('"done"');
  expect(connection.received.length).toBeLessThan((MESSAGES * FILLER.length) / 2);
});

test("what changes is not kept for who listens and does not read", async () => {
  const { url, server } = await served({ options: { capabilities: { tools: { listChanged: true } } } });
  const connection = asking(url, "subscriptions/listen", { notifications: LISTEN });
  await connection.until("notifications/subscriptions/acknowledged");
  connection.pause();
  const stream = await server.stream();
  const changed = {
    jsonrpc: "2.0",
    method: "notifications/tools/list_changed",
    params: { filler: FILLER },
  };
  for (let sent = 0; sent < MESSAGES; sent += 1) {
    stream.event(changed);
    await new Promise((resolve) => setImmediate(resolve));
  }
  connection.resume();
  const heardOf = () => {
    stream.event({ ...changed, params: { last: true } });
    return connection.received.includes('"last":true');
  };
  await expect.poll(heardOf).toBe(true);
  expect(connection.received.length).toBeLessThan((MESSAGES * FILLER.length) / 2);
});

const STALLED_MS = 300;

test("who takes nothing for a while is cut off, and its server's end with it", async () => {
  let onOver = () => {};
  const over = new Promise<void>((resolve) => {
    onOver = resolve;
  });
  const url = await listening((_request, response) => {
    const fill = () => {
      while (!response.destroyed && response.write(FILLER));
    };
    response.on("drain", fill).once("close", onOver);
    fill();
  });
  const connection = open(url, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  connection.pause();
  await over;
});

test("who has nothing to take, or waits for an answer, is not", async () => {
  const closed: string[] = [];
  const url = await listening((request, response) => {
    response.once("close", () => closed.push(String(request.url)));
    if (request.url === "/stream") response.writeHead(200).flushHeaders();
    if (request.url === "/late") setTimeout(() => response.end("late"), STALLED_MS * 4);
  });
  const stream = open(url, "GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  const late = open(url, "GET /late HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  await late.until("late");
  expect(closed).toEqual(["/late"]);
  expect([stream.isClosed, late.isClosed]).toEqual([false, false]);
});

test("a connection that is kept alive for nothing is closed in its time", async () => {
  const url = await listening((_request, response) => void response.end("x"), 1);
  const connection = open(url, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  await connection.closed();
  expect(connection.received).toMatch(/^HTTP\/1\.1 200 /);
});

test("large answers that nobody reads are no more than there is room for, and who leaves gives theirs back", async () => {
  const result = JSON.stringify({ text: FILLER.repeat(20) }) as JsonText;
  const unsent = new Unsent(() => 30 * FILLER.length);
  const accepts = { json: true, stream: true };
  const left: (() => void)[] = [];
  const url = await listening(async (request, response) => {
    response.once("close", () => left.shift()?.());
    await once(request.resume(), "end");
    const reply = new HttpReply(response, { id: 1, accepts, keepAliveMs: 60_000, unsent });
    reply.result(request.url === "/small" ? ("{}" as JsonText) : result);
  });
  const idle = open(url, "GET /large HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  await idle.until("200 OK");
  idle.pause();
  const refused = await ask(url, { path: "/large" });
  expect([refused.status, refused.headers["retry-after"]]).toEqual([503, "1"]);
  expect(JSON.parse(refused.body.toString())).toMatchObject({ id: 1, error: { data: { retryable: true } } });
  expect((await ask(url, { path: "/small" })).status).toBe(200);
  const hasLeft = new Promise<void>((resolve) => left.push(resolve));
  idle.leave();
  await hasLeft;
  for (let reads = 0; reads < 3; reads += 1)
    expect((await ask(url, { path: "/large" })).body.length).toBeGreaterThan(20 * FILLER.length);
});

async function listening(listener: RequestListener, keepAliveMs = 60_000): Promise<URL> {
  const server = httpServer(listener, { stalledMs: STALLED_MS }).listen(0, "127.0.0.1");
  server.keepAliveTimeout = keepAliveMs;
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, "listening");
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
}

/** A request of a modern client, on a connection that can stop reading. */
function asking(
  url: URL,
  method: string,
  params: object,
  meta: object = ENVELOPE,
  name?: string,
): Connection {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: meta } });
  const lines = [
    `POST ${url.pathname} HTTP/1.1`,
    "Host: 127.0.0.1",
    "Accept: application/json, text/event-stream",
    "Content-Type: application/json",
    "MCP-Protocol-Version: 2026-07-28",
    `Mcp-Method: ${method}`,
    ...(name === undefined ? [] : [`Mcp-Name: ${name}`]),
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  return open(url, `${lines.join("\r\n")}\r\n\r\n${body}`);
}
