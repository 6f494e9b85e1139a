/** Requests whose framing two programs might read differently: each is one request to the server, or none. */

import { describe, expect, test } from "vitest";
import { ask, open } from "../gateway/transparent/clients.ts";
import { fronted } from "./fronted.ts";

const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

describe("a request that is refused, with what comes after it", () => {
  test.for<[what: string, lines: readonly string[], body: string]>([
    ["a length and chunks", ["Content-Length: 5", "Transfer-Encoding: chunked"], `0\r\n\r\n${SMUGGLED}`],
    ["chunks and a length", ["Transfer-Encoding: chunked", "Content-Length: 5"], `0\r\n\r\n${SMUGGLED}`],
    ["two lengths", ["Content-Length: 2", "Content-Length: 60"], `{}${SMUGGLED}`],
    ["two lengths in one", ["Content-Length: 2, 60"], `{}${SMUGGLED}`],
    ["a length below zero", ["Content-Length: -2"], `{}${SMUGGLED}`],
    ["a length with a sign", ["Content-Length: +2"], `{}${SMUGGLED}`],
    ["a length in hexadecimal", ["Content-Length: 0x2"], `{}${SMUGGLED}`],
    ["a length that no number can hold", ["Content-Length: 99999999999999999999"], `{}${SMUGGLED}`],
    ["a length before a space", ["Content-Length : 2"], `{}${SMUGGLED}`],
    ["an unknown transfer coding", ["Transfer-Encoding: xchunked"], `0\r\n\r\n${SMUGGLED}`],
    ["a coding after the chunks", ["Transfer-Encoding: chunked, identity"], `0\r\n\r\n${SMUGGLED}`],
    ["a coding on a line of its own", ["Transfer-Encoding:\r\n chunked"], `0\r\n\r\n${SMUGGLED}`],
    ["a chunk with a sign", ["Transfer-Encoding: chunked"], `+2\r\n{}\r\n0\r\n\r\n${SMUGGLED}`],
    [
      "a chunk that is longer than it says",
      ["Transfer-Encoding: chunked"],
      `1\r\n{}\r\n0\r\n\r\n${SMUGGLED}`,
    ],
    ["lines that end in a line feed alone", ["X: y\nContent-Length: 2"], `{}${SMUGGLED}`],
    ["a header without a name", [": x", "Content-Length: 2"], `{}${SMUGGLED}`],
    ["a zero byte", ["X: a\0b", "Content-Length: 2"], `{}${SMUGGLED}`],
  ])("%s", async ([, lines, body]) => {
    const { url, reached } = await fronted();
    for (const path of ["/mcp", "/elsewhere"]) {
      const head = [`POST ${path} HTTP/1.1`, "Host: 127.0.0.1", ...lines, "", ""].join("\r\n");
      const connection = open(url, head + body);
      await connection.closed();
      expect(connection.received.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 400"]);
    }
    expect(reached()).toEqual([]);
    expect((await ask(url, { path: "/mcp" })).status).toBe(200);
  });
});

test("what comes after a body is a request of its own, and is asked as one", async () => {
  const { url, reached } = await fronted();
  const first = "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}";
  const last = "GET /page HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
  await open(url, first + last).closed();
  expect(reached().map(({ method, url, body }) => [method, url, body.toString()])).toEqual(
    expect.arrayContaining([
      ["POST", "/base/mcp", "{}"],
      ["GET", "/page", ""],
    ]),
  );
  expect(reached()).toHaveLength(2);
});

test("what is chunked gets a length, and its trailer and extensions are left behind", async () => {
  const { url, reached } = await fronted();
  const head = ["POST /mcp HTTP/1.1", "Host: 127.0.0.1", "Connection: close", "TE: trailers", "Trailer: X-T"];
  const chunks = '2;x="y"\r\n{}\r\n0\r\nX-T: 1\r\n\r\n';
  const connection = open(url, `${head.join("\r\n")}\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`);
  await connection.closed();
  expect(connection.received).toMatch(/^HTTP\/1\.1 200 /);
  const [request] = reached();
  expect(request?.body.toString()).toBe("{}");
  expect(request?.headers["content-length"]).toBe("2");
  const left = ["te", "trailer", "transfer-encoding", "x-t"].filter((name) => request?.headers[name]);
  expect(left).toEqual([]);
});

test("a client that waits to be told to go on is told so, and its server is not asked", async () => {
  const { url, reached } = await fronted();
  const connection = open(
    url,
    "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
  );
  await connection.until("HTTP/1.1 100 Continue\r\n\r\n");
  expect(reached()).toEqual([]);
  connection.send("{}");
  await connection.until("HTTP/1.1 200 OK");
  expect(reached().map(({ body, headers }) => [body.toString(), headers.expect])).toEqual([
    ["{}", undefined],
  ]);
});

test("a client that expects something else is told that it cannot be", async () => {
  const { url, reached } = await fronted();
  const connection = open(
    url,
    "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nExpect: tea\r\nConnection: close\r\n\r\n{}",
  );
  await connection.closed();
  expect(connection.received).toMatch(/^HTTP\/1\.1 417 /);
  expect(reached()).toEqual([]);
});

test.for(["websocket", "h2c", "HTTP/2.0"])(
  "nobody upgrades to %s: it is a request like any other",
  async (protocol) => {
    const { url, reached } = await fronted();
    const lines = ["GET /mcp HTTP/1.1", "Host: 127.0.0.1", `Upgrade: ${protocol}`];
    const connection = open(
      url,
      `${[...lines, "Connection: Upgrade, HTTP2-Settings, close", "HTTP2-Settings: x"].join("\r\n")}\r\n\r\n`,
    );
    await connection.closed();
    expect(connection.received).toMatch(/^HTTP\/1\.1 200 /);
    expect(reached()).toHaveLength(1);
    for (const name of ["upgrade", "http2-settings"]) expect(reached()[0]?.headers[name]).toBeUndefined();
  },
);

test("nobody is connected to another host", async () => {
  const { url, reached } = await fronted();
  const connection = open(url, "CONNECT evil.example:443 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  await connection.closed();
  expect(connection.received).toMatch(/^HTTP\/1\.1 405 /);
  expect(reached()).toEqual([]);
});

test("a client of HTTP/1.0 that names the host is answered, and one that does not is refused", async () => {
  const { url, reached } = await fronted();
  const named = open(url, "GET /page HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
  await named.closed();
  expect(named.received).toMatch(/^HTTP\/1\.1 200 /);
  const unnamed = open(url, "GET /page HTTP/1.0\r\n\r\n");
  await unnamed.closed();
  expect(unnamed.received).toMatch(/^HTTP\/1\.1 403 /);
  expect(reached()).toHaveLength(1);
});
