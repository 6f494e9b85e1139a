/** Ids under which servers are asked: the same one never twice in a process, whichever session it is for. */

import { expect, onTestFinished, test } from "vitest";
import { nextRequestId } from "../../src/upstream/request-ids.ts";
import { gatewayFor } from "../support/gateway.ts";
import { type ScriptedServer, startScriptedServer } from "../support/scripted-server.ts";
import { EVERYTHING } from "../support/story.ts";
import { upstreamOf } from "../support/upstream.ts";

test("is never the same, and fits where servers keep it", () => {
  const ids = Array.from({ length: 10_000 }, nextRequestId);
  expect(new Set(ids).size).toBe(ids.length);
  expect(Math.min(...ids)).toBeGreaterThanOrEqual(1_000_000);
  expect(Math.max(...ids)).toBeLessThanOrEqual(999_999_999);
});

test("no two requests to one server have the same id or progress token, in whatever session", async () => {
  const server = await startScriptedServer({ "tools/call": (call) => call.text("done") });
  onTestFinished(server.close);
  const { client } = await gatewayFor({ upstream: server.url, policy: { mode: "always" } });
  const user = client({ capabilities: EVERYTHING });
  await user.result("tools/list");
  await Promise.all([1, 2, 3, 4].map(async () => user.settled((await user.callTool("anything")).taskId)));
  expect(countOf(server, "tools/call")).toBe(4);
  expect(countOf(server, "initialize")).toBeGreaterThan(1);
  expectUnique(server);
});

test("two gateways' worth of sessions at one server do not meet", async () => {
  const server = await startScriptedServer();
  onTestFinished(server.close);
  for (let count = 0; count < 2; count += 1) {
    const upstream = upstreamOf(server.url);
    for (const caller of ["ada", "grace"])
      await upstream.control({ caller, headers: {}, capabilities: {} }).ask("tools/list");
  }
  expect(countOf(server, "tools/list")).toBe(4);
  expectUnique(server);
});

function countOf(server: ScriptedServer, method: string): number {
  return server.received.filter((exchange) => exchange.method === method).length;
}

function expectUnique(server: ScriptedServer): void {
  const asked = server.received.filter(
    ({ message }) => message.id !== undefined && message.method !== undefined,
  );
  const ids = asked.map(({ message }) => message.id);
  expect(new Set(ids).size).toBe(ids.length);
  const tokens = asked.map(
    ({ message }) => (message.params?._meta as { progressToken?: unknown })?.progressToken,
  );
  const given = tokens.filter((token) => token !== undefined);
  expect(new Set(given).size).toBe(given.length);
}
