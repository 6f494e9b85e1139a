/** The documents from which clients learn where tokens are to be had, and whose they are in each way to tell callers apart. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import express from "express";
import { describe, expect, onTestFinished, test } from "vitest";
import type { CallersConfig } from "../../../src/config/config.ts";
import { taskgate } from "../../../src/gateway.ts";
import { createLog } from "../../../src/log/log.ts";
import { ask, open } from "../../gateway/transparent/clients.ts";
import { type FrontedOptions, fronted, frontedConfig } from "../fronted.ts";
import { challengeOf } from "./behind-tokens.ts";

const WELL_KNOWN = "/.well-known/oauth-protected-resource";
const ISSUER = "https://login.example/tenant";
const JWT = {
  identify: "jwt",
  issuer: ISSUER,
  audience: ["https://tools.example"],
  jwks: new URL("http://127.0.0.1:1/keys"),
  scopes: ["tools:call", "tools:read"],
  clockToleranceMs: 0,
} as const;

test.for<[path: string, resource: string]>([
  [`${WELL_KNOWN}/mcp`, "/mcp"],
  [`${WELL_KNOWN}/tested/mcp`, "/tested/mcp"],
  [`${WELL_KNOWN}/mcp?x=y`, "/mcp"],
])("%s describes %s", async ([path, resource]) => {
  const { url, reached } = await tokens();
  const { status, headers, body } = await ask(url, { path });
  expect(status).toBe(200);
  expect(headers).toMatchObject({
    "content-type": "application/json",
    "cache-control": "public, max-age=300",
    "access-control-allow-origin": "*",
  });
  expect(JSON.parse(body.toString())).toEqual({
    resource: `${url.origin}${resource}`,
    authorization_servers: [ISSUER],
    scopes_supported: ["tools:call", "tools:read"],
    bearer_methods_supported: ["header"],
  });
  expect(reached()).toEqual([]);
});

test("a route at the root has the document that has no path", async () => {
  const { url } = await tokens({ routes: { "/": "/mcp" } });
  const { body } = await ask(url, { path: WELL_KNOWN });
  expect(JSON.parse(body.toString()).resource).toBe(url.origin);
  expect(challengeOf(await ask(url, { path: "/" })).resource_metadata).toBe(`${url.origin}${WELL_KNOWN}`);
});

test("several routes have a document each", async () => {
  const { url } = await tokens({ routes: { "/a/mcp": "/mcp", "/b/mcp": "/mcp" } });
  const resources = ["/a/mcp", "/b/mcp"].map(async (path) => {
    const { body } = await ask(url, { path: `${WELL_KNOWN}${path}` });
    return JSON.parse(body.toString()).resource;
  });
  expect(await Promise.all(resources)).toEqual([`${url.origin}/a/mcp`, `${url.origin}/b/mcp`]);
});

test("what names no scopes asks for none", async () => {
  const { url } = await tokens({ callers: { ...JWT, scopes: [] } });
  const { body } = await ask(url, { path: `${WELL_KNOWN}/mcp` });
  expect(Object.keys(JSON.parse(body.toString()))).not.toContain("scopes_supported");
});

test("the address is the public one, where there is one", async () => {
  const { url } = await tokens({ listen: { publicUrl: "https://tools.example" } });
  const { body } = await ask(url, { path: `${WELL_KNOWN}/mcp` });
  expect(JSON.parse(body.toString()).resource).toBe("https://tools.example/mcp");
  const { resource_metadata } = challengeOf(await ask(url, { path: "/mcp" }));
  expect(resource_metadata).toBe(`https://tools.example${WELL_KNOWN}/mcp`);
});

describe("a host that", () => {
  const listen = { allowedHosts: undefined, host: "0.0.0.0" };

  test.for(["tools.example", "tools.example:8443", "[::1]:80", "a_b"])("is %s is told back", async (host) => {
    const { url } = await tokens({ listen: listen as object });
    const { body } = await ask(new URL(`http://127.0.0.1:${url.port}`), {
      path: `${WELL_KNOWN}/mcp`,
      headers: { host },
    });
    expect(JSON.parse(body.toString()).resource).toBe(`http://${host}/mcp`);
  });

  test.for(['a"b', "a/b", "a?b", "user@a", "a b", "a\\b", "a:b", "é", ""])(
    "is %j is no address, and stands in no answer",
    async (host) => {
      const { url } = await tokens({ listen: listen as object });
      const at = new URL(`http://127.0.0.1:${url.port}`);
      const ends = `HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
      const document = open(at, `GET ${WELL_KNOWN}/mcp ${ends}`);
      const refusal = open(at, `GET /mcp ${ends}`);
      await Promise.all([document.closed(), refusal.closed()]);
      expect(document.received).toMatch(/^HTTP\/1\.1 400 /);
      expect(refusal.received).toMatch(/^HTTP\/1\.1 401 .*\r\nWWW-Authenticate: Bearer scope="[^"]*"\r\n/s);
    },
  );

  test("is not served here gets nothing", async () => {
    const { url } = await tokens();
    const answer = await ask(url, { path: `${WELL_KNOWN}/mcp`, headers: { host: "evil.example" } });
    expect(answer.status).toBe(403);
  });
});

test("the pages of every origin may read it", async () => {
  const { url } = await tokens();
  const path = `${WELL_KNOWN}/mcp`;
  const origin = "https://anybody.example";
  expect(await ask(url, { path, headers: { origin } })).toMatchObject({
    status: 200,
    headers: { "access-control-allow-origin": "*" },
  });
  const headers = { origin, "access-control-request-method": "GET" };
  const asking = { ...headers, "access-control-request-headers": "mcp-protocol-version" };
  expect(await ask(url, { path, method: "OPTIONS", headers: asking })).toMatchObject({
    status: 204,
    headers: {
      "access-control-allow-origin": "*",
      "access-control-allow-methods": "GET, HEAD, OPTIONS",
      "access-control-allow-headers": "*",
    },
  });
});

test("the document can be read by GET and HEAD, and nothing else", async () => {
  const { url, reached } = await tokens();
  const path = `${WELL_KNOWN}/mcp`;
  const head = await ask(url, { method: "HEAD", path });
  expect([head.status, head.headers["content-type"], head.body.length]).toEqual([200, "application/json", 0]);
  for (const method of ["POST", "PUT", "DELETE"]) {
    const { status, headers } = await ask(url, {
      method,
      path,
      headers: { "content-length": "2" },
      body: "{}",
    });
    expect([status, headers.allow]).toEqual([405, "GET, HEAD, OPTIONS"]);
  }
  expect(reached()).toEqual([]);
});

test.for<CallersConfig>([
  { identify: "anonymous" },
  { identify: "auto" },
  { identify: "authorization" },
  { identify: "header", header: "x-user", trustedProxies: ["127.0.0.1"] },
])("with %j the documents are the server's", async (callers) => {
  const { url, reached } = await fronted({ callers });
  const documents = ["oauth-protected-resource", "oauth-authorization-server"];
  for (const name of documents) {
    expect((await ask(url, { path: `/.well-known/${name}/mcp` })).status).toBe(200);
    expect((await ask(url, { path: `/.well-known/${name}` })).status).toBe(200);
  }
  expect(reached().map(({ url }) => url)).toEqual(
    documents.flatMap((name) => [`/.well-known/${name}/base/mcp`, `/.well-known/${name}`]),
  );
});

test.for(["", "/below"])("in an app of somebody else's, at %j, the address is the app's", async (at) => {
  const { config } = await frontedConfig({ callers: JWT });
  const middleware = await taskgate(config, { log: createLog("silent") });
  onTestFinished(() => middleware.close());
  const app = express();
  app.use(at === "" ? "/" : at, middleware);
  app.use((_, response) => void response.status(418).end());
  const http = app.listen(0, "127.0.0.1");
  onTestFinished(() => void http.close());
  await once(http, "listening");
  const url = new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/`);

  const { resource_metadata = "" } = challengeOf(await ask(url, { path: `${at}/mcp` }));
  const { status, body } = await ask(url, { path: new URL(resource_metadata).pathname });
  expect([status, JSON.parse(body.toString()).resource]).toEqual([200, `${url.origin}${at}/mcp`]);
  expect((await ask(url, { path: `${WELL_KNOWN}/other` })).status).toBe(418);
});

function tokens(options: FrontedOptions = {}) {
  return fronted({ callers: JWT, ...options });
}
