/** Headers of clients that a server could take for somebody else's word, and every way on which they could reach it. */

import type { IncomingMessage } from "node:http";
import { describe, expect, test } from "vitest";
import type { CallersConfig } from "../../src/config/config.ts";
import { headerScreen } from "../../src/http/header-screen.ts";
import { createLog } from "../../src/log/log.ts";
import type { Route } from "../../src/requests/request.ts";
import { ask } from "../gateway/transparent/clients.ts";
import { LegacyWire } from "../support/legacy-wire.ts";
import { ModernClient } from "../support/modern-client.ts";
import { modernScripts, STATELESS } from "../support/modern-server.ts";
import { served } from "./served.ts";

const PROXY = "127.0.0.1";
const NAMED: CallersConfig = { identify: "header", header: "x-user", trustedProxies: [PROXY] };

interface Screening {
  readonly callers?: CallersConfig;
  /** Of `upstream.headers`. */
  readonly set?: Readonly<Record<string, string>>;
  readonly address?: string;
}

/** What is left of a request with these headers. */
function left(names: readonly string[], { callers = NAMED, set = {}, address = PROXY }: Screening = {}) {
  const rawHeaders = names.flatMap((name, at) => [name, `value-${at}`]);
  const headers = Object.fromEntries(names.map((name, at) => [name.toLowerCase(), `value-${at}`]));
  const request = { rawHeaders, headers, socket: { remoteAddress: address } } as unknown as IncomingMessage;
  const upstream = { transport: "streamable-http", headers: set };
  const route = { config: { name: "r", upstream }, log: createLog("silent") } as unknown as Route;
  headerScreen({ callers })(request, route);
  const kept = request.rawHeaders.filter((_, at) => at % 2 === 0);
  expect(Object.keys(request.headers)).toEqual([...new Set(kept.map((name) => name.toLowerCase()))]);
  return kept;
}

test.each([
  ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x_http_method_override"],
  ["X-Original-URL", "X-Rewrite-URL", "X_Original_URL", "X-Original-URI"],
  ["Proxy"],
])("what makes another request of a request is dropped, whoever sends it: %s …", (...names) => {
  expect(left([...names, "X-Kept"])).toEqual(["X-Kept"]);
  expect(left([...names, "X-Kept"], { address: "192.0.2.1" })).toEqual(["X-Kept"]);
});

test("an address of the sender is believed from trusted proxies alone, whatever its header is called", () => {
  const names = [
    "True-Client-IP",
    "CF-Connecting-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "Fastly-Client-IP",
  ];
  expect(left(names)).toEqual(names);
  expect(left(names, { address: "192.0.2.1" })).toEqual([]);
});

describe("what differs only by its signs is dropped", () => {
  test.for<[whose: string, own: readonly string[], others: readonly string[]]>([
    ["of the proxy's", ["X-User"], ["X_User", "x.user", "X~User", "x!user", "X_USER"]],
    ["of upstream.headers", ["X-Api-Key"], ["X_Api_Key", "X-Api_Key", "x.api-key", "X|Api^Key"]],
    ["of one that is set with another sign", ["X_Tenant_Id"], ["X-Tenant-Id", "x.tenant.id"]],
    [
      "of ours",
      ["Mcp-Session-Id", "Mcp-Name"],
      ["Mcp_Session_Id", "mcp.name", "Mcp_Whatever", "Mcp_Param_X"],
    ],
    [
      "of the connection's",
      ["Content-Length"],
      ["Content_Length", "Transfer_Encoding", "Keep_Alive", "Proxy_Authorization"],
    ],
  ])("%s", ([, own, others]) => {
    const set = { "x-api-key": "k", x_tenant_id: "t" };
    expect(left([...own, ...others, "Accept"], { set })).toEqual([...own, "Accept"]);
  });

  test("and nothing else is", () => {
    const names = [
      "X_Other",
      "X-Other",
      "my.header",
      "a_b",
      "_",
      "Mcp-Param-Customer_Id",
      "X_Users",
      "Authorization",
    ];
    expect(left(names, { set: { "x-api-key": "k" } })).toEqual(names);
  });

  test("several lines of it are dropped, between others that stay in their order", () => {
    expect(left(["a", "X_User", "b", "x_user", "X-User", "b", "X_USER"])).toEqual(["a", "b", "X-User", "b"]);
  });
});

describe("what only a proxy may say", () => {
  const SAID = [
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "x-forwarded-user",
    "X-Forwarded",
    "Forwarded",
    "X-Real-IP",
  ];
  const LOOKALIKES = ["X_Forwarded_For", "X-Forwarded_Proto", "x.real.ip", "X_Forwarded"];

  test.for<[who: string, callers: CallersConfig]>([
    ["auto", { identify: "auto", trustedProxies: ["10.0.0.0/8"] }],
    ["anonymous", { identify: "anonymous" }],
    ["authorization", { identify: "authorization" }],
  ])("is dropped when it comes from elsewhere: %s", ([, callers]) => {
    expect(left([...SAID, ...LOOKALIKES, "Accept"], { callers })).toEqual(["Accept"]);
  });

  test.for(["10.1.2.3", "::ffff:10.1.2.3"])("passes when it comes from %s, which is trusted", (address) => {
    const callers: CallersConfig = { identify: "auto", trustedProxies: ["10.0.0.0/8"] };
    expect(left([...SAID, ...LOOKALIKES], { callers, address })).toEqual(SAID);
  });
});

describe("on every way", () => {
  const SENT = {
    "x-user": "bob",
    x_user: "alice",
    "x.api.key": "the-clients",
    x_api_key: "the-clients",
    "x-forwarded_for": "10.0.0.1",
    "x-tags": "kept",
  };
  const SETTINGS = {
    callers: NAMED,
    headers: { "x-api-key": "the-operators" },
    forwardHeaders: ["x-user", "x_user", "x_api_key", "x-tags"],
    policy: { mode: "always" },
    scripts: { "tools/call": () => undefined },
  } as const;

  test.for<[way: string, isModern: boolean, go: (url: URL) => Promise<unknown>]>([
    ["a client of 2026-07-28", false, (url) => new ModernClient(url, { headers: SENT }).callTool("t")],
    [
      "a client of 2026-07-28 at a server that speaks it",
      true,
      (url) => new ModernClient(url, { headers: SENT }).callTool("t"),
    ],
    [
      "a client of 2025-11-25 whose call becomes a task",
      false,
      async (url) => (await LegacyWire.connect(url, { headers: SENT })).begin("t"),
    ],
  ])("%s", async ([, isModern, go]) => {
    const scripts = { ...(isModern ? modernScripts() : {}), ...SETTINGS.scripts };
    const { url, server } = await served({
      ...SETTINGS,
      scripts,
      ...(isModern ? { options: STATELESS } : {}),
    });
    await go(url);
    await server.arrival("tools/call");
    expectScreened(server.received.filter(({ method }) => method !== "server/discover" || isModern));
    expect(server.received.findLast(({ method }) => method === "tools/call")?.headers).toMatchObject({
      "x-user": "bob",
      "x-tags": "kept",
    });
  });

  test.for(["/mcp", "/page"])("a request that passes as it is, to %s", async (path) => {
    const { url, server } = await served(SETTINGS);
    const body = '{"jsonrpc":"2.0","method":"x/y"}';
    const headers = { ...SENT, "content-type": "application/json", accept: "application/json" };
    await ask(url, { method: "POST", path, headers, body });
    await expect
      .poll(() => server.received.filter(({ headers: got }) => got["x-tags"] === "kept"))
      .toHaveLength(1);
    expectScreened(server.received.filter(({ headers: got }) => got["x-tags"] === "kept"));
  });

  function expectScreened(received: readonly { readonly headers: Readonly<Record<string, unknown>> }[]) {
    expect(received.length).toBeGreaterThan(0);
    for (const { headers } of received) {
      for (const name of ["x_user", "x.api.key", "x_api_key", "x-forwarded_for"])
        expect(headers).not.toHaveProperty([name]);
    }
  }
});

test("a program that knows its callers sees all that came, and its server does not", async () => {
  const seen: (string | undefined)[] = [];
  const { url, server } = await served({
    identify: async ({ headers }) => {
      seen.push(String(headers["x-forwarded-user"]));
      await new Promise(setImmediate);
      return { key: `user:${headers["x-forwarded-user"]}`, isIdentified: true, headers: {} };
    },
  });
  const wire = await LegacyWire.connect(url, { headers: { "x-forwarded-user": "ada" } });
  await wire.result("tools/list");
  expect(new Set(seen)).toEqual(new Set(["ada"]));
  expect(server.received.some(({ headers }) => "x-forwarded-user" in headers)).toBe(false);
});
