/** Servers that stop in the middle, or take their time. */

import type { ServerResponse } from "node:http";
import { expect, test } from "vitest";
import { ask, head, open } from "./clients.ts";
import { bareFront, proxyFront } from "./fronts.ts";
import { startOrigin, startRawOrigin } from "./origins.ts";

const CUT_SHORT = [
  ["in the middle of a counted body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"],
  ["in the middle of chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
  [
    "in the middle of an event stream",
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
  ],
] as const;

test.each(CUT_SHORT)("bare: a server that stops %s leaves the client waiting", async (_what, answer) => {
  const front = await bareFront(await startRawOrigin(answer));
  const client = open(front.url, head("GET"));
  await client.until("half");
  // The same happens to another, who comes when the first one's server has long gone.
  await open(front.url, head("GET")).until("half");
  expect(client.isClosed).toBe(false);
  expect(front.pending).toBe(2);
});

test.each(CUT_SHORT)("the proxy: a server that stops %s cuts the client off", async (_what, answer) => {
  const front = await proxyFront(await startRawOrigin(answer));
  const client = open(front.url, head("GET"));
  await client.closed();
  expect(client.received).toContain("half");
  expect(client.received).not.toContain("\r\n0\r\n");
  await expect(ask(front.url)).rejects.toMatchObject({ code: "ECONNRESET" });
  await front.until(() => front.over === 2, "both are over");
});

test("bare: the limit for an answer cuts quiet streams as well", async () => {
  const origin = await startOrigin((_request, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" }).write(": open\n\n");
  });
  await bareFront(origin.url, { proxyTimeout: 50 }).then((front) =>
    open(front.url, head("GET")).until(": open"),
  );
  await origin.until(() => origin.pending === 0, "the proxy lets go of a stream that is quiet");
});

test("the proxy: nothing limits the time between the bytes of an answer", async () => {
  const limitMs = 30;
  const origin = await startOrigin((_request, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" }).write(": open\n\n");
    setTimeout(() => response.end("data: late\n\n"), 10 * limitMs);
  });
  const front = await proxyFront(origin.url, { headTimeoutMs: 2_000 }, { idleMs: limitMs });
  expect((await ask(front.url)).body.toString()).toBe(": open\n\ndata: late\n\n");
});

test("the proxy: a head that is late is no answer, and the server is let go", async () => {
  const origin = await startOrigin(() => undefined);
  const front = await proxyFront(origin.url, { headTimeoutMs: 50 });
  expect((await ask(front.url)).status).toBe(502);
  expect(front.rejections).toMatchObject([
    { message: "The server did not begin to answer within 50 ms", facts: { mayHaveRun: true } },
  ]);
  await origin.until(() => origin.pending === 0, "the server is let go");
});

test("the proxy: a server that hangs up without a word may have run", async () => {
  const front = await proxyFront(await startRawOrigin(""));
  expect((await ask(front.url)).status).toBe(502);
  expect(front.rejections).toMatchObject([{ facts: { mayHaveRun: true } }]);
});

test("the proxy: a server that cannot be reached has not run", async () => {
  const front = await proxyFront(new URL("http://127.0.0.1:1/"));
  expect((await ask(front.url)).status).toBe(502);
  expect(front.rejections).toMatchObject([
    { message: "The server cannot be reached (ECONNREFUSED)", facts: { mayHaveRun: false } },
  ]);
});

test("the proxy: whoever answers in its place finds the response as it was", async () => {
  const counts: number[][] = [];
  const count = (response: ServerResponse): void => {
    counts.push(["close", "drain", "error", "finish"].map((name) => response.listenerCount(name)));
  };
  const front = await proxyFront(
    new URL("http://127.0.0.1:1/"),
    {},
    { before: (_request, response) => count(response), onRejected: (_error, response) => count(response) },
  );
  expect((await ask(front.url)).status).toBe(502);
  expect(counts.length).toBe(2);
  expect(counts[1]).toEqual(counts[0]);
});

test("the proxy: closing it ends what is open, and nothing begins any more", async () => {
  const origin = await startOrigin((request, response) => {
    if (request.url === "/stream") response.writeHead(200).write("open");
  });
  const front = await proxyFront(origin.url, { headTimeoutMs: 3_600_000 });
  const stream = open(front.url, head("GET", "/stream"));
  await stream.until("open");
  const waiting = ask(front.url, { path: "/waiting" });
  await origin.until(() => origin.received.length === 2, "both requests");
  front.proxy.close();
  await stream.closed();
  expect((await waiting).status).toBe(502);
  expect((await ask(front.url)).status).toBe(502);
  await origin.until(() => origin.sockets === 0, "no connection to the server is left");
  expect(front.rejections).toMatchObject([
    { name: "UpstreamFailure", facts: { mayHaveRun: true } },
    { message: "The gateway is stopping", facts: { mayHaveRun: false } },
  ]);
});
