/** Connections to the server: kept, given up in time, and found dead. */

import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { ask } from "./clients.ts";
import { bareFront, proxyFront } from "./fronts.ts";
import { type Origin, startOrigin } from "./origins.ts";

const answer = (_request: unknown, response: ServerResponse): void => void response.end("fine");

test("bare: every request has a connection of its own", async () => {
  const origin = await startOrigin(answer);
  const front = await bareFront(origin.url);
  for (let nth = 0; nth < 5; nth += 1) await ask(front.url);
  expect(origin.connections).toBe(5);
});

test("the proxy: requests that follow each other share a connection", async () => {
  const origin = await startOrigin(answer);
  const front = await proxyFront(origin.url);
  for (let nth = 0; nth < 5; nth += 1) await ask(front.url);
  expect([origin.connections, origin.sockets]).toEqual([1, 1]);
});

test("the proxy: a connection that nobody uses is given up before the server gives it up", async () => {
  const origin = await startOrigin((_request, response) => {
    // Ours to time, not the server's: it says nothing of how long it waits, and waits for ever.
    response.sendDate = false;
    response.writeHead(200, { Connection: "keep-alive", "Content-Length": 4 }).end("fine");
  });
  origin.server.keepAliveTimeout = 0;
  const front = await proxyFront(origin.url, {}, { idleMs: 50 });
  await ask(front.url);
  await origin.until(() => origin.sockets === 0, "the idle connection is gone");
  await ask(front.url);
  expect(origin.connections).toBe(2);
});

test("the proxy: idle connections are bounded", async () => {
  const waiting: ServerResponse[] = [];
  const origin = await startOrigin((_request, response) => void waiting.push(response));
  origin.server.keepAliveTimeout = 0;
  const front = await proxyFront(origin.url, {}, { idleMs: 3_600_000 });
  const clients = Array.from({ length: 80 }, () => ask(front.url));
  await origin.until(() => waiting.length === 80, "80 requests at once");
  for (const response of waiting) response.end("fine");
  await Promise.all(clients);
  await origin.until(() => origin.sockets === 64, "64 idle connections");
});

/**
 * Answers the first request of a connection, and hangs up instead of answering the second: it had gone idle.
 * Answers `/together` when there are three.
 */
async function startForgetful(): Promise<Origin & { readonly hangUps: number }> {
  const used = new WeakSet<object>();
  const together: ServerResponse[] = [];
  let hangUps = 0;
  const origin = await startOrigin(({ url, body }, response) => {
    const { socket } = response;
    if (url === "/together") {
      if (socket) used.add(socket);
      if (together.push(response) === 3) for (const each of together) each.end();
    } else if (socket && used.has(socket)) {
      hangUps += 1;
      socket.destroy();
    } else {
      if (socket) used.add(socket);
      response.end(`fine ${body}`);
    }
  });
  return Object.defineProperty(Object.create(origin), "hangUps", { get: () => hangUps });
}

test("the proxy: a request that may be repeated is, on a connection of its own, when the kept one is dead", async () => {
  const origin = await startForgetful();
  const front = await proxyFront(origin.url);
  await ask(front.url);
  const { status, body } = await ask(front.url, { method: "POST", path: "/second", body: "once more" });
  expect([status, body.toString()]).toEqual([200, "fine once more"]);
  expect(origin.hangUps).toBe(1);
  expect(origin.received.map(({ url }) => url)).toEqual(["/", "/second", "/second"]);
});

test("the proxy: the second attempt is not wasted on another dead connection", async () => {
  const origin = await startForgetful();
  const front = await proxyFront(origin.url);
  const three = [1, 2, 3].map(() => ask(front.url, { path: "/together" }));
  await Promise.all(three);
  expect(origin.sockets).toBe(3);
  expect((await ask(front.url)).status).toBe(200);
  expect([origin.hangUps, origin.connections]).toEqual([1, 4]);
});

test("the proxy: a request that must not be repeated is not", async () => {
  const origin = await startForgetful();
  const front = await proxyFront(origin.url, { mayRepeat: false });
  await ask(front.url);
  expect((await ask(front.url, { method: "POST", path: "/second", body: "{}" })).status).toBe(502);
  expect(front.rejections).toMatchObject([{ facts: { mayHaveRun: true } }]);
  expect(origin.received.map(({ url }) => url)).toEqual(["/", "/second"]);
});

test("the proxy: nothing is repeated once, let alone twice, when the connection was new", async () => {
  const origin = await startOrigin((_request, response) => void response.socket?.destroy());
  const front = await proxyFront(origin.url);
  expect((await ask(front.url)).status).toBe(502);
  expect(origin.received.length).toBe(1);
});

test("the proxy: nothing is repeated when a byte of the answer came", async () => {
  let nth = 0;
  const origin = await startOrigin((_request, response) => {
    nth += 1;
    if (nth === 1) response.end("fine");
    else response.socket?.end("HTTP/1.1 200");
  });
  const front = await proxyFront(origin.url);
  await ask(front.url);
  expect((await ask(front.url)).status).toBe(502);
  expect(origin.received.length).toBe(2);
});
