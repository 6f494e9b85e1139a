import { once } from "node:events";
import type { AddressInfo } from "node:net";
import express from "express";
import { request } from "undici";
import { describe, expect, onTestFinished, test } from "vitest";
import { startGateway, taskgate } from "../../src/gateway.ts";
import { adminApp } from "../../src/http/admin/admin.ts";
import { httpServer } from "../../src/http/app.ts";
import { createLog } from "../../src/log/log.ts";
import { ask } from "../gateway/transparent/clients.ts";
import { configFor } from "../support/gateway.ts";
import { ModernClient, read } from "../support/modern-client.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { fronted } from "./fronted.ts";
import { LIST_HEADERS, messageText, served } from "./served.ts";

const VERBS = ["GET", "DELETE", "OPTIONS"] as const;

describe("POST is the only way to talk to an endpoint as a modern client", () => {
  test.for(VERBS)("and not %s", async (method) => {
    const { url, server } = await served();
    const { status, headers, message } = await read(
      await request(url, {
        method,
        headers: {
          accept: "text/event-stream",
          "mcp-session-id": "x",
          "mcp-protocol-version": "2026-07-28",
        },
      }),
    );
    expect(status).toBe(405);
    expect(headers.allow).toBe("POST");
    expect(message).toMatchObject({ jsonrpc: "2.0", id: null, error: { code: -32600 } });
    expect(server.received.filter((exchange) => exchange.headers["mcp-session-id"] === "x")).toEqual([]);
  });

  test.for(["2026-07-28", "2027-01-01", "latest"])("for the version %s", async (version) => {
    const { url } = await served();
    const answer = await request(url, { headers: { "mcp-protocol-version": version } });
    expect(answer.statusCode).toBe(405);
    expect(answer.headers.allow).toBe("POST");
  });

  test("HEAD is none either, and has no body", async () => {
    const { url } = await served();
    const response = await request(url, {
      method: "HEAD",
      headers: { "mcp-protocol-version": "2026-07-28" },
    });
    expect(response.statusCode).toBe(405);
    expect(response.headers.allow).toBe("POST");
    expect(await response.body.text()).toBe("");
  });
});

describe("how to talk to an endpoint as a legacy client is its server's to say", () => {
  test.for(
    VERBS.flatMap((method) =>
      ["2025-11-25", "2024-11-05", undefined].map((version) => [method, version] as const),
    ),
  )("with %s and the version %s", async ([method, version]) => {
    const { url, reached } = await fronted({
      answer: (_request, response) => void response.writeHead(405, { Allow: "BREW" }).end("no"),
    });
    const headers = { "mcp-session-id": "x", ...(version && { "mcp-protocol-version": version }) };
    const answer = await ask(url, { method, path: "/mcp", headers });
    expect([answer.status, answer.headers.allow, answer.body.toString()]).toEqual([405, "BREW", "no"]);
    expect(reached()).toMatchObject([{ method, url: "/base/mcp", headers }]);
  });
});

test("what earlier revisions send along is ignored", async () => {
  const { client } = await served();
  const headers = { "mcp-session-id": "made-up", "last-event-id": "7" };
  const answer = await client().send("tools/list", {}, { headers });
  expect(answer.status).toBe(200);
  expect(answer.headers["mcp-session-id"]).toBeUndefined();
});

test("the only server answers under its own path and its alias, with a query or without", async () => {
  const { url } = await served();
  for (const path of ["/tested/mcp", "/mcp", "/mcp?a=1", "/tested/mcp?"]) {
    const answer = await request(new URL(path, url), {
      method: "POST",
      headers: { ...LIST_HEADERS },
      body: messageText(),
    });
    expect((await read(answer)).status).toBe(200);
  }
});

test("a client gets a limited time to send its request", () => {
  const server = httpServer(() => undefined);
  onTestFinished(() => void server.close());
  expect(server).toMatchObject({ requestTimeout: 60_000, headersTimeout: 20_000 });
});

test("in an app of somebody else's, what is no endpoint is left to whoever comes next", async () => {
  const server = await startScriptedServer();
  onTestFinished(server.close);
  const middleware = await taskgate(configFor({ upstream: server.url }), { log: createLog("silent") });
  onTestFinished(() => middleware.close());
  const app = express().use(middleware);
  app.use((_, response) => void response.status(418).json({ theirs: true }));
  const http = app.listen(0, "127.0.0.1");
  onTestFinished(() => void http.close());
  await once(http, "listening");
  const base = new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/`);

  expect(await new ModernClient(new URL("/mcp", base)).result("tools/list")).toMatchObject({
    resultType: "complete",
  });
  expect(await get(base, "/health/live")).toEqual({ status: 418, message: { theirs: true } });
});

describe("the admin listener", () => {
  test("says that the gateway is alive, that it is ready, and nothing else", async () => {
    const adminUrl = await admin();
    expect(await get(adminUrl, "/health/live")).toEqual({ status: 200, message: { status: "live" } });
    expect(await get(adminUrl, "/health/ready")).toEqual({ status: 200, message: { status: "ready" } });
    expect(await get(adminUrl, "/mcp")).toEqual({
      status: 404,
      message: {
        type: "about:blank",
        title: "Not found",
        status: 404,
        detail: expect.stringMatching(
          /^There is nothing at \/mcp: that path is on the main port .*\/health\/ready/,
        ),
      },
    });
    expect((await get(adminUrl, "/-/health")).message.detail).toContain("main port (listen.port)");
    expect((await get(adminUrl, "/nowhere")).message.detail).toBe("There is nothing at /nowhere");
  });

  test("is not ready any more when the gateway is about to stop", async () => {
    const http = httpServer(
      adminApp({ log: createLog("silent"), status: () => "stopping", guard: () => undefined }),
    ).listen(0, "127.0.0.1");
    onTestFinished(() => void http.close());
    await once(http, "listening");
    const base = `http://127.0.0.1:${(http.address() as AddressInfo).port}/`;
    expect(await get(base, "/health/live")).toEqual({ status: 200, message: { status: "live" } });
    expect(await get(base, "/health/ready")).toEqual({ status: 503, message: { status: "stopping" } });
  });

  test("is not there unless it is asked for", async () => {
    expect((await served()).gateway.adminUrl).toBeUndefined();
  });
});

async function get(base: string | URL, path: string) {
  const { status, message } = await read(await request(new URL(path, base)));
  return { status, message };
}

async function admin(): Promise<string> {
  const server = await startScriptedServer();
  onTestFinished(server.close);
  const config = {
    ...configFor({ upstream: server.url }),
    admin: { host: "127.0.0.1", port: 0, payloads: false },
  };
  const gateway = await startGateway(config, { log: createLog("silent") });
  onTestFinished(() => gateway.close());
  return gateway.adminUrl ?? "";
}
