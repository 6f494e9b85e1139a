/** Bodies of requests, and how they are framed. */

import { Agent } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import { ask, head, open } from "./clients.ts";
import { bareFront, proxyFront } from "./fronts.ts";
import { startOrigin } from "./origins.ts";

const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: server\r\n\r\n";

test("bare: the body of a chunked DELETE is a request of its own", async () => {
  const origin = await startOrigin((_request, response) => void response.end("fine"));
  const agent = new Agent({ keepAlive: true });
  onTestFinished(() => agent.destroy());
  const front = await bareFront(origin.url, { agent });
  open(front.url, chunked("DELETE", SMUGGLED));
  await origin.until(() => origin.received.length === 2, "a second request");
  expect(origin.received.map(({ method, url }) => `${method} ${url}`)).toEqual(["DELETE /", "GET /smuggled"]);
});

test.each(["DELETE", "GET", "POST", "OPTIONS"])(
  "the proxy: the body of a chunked %s is its body",
  async (method) => {
    const origin = await startOrigin((_request, response) => void response.end("fine"));
    const front = await proxyFront(origin.url);
    await open(front.url, chunked(method, SMUGGLED)).until("fine");
    await ask(front.url, { path: "/later" });
    expect(origin.received.map(({ method, url, body }) => [method, url, body.toString()])).toEqual([
      [method, "/", SMUGGLED],
      ["GET", "/later", ""],
    ]);
    expect(origin.received[0]?.headers).toMatchObject({ "content-length": String(SMUGGLED.length) });
    expect(origin.received[0]?.headers["transfer-encoding"]).toBeUndefined();
  },
);

test("the proxy: no request without a body is given one", async () => {
  const origin = await startOrigin((_request, response) => void response.end("fine"));
  const front = await proxyFront(origin.url);
  for (const method of ["GET", "DELETE", "POST"]) await open(front.url, head(method)).until("fine");
  const lengths = origin.received.map(({ headers }) => [
    headers["content-length"],
    headers["transfer-encoding"],
  ]);
  expect(lengths).toEqual([
    [undefined, undefined],
    [undefined, undefined],
    ["0", undefined],
  ]);
});

test("the proxy: bytes go both ways as they are", async () => {
  const origin = await startOrigin(({ body }, response) => void response.end(body));
  const front = await proxyFront(origin.url);
  const bytes = Buffer.from(Array.from({ length: 1_000_000 }, (_, at) => (at * 7) % 256));
  const { body, headers } = await ask(front.url, { method: "POST", body: bytes });
  expect(body.equals(bytes)).toBe(true);
  expect(headers["content-length"]).toBe("1000000");
});

test("bare: a request that expects to be told to continue goes without what is added when it is sent", async () => {
  const origin = await startOrigin((_request, response) => void response.end("fine"));
  const front = await bareFront(origin.url);
  await open(front.url, `${head("POST", "/", ["Content-Length: 2", "Expect: 100-continue"])}{}`).until(
    "fine",
  );
  expect(origin.received[0]?.headers.expect).toBe("100-continue");
});

test("the proxy: a request that expects to be told to continue is like any other", async () => {
  const origin = await startOrigin((_request, response) => void response.end("fine"));
  const front = await proxyFront(origin.url, { headers: { authorization: "ours" } });
  const request = head("POST", "/", ["Content-Length: 2", "Expect: 100-continue", "Authorization: theirs"]);
  await open(front.url, `${request}{}`).until("fine");
  expect(origin.received).toMatchObject([{ headers: { authorization: "ours" } }]);
  expect(origin.received[0]?.headers.expect).toBeUndefined();
});

test("the proxy: headers of the client go on as it wrote them, to the server's host and path", async () => {
  const origin = await startOrigin((_request, response) => void response.end("fine"));
  const front = await proxyFront(origin.url, { isPlain: true });
  const request = head("GET", "/a//b/../c?d=e//f?g=%20h", [
    "X-Odd-CASE: 1",
    "Accept-Encoding: br",
    "x-odd-case: 2",
    "X-Latin: \xe4",
    "X-Forwarded-For: 10.0.0.1",
    "Connection: X-Hop",
    "X-Hop: 3",
  ]);
  await open(front.url, request).until("fine");
  expect(origin.received[0]?.url).toBe("/a//c?d=e//f?g=%20h");
  expect(origin.received[0]?.rawHeaders).toEqual([
    ...["Host", origin.url.host],
    ...["X-Odd-CASE", "1"],
    ...["X-Odd-CASE", "2"],
    ...["X-Latin", "\xe4"],
    ...["X-Forwarded-For", "10.0.0.1"],
    ...["accept-encoding", "identity"],
    ...["Connection", "keep-alive"],
  ]);
});

test("bare: two slashes of a query become one", async () => {
  const origin = await startOrigin((_request, response) => void response.end("fine"));
  const path = "/a?from=b//c";
  const front = await bareFront(new URL(path, origin.url), { ignorePath: true });
  await ask(front.url);
  expect(origin.received.map(({ url }) => url)).toEqual(["/a?from=b/c"]);
});

test.each([
  ["a header with a line break", { headers: { "x-ours": "a\r\nb" } }],
  ["a header with a name that is none", { headers: { "x ours": "a" } }],
  ["a target that is not HTTP's", { target: new URL("ftp://127.0.0.1/") }],
])("the proxy: %s is refused before anything is sent", async (_what, forwarding) => {
  const origin = await startOrigin((_request, response) => void response.end("fine"));
  const front = await proxyFront(origin.url, forwarding);
  expect((await ask(front.url)).status).toBe(502);
  expect(front.rejections).toMatchObject([{ name: "UpstreamFailure", facts: { mayHaveRun: false } }]);
  expect(origin.received).toEqual([]);
});

function chunked(method: string, body: string): string {
  const lines = ["Transfer-Encoding: chunked"];
  return `${head(method, "/", lines)}${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
}
