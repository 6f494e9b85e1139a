/** What ends the process of a bare http-proxy, and is nothing to the proxy. */

import { expect, test } from "vitest";
import { UpstreamFailure } from "../../../src/upstream/failure.ts";
import { ask, head, open } from "./clients.ts";
import { proxyFront } from "./fronts.ts";
import { startOrigin, startRawOrigin } from "./origins.ts";
import { startProxyProgram } from "./programs.ts";

const REQUESTS = [
  ["a request with a Trailer header", head("GET", "/", ["Trailer: x", "Connection: close"])],
  ["a target that is no URL", head("GET", "http://[", ["Connection: close"])],
] as const;

test.each(REQUESTS)("bare: %s ends it", async (_what, request) => {
  const origin = await startOrigin((_request, response) => void response.end("fine"));
  const bare = await startProxyProgram("bare", origin.url);
  open(bare.url, request);
  expect(await bare.exited).toBe(1);
});

test.each(REQUESTS)("the proxy: %s is answered", async (_what, request) => {
  const origin = await startOrigin((_request, response) => void response.end("fine"));
  const front = await proxyFront(origin.url);
  const client = open(front.url, request);
  await client.closed();
  expect(client.received).toMatch(/^HTTP\/1\.1 200 OK\r\n.*fine/s);
  expect(origin.received.map(({ headers }) => headers.trailer)).toEqual([undefined]);
});

const BAD_STATUS = "HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nhi";
const BAD_REASON = "HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nhi";
const BAD_TRAILER = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTrailer: x\r\n\r\nhi";
const BAD_CHUNK = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nZZ\r\n";

test.each([
  ["a bad status", BAD_STATUS],
  ["a bad reason phrase", BAD_REASON],
  ["a trailer without chunks", BAD_TRAILER],
  ["a bad chunk", BAD_CHUNK],
])("bare: a server that answers with %s ends it", async (_what, answer) => {
  const bare = await startProxyProgram("bare", await startRawOrigin(answer, { hangsUp: false }));
  open(bare.url, head("GET"));
  expect(await bare.exited).toBe(1);
});

test("the proxy: a bad status is no answer", async () => {
  const front = await proxyFront(await startRawOrigin(BAD_STATUS));
  expect(await ask(front.url)).toMatchObject({ status: 502 });
  expect(front.rejections).toEqual([expect.any(UpstreamFailure)]);
  expect(front.rejections).toMatchObject([{ facts: { mayHaveRun: true } }]);
});

test("the proxy: a status above HTTP's is no answer", async () => {
  const front = await proxyFront(await startRawOrigin("HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n"));
  expect(await ask(front.url)).toMatchObject({ status: 502 });
  expect(front.rejections).toMatchObject([{ message: "The server answered with the status 600" }]);
});

test.each([
  ["a bad reason phrase", BAD_REASON],
  ["a trailer without chunks", BAD_TRAILER],
])("the proxy: an answer with %s is passed on without it", async (_what, answer) => {
  const front = await proxyFront(await startRawOrigin(answer));
  const { status, reason, headers, body } = await ask(front.url);
  expect([status, reason, headers.trailer, body.toString()]).toEqual([200, "OK", undefined, "hi"]);
});

test("the proxy: a bad chunk cuts the client off after what was good", async () => {
  const front = await proxyFront(await startRawOrigin(BAD_CHUNK, { hangsUp: false }));
  const client = open(front.url, head("GET"));
  await client.closed();
  expect(client.received).toMatch(/\r\n\r\n2\r\nhi\r\n$/);
  await front.until(() => front.over === 1, "the end of the exchange");
});
