/** What is no MCP endpoint, and yet a server's: which server it is, and what it is asked for. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import express from "express";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { startGateway, taskgate } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { ask, open } from "../gateway/transparent/clients.ts";
import { startOrigin } from "../gateway/transparent/origins.ts";
import { configFor } from "../support/gateway.ts";
import { fronted, frontedConfig, reached } from "./fronted.ts";

describe("with two servers", () => {
  const routes = { "/a/mcp": "/mcp", "/b/mcp": "/base/mcp" };

  test.for<[target: string, server: number, path: string]>([
    // Below a route's path there is the whole of its server.
    ["/a/mcp/messages?sessionId=1", 0, "/messages?sessionId=1"],
    ["/b/mcp/messages", 1, "/messages"],
    ["/a/mcp/", 0, "/mcp"],
    ["/a/mcp/?q", 0, "/mcp?q"],
    ["/a/mcp/mcp", 0, "/mcp"],
    ["/a/mcp/b/mcp", 0, "/b/mcp"],
    ["/a/mcp/a/mcp/x", 0, "/a/mcp/x"],
    ["/a/mcp/.well-known/x/b/mcp", 0, "/.well-known/x/b/mcp"],
    // As it was written.
    ["/a/mcp/caf%C3%A9/%2F%3f%25/%00", 0, "/caf%C3%A9/%2F%3f%25/%00"],
    ["/a/mcp/%E0%A4%A", 0, "/%E0%A4%A"],
    ["/a/mcp/x;v=1/y;z", 0, "/x;v=1/y;z"],
    ["/a/mcp/__proto__?constructor", 0, "/__proto__?constructor"],
    ["/a/mcp/x?y=/../z//b?c&d=%2e%2e;e", 0, "/x?y=/../z//b?c&d=%2e%2e;e"],
    [`/a/mcp/${"x".repeat(12_000)}`, 0, `/${"x".repeat(12_000)}`],
    // No path names another host.
    ["/a/mcp//evil.example/x", 0, "//evil.example/x"],
    ["/a/mcp///evil.example/x", 0, "///evil.example/x"],
    ["/a/mcp/\\evil.example/x", 0, "//evil.example/x"],
    ["/a/mcp//user:password@evil.example:1/x", 0, "//user:password@evil.example:1/x"],
    ["/a/mcp/@evil.example", 0, "/@evil.example"],
    ["/a/mcp/http://evil.example/", 0, "/http://evil.example/"],
    // No dots lead to another server: they are resolved within this one.
    ["/a/mcp/../../b/mcp", 0, "/b/mcp"],
    ["/a/mcp/x/%2e%2e/%2E./../y", 0, "/y"],
    ["/b/mcp/./x/..", 1, "/"],
    // Documents about a route are the server's about its endpoint.
    ["/.well-known/oauth-protected-resource/a/mcp", 0, "/.well-known/oauth-protected-resource/mcp"],
    ["/.well-known/oauth-protected-resource/b/mcp", 1, "/.well-known/oauth-protected-resource/base/mcp"],
    ["/.well-known/oauth-authorization-server/b/mcp", 1, "/.well-known/oauth-authorization-server/base/mcp"],
    ["/.well-known/openid-configuration/a/mcp?x=/a", 0, "/.well-known/openid-configuration/mcp?x=/a"],
  ])("%s is for server %i", async ([target, server, path]) => {
    const { url, reached } = await fronted({ routes });
    expect((await ask(url, { path: target })).status).toBe(200);
    expect(reached().map(({ server, url }) => [server, url])).toEqual([[server, path]]);
  });

  test.for([
    "/",
    "/a",
    "/a/",
    "/a/mcpx",
    "/a/mcp;x=1",
    "/A/mcp/x",
    "/%61/mcp/x",
    "/a%2Fmcp/x",
    "//a/mcp/x",
    "/x/a/mcp/y",
    "/./a/mcp/x",
    "/a/x/../mcp/y",
    "/?/a/mcp/x",
    "/mcp",
    "/healthz",
    "/%E0%A4%A",
    "/__proto__",
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-protected-resource/",
    "/.well-known/oauth-protected-resource/a",
    "/.well-known/oauth-protected-resource/a/mcp/x",
    "/.well-known/oauth-protected-resource/mcp",
    "/.well-known/oauth/x/a/mcp",
    "/.well-known/a/mcp",
    "/.well-known//a/mcp",
    "/x/.well-known/y/a/mcp",
  ])("%s is nobody's, and the answer says where there is something", async (target) => {
    const { url, reached } = await fronted({ routes });
    const { status, headers, body } = await ask(url, { path: target });
    expect(status).toBe(404);
    expect(headers["content-type"]).toMatch(/^application\/json/);
    expect(headers["x-powered-by"]).toBeUndefined();
    expect(JSON.parse(body.toString())).toEqual({ error: "not found", endpoints: ["/a/mcp", "/b/mcp"] });
    expect(reached()).toEqual([]);
  });
});

test.for<[target: string, server: number, path: string]>([
  ["/a/x", 0, "/x"],
  ["/a/bc/x", 0, "/bc/x"],
  ["/a/b/x", 1, "/x"],
  ["/a/b/", 1, "/inner"],
  ["/a/b", 1, "/inner"],
  ["/a", 0, "/outer"],
  ["/a/b/../c", 1, "/c"],
  ["/.well-known/d/a", 0, "/.well-known/d/outer"],
  ["/.well-known/d/a/b", 1, "/.well-known/d/inner"],
])(
  "of two routes, one below the other, the longer path wins: %s is for server %i",
  async ([target, server, path]) => {
    const { url, reached } = await fronted({ routes: { "/a": "/outer", "/a/b": "/inner" } });
    await ask(url, { path: target });
    expect(reached().map(({ server, url }) => [server, url])).toEqual([[server, path]]);
  },
);

test.for<[target: string, server: number, path: string]>([
  ["/", 0, "/outer"],
  ["/messages?sessionId=1", 0, "/messages?sessionId=1"],
  ["/b", 1, "/inner"],
  ["/b/x", 1, "/x"],
  ["/bc", 0, "/bc"],
  ["/.well-known/d", 0, "/.well-known/d"],
  ["/.well-known/d/", 0, "/.well-known/d/outer"],
  ["/.well-known/d/b", 1, "/.well-known/d/inner"],
])("a route at the root has what no other route has: %s is for server %i", async ([target, server, path]) => {
  const { url, reached } = await fronted({ routes: { "/": "/outer", "/b": "/inner" } });
  await ask(url, { path: target });
  expect(reached().map(({ server, url }) => [server, url])).toEqual([[server, path]]);
});

describe("a single server", () => {
  test.for<[target: string, path: string]>([
    ["/mcp", "/base/mcp"],
    ["/tested/mcp?x=1", "/base/mcp?x=1"],
    ["/mcp/x", "/x"],
    ["/tested/mcp/x", "/x"],
    ["/tested/mcp//evil.example/x", "//evil.example/x"],
    ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource/base/mcp"],
    ["/.well-known/oauth-protected-resource/tested/mcp", "/.well-known/oauth-protected-resource/base/mcp"],
    // And all the rest is its own.
    ["/", "/"],
    ["/?x", "/?x"],
    ["/tested", "/tested"],
    ["/MCP", "/MCP"],
    ["/authorize?client_id=a%20b", "/authorize?client_id=a%20b"],
    ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource"],
    ["/.well-known/oauth-protected-resource/base/mcp", "/.well-known/oauth-protected-resource/base/mcp"],
    ["//evil.example/x", "//evil.example/x"],
    ["/../x/%2e%2e/y", "/y"],
    ["/x;y=1", "/x;y=1"],
    ["/health/live", "/health/live"],
    ["/__proto__", "/__proto__"],
  ])("has %s as %s", async ([target, path]) => {
    const { url, reached } = await fronted();
    expect((await ask(url, { path: target })).status).toBe(200);
    expect(reached().map(({ url }) => url)).toEqual([path]);
  });

  test.for<[target: string, status: number, path?: string]>([
    ["http://127.0.0.1/mcp", 200, "/base/mcp"],
    ["HTTP://localhost:1/mcp/page?x=/y", 200, "/page?x=/y"],
    ["https://127.0.0.1?x", 200, "/?x"],
    ["http://other/", 403],
    ["http://other/mcp", 403],
    ["http://user@127.0.0.1/mcp", 403],
    ["http://[", 403],
    ["http:///%%%", 403],
    ["ftp://127.0.0.1/mcp", 404],
    ["*", 404],
  ])("reads the target %s as what it names, whatever Host says", async ([target, status, path]) => {
    const { url, reached } = await fronted();
    const connection = open(url, `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
    await connection.closed();
    expect(connection.received).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(reached().map(({ url }) => url)).toEqual(path === undefined ? [] : [path]);
  });

  test("is not asked for a path that is too long for any request", async () => {
    const { url, reached } = await fronted();
    expect((await ask(url, { path: `/mcp/${"x".repeat(20_000)}` })).status).toBe(431);
    expect(reached()).toEqual([]);
  });

  test("asks for nothing that its endpoint would be asked for: a modern client has no say below it", async () => {
    const { url, reached } = await fronted();
    const headers = { "mcp-protocol-version": "2026-07-28", accept: "text/html" };
    expect((await ask(url, { path: "/mcp/page", headers })).status).toBe(200);
    expect(reached()).toMatchObject([{ method: "GET", url: "/page", headers }]);
  });
});

test.for([
  "/base%2fmcp",
  "/x/..%2fbase/mcp",
  "/x/..;/base/mcp",
  "/x/%252e%252e/base/mcp",
  "/base%5Cmcp",
  "/BASE/mcp;x=1",
])("%s may be the endpoint at a lenient server, and is asked as the endpoint", async (path) => {
  const { url, reached } = await fronted();
  expect((await ask(url, { path, headers: { accept: "text/event-stream" } })).status).toBe(200);
  expect((await ask(url, { path, method: "PUT" })).status).toBe(405);
  expect(reached().map(({ url }) => url)).toEqual(["/base/mcp"]);
});

test("a server's other path that is the endpoint of another route is that route's", async () => {
  const origin = await startOrigin((_request, response) => void response.end("{}"));
  const [first, second] = ["/one", "/two"].map((path) =>
    configFor({
      upstream: new URL(`${path}/mcp`, origin.url),
      transport: "streamable-http",
      server: { name: path.slice(1), path: `/at${path}`, aliases: [] },
    }),
  );
  const config = { ...first, servers: [first, second].flatMap((each) => each?.servers ?? []) } as Config;
  const gateway = await startGateway(config, { log: createLog("silent") });
  onTestFinished(() => gateway.close());
  const put = (path: string) => ask(new URL(gateway.url), { path, method: "PUT" });
  // No endpoint takes PUT, and other paths do.
  expect((await put("/at/one/two/mcp")).status).toBe(405);
  expect((await put("/at/one/two/%6dcp/")).status).toBe(405);
  expect((await put("/at/one/two/mcp/x")).status).toBe(200);
});

test("a document is passed on byte for byte, with its headers", async () => {
  const document = gzipSync('{ "resource":"http://127.0.0.1/mcp",\r\n\t"scopes_supported" : [ 1.0 ] }\n');
  const { url, origins } = await fronted({
    answer: (_request, response) => {
      response.writeHead(203, [
        ...["Content-Type", "application/json;charset=UTF-8"],
        ...["content-encoding", "gzip"],
        ...["ETag", 'W/"1"'],
        ...["X-Twice", "1"],
        ...["x-twice", "2"],
        ...["Content-Length", String(document.length)],
      ]);
      response.end(document);
    },
  });
  const own = ["date", "connection", "keep-alive"];
  const path = "/.well-known/oauth-protected-resource";
  const [direct, through] = await Promise.all([
    ask(origins[0]?.url ?? url, { path: `${path}/base/mcp` }),
    ask(url, { path: `${path}/mcp` }),
  ]);
  const pairs = [direct, through].map(({ rawHeaders }) =>
    rawHeaders.flatMap((name, at) =>
      at % 2 === 0 && !own.includes(name.toLowerCase()) ? [`${name}: ${rawHeaders[at + 1]}`] : [],
    ),
  );
  expect(through.status).toBe(203);
  expect(through.body.equals(document)).toBe(true);
  expect(pairs[1]).toEqual(pairs[0]);
  expect(pairs[0]).toContain("x-twice: 2");
});

test.for(["POST", "PUT", "PATCH", "DELETE", "GET", "OPTIONS"])(
  "%s and its body are passed on as they are",
  async (method) => {
    const { url, reached } = await fronted();
    const bytes = Buffer.from(Array.from({ length: 1_000 }, (_, at) => (at * 7) % 256));
    const headers = { "content-type": "application/octet-stream", "content-length": String(bytes.length) };
    const { status, body } = await ask(url, { method, path: "/mcp/files/1", body: bytes, headers });
    expect(status).toBe(200);
    expect(body.equals(bytes)).toBe(true);
    expect(reached()).toMatchObject([{ method, url: "/files/1", headers, body: bytes }]);
  },
);

test("HEAD gets the headers and no body", async () => {
  const { url } = await fronted({
    answer: (_request, response) => {
      response.writeHead(200, { "Content-Length": 12, "X-Page": "1" }).end();
    },
  });
  const { status, headers, body } = await ask(url, { method: "HEAD", path: "/page" });
  expect(status).toBe(200);
  expect(headers).toMatchObject({ "content-length": "12", "x-page": "1" });
  expect(body).toHaveLength(0);
});

test("a redirect is the client's to follow", async () => {
  const { url, reached } = await fronted({
    answer: (_request, response) => void response.writeHead(302, { Location: "/login?next=%2F" }).end(),
  });
  const { status, headers } = await ask(url, { path: "/authorize" });
  expect([status, headers.location]).toEqual([302, "/login?next=%2F"]);
  expect(reached()).toHaveLength(1);
});

describe("in an app of somebody else's", () => {
  test.for(["/", "/x", "/mcp;x", "/tested", "/health/live", "/.well-known/oauth-protected-resource"])(
    "%s is left to whoever comes next",
    async (path) => {
      const { url, reached } = await mounted();
      expect((await ask(url, { path })).status).toBe(418);
      expect(reached()).toEqual([]);
    },
  );

  test.for<[target: string, path: string]>([
    ["/mcp", "/base/mcp"],
    ["/mcp/messages?x", "/messages?x"],
    ["/tested/mcp/", "/base/mcp"],
    ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource/base/mcp"],
  ])("%s is the server's all the same", async ([target, path]) => {
    const { url, reached } = await mounted();
    expect((await ask(url, { path: target })).status).toBe(200);
    expect(reached().map(({ url }) => url)).toEqual([path]);
  });

  test("a server says where messages go by the whole of its path", async () => {
    const { url } = await mounted("/below", (_request, response) => {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.end("event: endpoint\ndata: /messages?sessionId=1\n\n");
    });
    const { body } = await ask(url, { path: "/below/mcp", headers: { accept: "text/event-stream" } });
    expect(body.toString()).toBe("event: endpoint\ndata: /below/mcp/messages?sessionId=1\n\n");
  });
});

async function mounted(at = "/", answer?: NonNullable<Parameters<typeof fronted>[0]>["answer"]) {
  const { config, origins } = await frontedConfig(answer === undefined ? {} : { answer });
  const middleware = await taskgate(config, { log: createLog("silent") });
  onTestFinished(() => middleware.close());
  const app = express().use(at, middleware);
  app.use((_, response) => void response.status(418).json({ theirs: true }));
  const http = app.listen(0, "127.0.0.1");
  onTestFinished(() => void http.close());
  await once(http, "listening");
  const url = new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/`);
  return { url, reached: () => reached(origins) };
}
