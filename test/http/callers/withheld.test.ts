/** A token for the gateway, and every way by which a server could come by it. */

import { request } from "undici";
import { describe, expect, onTestFinished, test } from "vitest";
import { ask } from "../../gateway/transparent/clients.ts";
import { gatewayFor } from "../../support/gateway.ts";
import { startJwksIssuer } from "../../support/jwks-issuer.ts";
import { LegacyWire } from "../../support/legacy-wire.ts";
import { ModernClient } from "../../support/modern-client.ts";
import { modernScripts, STATELESS } from "../../support/modern-server.ts";
import type { Received } from "../../support/scripted-exchange.ts";
import { answering, startSseServer } from "../../support/sse-server.ts";
import { type BehindTokens, behindTokens, jwtCallers } from "./behind-tokens.ts";

/** What a server gets, by what becomes of the client's own. */
const SETTINGS = {
  withheld: {},
  forwarded: { forwardHeaders: ["authorization"] },
  replaced: { headers: { authorization: "Bearer of-the-gateway" } },
} as const;

type Becomes = keyof typeof SETTINGS;

interface Way {
  /** What the client does. */
  go(behind: BehindTokens, headers: { readonly authorization: string }): Promise<unknown>;
  /** Of what method the requests are by which the server could come by the token. */
  readonly reaches: readonly string[];
  readonly isModern?: boolean;
}

const WAYS: Readonly<Record<string, Way>> = {
  "a client of 2026-07-28": {
    go: async ({ url, server }, headers) => {
      const client = new ModernClient(url, { headers });
      await client.result("tools/list");
      await client.callTool("anything");
      await server.arrival("tools/call");
    },
    reaches: ["tools/list", "tools/call"],
  },
  "a client of 2026-07-28 at a server that speaks it": {
    go: async ({ url, server }, headers) => {
      const client = new ModernClient(url, { headers });
      await client.result("tools/list");
      await client.send("prompts/get", { name: "p" });
      await client.callTool("anything");
      await server.arrival("tools/call");
    },
    reaches: ["tools/list", "prompts/get", "tools/call"],
    isModern: true,
  },
  "a client of 2025-11-25": {
    go: async ({ url, server }, headers) => {
      const session = await LegacyWire.connect(url, { headers });
      await session.result("tools/list");
      await session.listen();
      await server.arrival("GET");
      session.open("tools/call", { name: "anything", arguments: {} });
      await server.arrival("tools/call");
      await session.end();
    },
    reaches: ["initialize", "notifications/initialized", "tools/list", "GET", "tools/call", "DELETE"],
  },
  "a client of 2025-11-25 whose call becomes a task": {
    go: async ({ url, server }, headers) => {
      const session = await LegacyWire.connect(url, { headers });
      await session.begin("anything");
      await server.arrival("tools/call");
    },
    reaches: ["initialize", "tools/call"],
  },
};

describe.each(Object.keys(SETTINGS) as Becomes[])("the token is %s", (becomes) => {
  test.for(Object.entries(WAYS))("by %s", async ([, { go, reaches, isModern = false }]) => {
    const scripts = { "tools/call": () => undefined };
    const behind = await behindTokens({
      settings: {
        ...SETTINGS[becomes],
        ...(isModern ? { scripts: { ...modernScripts(), ...scripts }, options: STATELESS } : { scripts }),
      },
    });
    const authorization = await behind.bearer();
    await go(behind, { authorization });
    expectToken(behind.server.received, { becomes, reaches, authorization });
  });

  test("by a client of a session that is paired with one at a server of HTTP+SSE", async () => {
    const { url, server, authorization } = await behindSse(becomes);
    const session = await LegacyWire.connect(url, { headers: { authorization } });
    await session.result("tools/list");
    await session.begin("anything");
    await server.arrival("tools/call");
    const reaches = ["GET", "initialize", "tools/list", "tools/call"];
    expectToken(server.received, { becomes, reaches, authorization });
  });

  test("by a client of HTTP+SSE, and in all the rest that its server has", async () => {
    const { url, server, authorization } = await behindSse(becomes);
    const stream = new AbortController();
    onTestFinished(() => stream.abort());
    const headers = { authorization, accept: "text/event-stream" };
    const { body } = await request(url, { headers, signal: stream.signal });
    body.on("error", () => undefined);
    const [, path = ""] =
      /^data: (.*)$/m.exec(String((await body[Symbol.asyncIterator]().next()).value)) ?? [];
    const posted = { authorization, "content-type": "application/json" };
    await ask(url, { method: "POST", path, headers: posted, body: '{"jsonrpc":"2.0","method":"x/y"}' });
    await server.arrival("x/y");
    expectToken(server.received, { becomes, reaches: ["GET", "x/y"], authorization });
  });
});

async function behindSse(becomes: Becomes) {
  const issuer = await startJwksIssuer();
  const described = { serverInfo: { name: "sse", version: "0" }, capabilities: { tools: {} } };
  const server = await startSseServer({
    initialize: answering({ protocolVersion: "2025-11-25", ...described }),
    "tools/call": (call) => call.accept(),
    "x/y": (call) => call.accept(),
  });
  onTestFinished(server.close);
  const gateway = await gatewayFor({
    upstream: server.url,
    policy: { mode: "always" },
    callers: jwtCallers(issuer),
    ...SETTINGS[becomes],
  });
  return { ...gateway, server, authorization: `Bearer ${await issuer.token()}` };
}

interface Expected {
  readonly becomes: Becomes;
  readonly reaches: readonly string[];
  readonly authorization: string;
}

function expectToken(received: readonly Received[], { becomes, reaches, authorization }: Expected): void {
  const become = { withheld: undefined, forwarded: authorization, replaced: "Bearer of-the-gateway" };
  for (const method of reaches) {
    const got = received
      .filter((message) => message.method === method)
      .map(({ headers }) => headers.authorization);
    expect(got, method).toContain(become[becomes]);
  }
  const [, token = ""] = authorization.split(" ");
  const holders = received.filter(({ headers, message }) =>
    JSON.stringify([headers, message]).includes(token),
  );
  expect(holders.length > 0).toBe(becomes === "forwarded");
}
