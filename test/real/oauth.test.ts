/** Logging in with OAuth, through the gateway: what the SDKs have for it on either side, with nothing made for the occasion. */

import { createServer } from "node:http";
import {
  type OAuthClientProvider as ModernProvider,
  StreamableHTTPClientTransport as ModernTransport,
  UnauthorizedError as ModernUnauthorizedError,
  type OAuthDiscoveryState,
} from "@modelcontextprotocol/client";
import {
  type OAuthClientProvider as LegacyProvider,
  UnauthorizedError,
} from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { InMemoryOAuthClientProvider } from "@modelcontextprotocol/sdk/examples/client/simpleOAuthClientProvider.js";
import { requireBearerAuth } from "@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js";
import {
  getOAuthProtectedResourceMetadataUrl,
  mcpAuthMetadataRouter,
} from "@modelcontextprotocol/sdk/server/auth/router.js";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import {
  CallToolRequestSchema,
  CallToolResultSchema,
  CreateTaskResultSchema,
  ListToolsRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import express from "express";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { taskgate } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { connectOver } from "../demo/task-session.ts";
import { configFor, type GatewaySettings } from "../support/gateway.ts";
import { legacySessions } from "../support/legacy-http.ts";
import { ModernClient } from "../support/modern-client.ts";
import { type AuthorizationServer, SCOPE, startAuthorizationServer } from "./authorization-server.ts";
import { listening } from "./listening.ts";

const REDIRECT = "http://127.0.0.1:1/callback";
const LIFETIME_SECONDS = 60;
const UNKNOWN = { code: -32602, message: "Failed to retrieve task: no such task" };
const TOOL = { name: "work", inputSchema: { type: "object" as const } };
/** Who verifies tokens. */
const MODES = ["the server", "the gateway"] as const;

describe.each(MODES)("%s takes the tokens", (verifier) => {
  test("of a client of 2025-11-25, which finds its task with the token that came after", async () => {
    const { url, authorization, release, seen } = await start(verifier);
    const ada = await logIn(url, "ada");
    const { task } = await ada.client.request(
      { method: "tools/call", params: { name: "work", arguments: {}, task: {} } },
      CreateTaskResultSchema,
    );
    const { tasks } = ada.client.experimental;
    expect(await tasks.getTask(task.taskId)).toMatchObject({ status: "working" });

    const before = ada.token();
    endTokens();
    await ada.client.listTools();
    expect(ada.token()).not.toBe(before);
    expect(await tasks.getTask(task.taskId)).toMatchObject({ status: "working" });
    release();
    expect(await tasks.getTaskResult(task.taskId, CallToolResultSchema)).toMatchObject({
      content: [{ type: "text", text: RESULTS[verifier] }],
    });

    const eve = await logIn(url, "eve");
    await expect(eve.client.experimental.tasks.getTask(task.taskId)).rejects.toMatchObject({
      code: UNKNOWN.code,
      message: expect.stringContaining(UNKNOWN.message),
    });
    expect(authorization.grants).toEqual([
      "authorization_code ada",
      "refresh_token ada",
      "authorization_code eve",
    ]);
    expect(seen.some((credential) => credential !== undefined)).toBe(verifier === "the server");
  });

  test("of a client of 2026-07-28, which finds its task with the token that came after", async () => {
    const { url, authorization, release } = await start(verifier);
    const ada = loginOf("ada");
    const transport = () => new ModernTransport(url, { authProvider: ada.authProvider });
    const first = transport();
    await expect(connectOver(first, url.href, unasked)).rejects.toThrow(ModernUnauthorizedError);
    await first.finishAuth(await ada.code());
    const session = await connectOver(transport(), url.href, unasked);
    onTestFinished(() => session.close());
    expect([session.era, session.serverHasTasks]).toEqual(["modern", true]);

    const execution = await session.tasks.callTool("work", {});
    expect(execution.kind).toBe("task");
    const taskId = execution.handle?.taskId ?? "";
    const before = ada.token();
    endTokens();
    const outcome = execution.result();
    await expect.poll(() => ada.token(), { timeout: 60_000 }).not.toBe(before);
    release();
    expect(await outcome).toMatchObject({
      status: "completed",
      result: { content: [{ type: "text", text: RESULTS[verifier] }] },
    });

    const eve = await logIn(url, "eve");
    const headers = { authorization: `Bearer ${eve.token()}` };
    const { status, message } = await new ModernClient(url, { headers }).send("tasks/get", { taskId });
    expect([status, message.error]).toEqual([200, UNKNOWN]);
    expect(authorization.grants).toEqual([
      "authorization_code ada",
      "refresh_token ada",
      "authorization_code eve",
    ]);
  });
});

test("a server that does not know by what address it is reached cannot be logged in at", async () => {
  const { url } = await start("the server", { isConfigured: false });
  const { authProvider } = loginOf("ada");
  const transport = new StreamableHTTPClientTransport(url, { authProvider });
  await expect(connect(transport)).rejects.toThrow(/Protected resource .* does not match expected/);
});

const RESULTS = { "the server": "done for ada", "the gateway": "done for nobody" } as const;

interface StartOptions {
  /** Whether the server knows the address of the gateway. */
  readonly isConfigured?: boolean;
}

/** All three, and where the clients go. */
async function start(verifier: (typeof MODES)[number], { isConfigured = true }: StartOptions = {}) {
  const app = express();
  const url = new URL("/mcp", await listening(createServer(app)));
  const authorization = await startAuthorizationServer({ lifetimeSeconds: LIFETIME_SECONDS });
  const server = await startServer(
    verifier === "the gateway" ? {} : { authorization, ...(isConfigured ? { resource: url } : {}) },
  );
  const { issuer } = authorization;
  const callers: GatewaySettings["callers"] =
    verifier === "the server"
      ? { identify: "authorization" }
      : { identify: "jwt", issuer, audience: [url.href], scopes: [SCOPE], clockToleranceMs: 0 };
  const settings = {
    upstream: server.url,
    callers,
    policy: { waitForMs: 50, pollIntervalMs: 20, maxRuntimeMs: 600_000 },
  };
  const middleware = await taskgate(configFor(settings), { log: createLog("silent") });
  onTestFinished(() => middleware.close());
  app.use(middleware);
  return { ...server, url, authorization };
}

interface Protection {
  readonly authorization?: AuthorizationServer;
  /** As which the server is known to its clients; as itself unless given. */
  readonly resource?: URL;
}

/** A server with one tool, which works until it is released; protected where there is an authorization server. */
async function startServer({ authorization, resource }: Protection) {
  const app = express();
  const url = new URL("/mcp", await listening(createServer(app)));
  const resourceServerUrl = resource ?? url;
  const seen: (string | undefined)[] = [];
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const sessions = legacySessions(() => {
    const server = new Server({ name: "protected", version: "1.0.0" }, { capabilities: { tools: {} } });
    server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [TOOL] }));
    server.setRequestHandler(CallToolRequestSchema, async (_, { authInfo }) => {
      await released;
      return { content: [{ type: "text", text: `done for ${authInfo?.extra?.user ?? "nobody"}` }] };
    });
    return server;
  });
  onTestFinished(() => sessions.close());
  app.use((request, _, next) => {
    seen.push(request.headers.authorization);
    next();
  });
  if (authorization !== undefined) {
    app.use(mcpAuthMetadataRouter({ oauthMetadata: authorization.metadata, resourceServerUrl }));
    app.use(
      "/mcp",
      requireBearerAuth({
        verifier: authorization.provider,
        requiredScopes: [SCOPE],
        resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(resourceServerUrl),
        expectedResource: resourceServerUrl,
      }),
    );
  }
  app.all("/mcp", (request, response) => sessions.handle(request, response));
  return { url, seen, release: () => release() };
}

/** Somebody who is asked to log in, and does. */
function loginOf(user: string) {
  let asked: URL | undefined;
  const metadata = {
    client_name: "test",
    redirect_uris: [REDIRECT],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  };
  const provider = new InMemoryOAuthClientProvider(REDIRECT, metadata, (url) => {
    asked = url;
  });
  /** What a browser does: it opens the page, and is sent back with a code. */
  const code = async () => {
    const answer = await fetch(asked ?? "", { redirect: "manual", headers: { cookie: `user=${user}` } });
    return new URL(answer.headers.get("location") ?? "").searchParams.get("code") ?? "";
  };
  // The newer client keeps what it has found out, so that the code goes to whom it was asked of.
  let found: OAuthDiscoveryState | undefined;
  const memory = {
    discoveryState: () => found,
    saveDiscoveryState: (state: OAuthDiscoveryState) => {
      found = state;
    },
  };
  const authProvider = Object.assign(provider, memory) as LegacyProvider & ModernProvider;
  return { authProvider, code, token: () => provider.tokens()?.access_token };
}

/** The v1 client, logged in. */
async function logIn(url: URL, user: string) {
  const { authProvider, code, token } = loginOf(user);
  const first = new StreamableHTTPClientTransport(url, { authProvider });
  await expect(connect(first)).rejects.toThrow(UnauthorizedError);
  await first.finishAuth(await code());
  const client = await connect(new StreamableHTTPClientTransport(url, { authProvider }));
  onTestFinished(() => client.close());
  return { client, token };
}

async function connect(transport: StreamableHTTPClientTransport): Promise<Client> {
  const client = new Client({ name: "test", version: "1.0.0" });
  await client.connect(transport as Transport);
  return client;
}

/** The next minute comes: tokens are over, and tasks are not. */
function endTokens(): void {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + LIFETIME_SECONDS * 1_000 });
  onTestFinished(() => void vi.useRealTimers());
}

const unasked = () => Promise.reject(new Error("nothing is asked here"));
