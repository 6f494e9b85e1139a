/** How many sessions a gateway has, and that nothing is left of those that were. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { openCore } from "../../../src/core.ts";
import { gatewayListener, httpServer } from "../../../src/http/app.ts";
import { anonymous } from "../../../src/http/callers/identify.ts";
import { mcpEndpoint } from "../../../src/http/endpoint.ts";
import { createLog } from "../../../src/log/log.ts";
import { configFor } from "../../support/gateway.ts";
import { LegacyWire, WireStream } from "../../support/legacy-wire.ts";
import { startSseServer } from "../../support/sse-server.ts";

/** A gateway before a server of HTTP+SSE that keeps `maxSessions` at the most. */
async function limitedTo(maxSessions: number) {
  const server = await startSseServer();
  onTestFinished(server.close);
  const limits = { total: { sessions: maxSessions } };
  const config = configFor({ upstream: server.url, transport: "sse", limits });
  const core = await openCore(config, createLog("silent"));
  const { handlers, quotas } = core;
  const { bytes } = quotas;
  const endpoint = mcpEndpoint({
    guard: () => undefined,
    identify: anonymous,
    handlers,
    bytes,
    report: core.report,
    ...config.limits,
  });
  const routes = () => core.routes.byPath;
  const http = httpServer(gatewayListener({ routes, endpoint }));
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  onTestFinished(async () => {
    const cut = async () => {
      await handlers.legacy.pairs.close();
      http.closeAllConnections();
    };
    const drain = async () => undefined;
    const stop = async () => void http.close();
    await core.close({ areWatched: false, drain, refuse: drain, admit: drain, stop, cut });
  });
  const url = new URL(`http://127.0.0.1:${(http.address() as AddressInfo).port}/tested/mcp`);
  return { server, url };
}

const VERSION = { version: "2024-11-05" };

test("a client that comes when there are as many sessions as there may be is told so, until one ends", async () => {
  const { url } = await limitedTo(2);
  const [first] = [await LegacyWire.connect(url, VERSION), await LegacyWire.connect(url, VERSION)];
  const opening = { jsonrpc: "2.0", id: 3, method: "initialize", params: {} };
  const { status, headers, message } = await new WireStream(url, "POST", {}, opening).answer;
  expect([status, headers["mcp-session-id"]]).toEqual([503, undefined]);
  expect(message).toMatchObject({ id: 3, error: { code: -32603, message: expect.stringContaining("2") } });
  await first?.end();
  await LegacyWire.connect(url, VERSION);
});

test("of sessions that come and go nothing is left, at the server and here", async () => {
  const { url, server } = await limitedTo(3);
  for (let round = 0; round < 50; round++) {
    const user = await LegacyWire.connect(url, VERSION);
    await user.listen();
    await user.result("tools/list");
    // Every other is the server's to end.
    if (round % 2 === 0) await user.end();
    else [...server.sessions.values()].at(-1)?.stream?.cut();
    await server.until(() => server.sessions.size === 0, "the end of the session");
  }
  expect(server.received.filter(({ method }) => method === "tools/list")).toHaveLength(50);
});
