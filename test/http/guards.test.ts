import { connect } from "node:net";
import { request } from "undici";
import { describe, expect, test } from "vitest";
import type { GatewaySettings } from "../support/gateway.ts";
import { read } from "../support/modern-client.ts";
import { asked, LIST_HEADERS, messageText, RawConnection, served } from "./served.ts";

type Listen = NonNullable<GatewaySettings["listen"]>;
const ANYWHERE: Listen = { host: "0.0.0.0" };
const APP = "https://app.example";
const HAS_IPV6 = await hasIpv6();

describe("the Host", () => {
  test.for<[listen: Listen, host: string]>([
    [{}, "127.0.0.1"],
    [{}, "127.0.0.1:8080"],
    [{}, "localhost"],
    [{}, "LOCALHOST:1"],
    [{}, "[::1]"],
    [{}, "[::1]:8080"],
    [ANYWHERE, "anything.example"],
    [ANYWHERE, "10.1.2.3:80"],
    [{ ...ANYWHERE, allowedHosts: ["gateway.example"] }, "gateway.example"],
    [{ ...ANYWHERE, allowedHosts: ["gateway.example"] }, "gateway.example:8443"],
    [{ ...ANYWHERE, allowedHosts: ["gateway.example"] }, "Gateway.Example"],
    [{ ...ANYWHERE, allowedHosts: ["[2001:db8::1]"] }, "[2001:db8::1]:80"],
    [{ allowedHosts: ["gateway.example"] }, "gateway.example"],
    [{ publicUrl: "https://tools.example" }, "tools.example"],
    [{ publicUrl: "https://tools.example:8443" }, "tools.example:8443"],
    [{ publicUrl: "https://tools.example", allowedHosts: ["127.0.0.1"] }, "tools.example"],
  ])("with %j %s is served", async ([listen, host]) => {
    expect((await list(listen, { host })).status).toBe(200);
  });

  test.for<[listen: Listen, host: string]>([
    [{}, "evil.example"],
    [{}, "localhost.evil.example"],
    [{}, "127.0.0.1.evil.example"],
    [{}, "evil.example:127"],
    [{}, "[::2]"],
    [{}, "192.168.0.1"],
    [{}, "0.0.0.0"],
    [{}, "a b"],
    [{ ...ANYWHERE, allowedHosts: ["gateway.example"] }, "localhost"],
    [{ ...ANYWHERE, allowedHosts: ["gateway.example"] }, "sub.gateway.example"],
    [{ allowedHosts: ["gateway.example"] }, "127.0.0.1"],
    [{ ...ANYWHERE, allowedHosts: [] }, "127.0.0.1"],
  ])("with %j %s is refused", async ([listen, host]) => {
    const { status, body, headers, reached } = await list(listen, { host });
    expect(status).toBe(403);
    expect(JSON.parse(body)).toMatchObject({ jsonrpc: "2.0", id: null, error: { code: -32600 } });
    expect(headers["access-control-allow-origin"]).toBeUndefined();
    expect(reached).toEqual([]);
  });

  test("that is not there is refused", async () => {
    const { host: _, ...headers } = LIST_HEADERS;
    const { url } = await served();
    const text = messageText();
    const connection = new RawConnection(url);
    const answer = await connection
      .post(url.pathname, { ...headers, connection: "close", "content-length": text.length })
      .write(text)
      .answer();
    expect(answer.status).toBe(400);
  });

  test.runIf(HAS_IPV6)("of a gateway on ::1 is ::1, or any other name of loopback", async () => {
    const { url, client } = await served({ listen: { host: "::1" } });
    expect(url.hostname).toBe("[::1]");
    expect((await client().send("tools/list")).status).toBe(200);
    expect((await client({ headers: { host: "localhost" } }).send("tools/list")).status).toBe(200);
    expect((await client({ headers: { host: "evil.example" } }).send("tools/list")).status).toBe(403);
  });
});

test.for<[name: "host" | "origin", value: string, setting: string]>([
  ["host", "evil.example:8080", 'add "evil.example" to listen.allowedHosts'],
  ["origin", "https://evil.example", 'add "https://evil.example" to listen.allowedOrigins'],
])("a refused %s names the setting and the value to add", async ([name, value, setting]) => {
  expect(JSON.parse((await list({}, { [name]: value })).body).error.message).toContain(setting);
});

test("a refused host or page is told of no routes", async () => {
  const { url } = await served();
  const body = async (headers: Record<string, string>) =>
    (await request(new URL("/nowhere", url), { method: "BREW" as "GET", headers })).body.text();
  expect(await body({ host: "evil.example" })).not.toContain("/mcp");
  expect(await body({ origin: "https://evil.example" })).not.toContain("/mcp");
});

test.for(["GET", "HEAD", "OPTIONS"])("%s of the health path needs no Host", async (method) => {
  const { url } = await served({ listen: { host: "0.0.0.0", allowedHosts: ["gateway.example"] } });
  for (const head of [`${method} /-/health HTTP/1.0`, `${method} /-/health HTTP/1.1\r\nHost: 10.1.2.3`]) {
    const answer = await new RawConnection(new URL(`http://127.0.0.1:${url.port}`))
      .write(`${head}\r\nConnection: close\r\n\r\n`)
      .answer();
    expect(answer.status).toBe(200);
    expect(answer.body).toBe(method === "HEAD" ? "" : '{"status":"ready"}');
  }
});

describe("the Origin", () => {
  test.for<[listen: Listen, origin: string]>([
    [{}, "http://localhost"],
    [{}, "http://localhost:5173"],
    [{}, "https://127.0.0.1:1"],
    [{}, "http://[::1]:5173"],
    [{ allowedOrigins: [APP] }, APP],
    [{ allowedOrigins: [APP] }, "http://localhost:5173"],
    [{ ...ANYWHERE, allowedOrigins: [APP] }, APP],
    [{ ...ANYWHERE, allowedOrigins: ["http://localhost:5173"] }, "http://localhost:5173"],
  ])("with %j %s may read the answer", async ([listen, origin]) => {
    const { status, headers } = await list(listen, { origin });
    expect(status).toBe(200);
    expect(headers).toMatchObject({ "access-control-allow-origin": origin, vary: "Origin" });
  });

  test.for<[listen: Listen, origin: string]>([
    [{}, "https://evil.example"],
    [{}, "http://localhost.evil.example"],
    [{}, "null"],
    [{}, "file://"],
    [{}, "localhost"],
    [{ allowedOrigins: [APP] }, "http://app.example"],
    [{ allowedOrigins: [APP] }, `${APP}:8443`],
    [{ allowedOrigins: [APP] }, `${APP}.evil.example`],
    [{ allowedOrigins: [APP] }, `${APP}, ${APP}`],
    [ANYWHERE, "http://localhost:5173"],
    [ANYWHERE, "null"],
    [ANYWHERE, ""],
  ])("with %j %j is refused, and reaches no server", async ([listen, origin]) => {
    const { status, headers, body, reached } = await list(listen, { origin });
    expect(status).toBe(403);
    expect(JSON.parse(body)).toMatchObject({ id: null, error: { code: -32600 } });
    expect(headers["access-control-allow-origin"]).toBeUndefined();
    expect(reached).toEqual([]);
  });

  test("may read why it was refused for something else", async () => {
    const { client } = await served({ listen: { allowedOrigins: [APP] } });
    const answer = await client({ headers: { origin: APP } }).send(
      "tools/list",
      {},
      { headers: { "mcp-method": "x" } },
    );
    expect(answer.status).toBe(400);
    expect(answer.headers).toMatchObject({
      "access-control-allow-origin": APP,
      "access-control-expose-headers": "WWW-Authenticate, Mcp-Session-Id",
    });
  });

  test("that is not there is no browser's, and needs no permission", async () => {
    const { client } = await served();
    const { status, headers } = await client().send("tools/list");
    expect(status).toBe(200);
    expect(headers["access-control-allow-origin"]).toBeUndefined();
  });
});

describe("a browser that asks before it sends", () => {
  const headers = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "content-type,mcp-method,mcp-protocol-version,mcp-param-region",
  };

  test("is allowed to, from an origin that may", async () => {
    const { url, server } = await served({ listen: { allowedOrigins: [APP] } });
    const answer = await request(url, { method: "OPTIONS", headers: { ...headers, origin: APP } });
    expect(answer.statusCode).toBe(204);
    expect(answer.headers).toMatchObject({
      "access-control-allow-origin": APP,
      "access-control-allow-methods": "GET, HEAD, POST, DELETE",
      "access-control-allow-headers": headers["access-control-request-headers"],
      vary: "Origin",
    });
    expect(await answer.body.text()).toBe("");
    expect(server.received.filter(({ method }) => method === "OPTIONS")).toEqual([]);
  });

  test("is not, from any other", async () => {
    const { url } = await served({ listen: { allowedOrigins: [APP] } });
    const answer = await request(url, {
      method: "OPTIONS",
      headers: { ...headers, origin: "https://evil.example" },
    });
    expect(answer.statusCode).toBe(403);
    expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
    expect((await read(answer)).message.error.code).toBe(-32600);
  });
});

/** Lists the tools, with these headers instead of those that a client would send. */
async function list(listen: Listen, headers: { host?: string; origin?: string }) {
  const { url, server } = await served({ listen });
  const text = messageText();
  const given = { ...LIST_HEADERS, host: listen.allowedHosts?.[0] ?? "127.0.0.1", ...headers };
  const answer = await new RawConnection(url)
    .post(url.pathname, { ...given, connection: "close", "content-length": text.length })
    .write(text)
    .answer();
  return { ...answer, reached: asked(server) };
}

function hasIpv6(): Promise<boolean> {
  return new Promise((resolve) => {
    // Nothing listens there: to be refused is to have been able to ask.
    const socket = connect(1, "::1");
    socket
      .once("connect", () => resolve(true))
      .once("error", (error: NodeJS.ErrnoException) => {
        resolve(error.code === "ECONNREFUSED");
      });
  });
}
