/** A GET of a client that only looks what is there: Codex sends one before `initialize`, and waits for the end of the answer. */

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { gatewayFor } from "../../support/gateway.ts";
import { startSseServer } from "../../support/sse-server.ts";
import { PATIENT } from "../fallback/model.ts";

const ANYTHING = { accept: "*/*", "mcp-protocol-version": "2024-11-05" };

test("is no listener at a server that streams to everybody", async () => {
  const { url } = await gatewayFor({ upstream: await streamingServer() });
  const bare = await fetch(url, { headers: ANYTHING });
  expect(bare.status).toBe(406);
  expect(await bare.text()).toContain("Accept must allow text/event-stream");
  const listener = await fetch(url, { headers: { accept: "application/json, Text/Event-Stream" } });
  expect([listener.status, listener.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
  await listener.body?.cancel();
});

test("opens no session at a server of HTTP+SSE for which the gateway makes them", async () => {
  const server = await startSseServer();
  onTestFinished(server.close);
  const { url } = await gatewayFor({ upstream: server.url, transport: "sse", policy: PATIENT });
  const bare = await fetch(url, { headers: ANYTHING });
  expect(bare.status).toBe(400);
});

/** Opens a stream for any GET, and never ends it. */
async function streamingServer(): Promise<URL> {
  const server = createServer((request, response) => {
    request.resume();
    if (request.method !== "GET") response.writeHead(400).end();
    else response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`);
}
