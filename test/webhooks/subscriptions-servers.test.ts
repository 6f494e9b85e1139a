/** Subscriptions of clients before servers of each kind, and over TLS. */

import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { run } from "../cli/process.ts";
import { selfSigned } from "../gateway/transparent/certificate.ts";
import { complete, modernStory } from "../support/modern-server.ts";
import { count, EVERYTHING, story, textResult } from "../support/story.ts";
import { EVENT, EVENTS, startCallback } from "./callback.ts";

const CAPABILITY = "io.modelcontextprotocol/events";
const SETTINGS = {
  callers: { identify: "header", header: "x-user", trustedProxies: ["127.0.0.1"] },
  policy: { mode: "always" },
  events: EVENTS,
} as const;
const ADA = { capabilities: EVERYTHING, headers: { "x-user": "ada" } } as const;
const OWN = { events: [{ name: "server.event", delivery: ["poll"], inputSchema: {}, payloadSchema: {} }] };

test("before a server of 2026-07-28 the gateway's event is there beside all that the server says", async () => {
  const { client, server } = await modernStory(
    { "tools/call": (call) => call.json(complete(textResult("done"))) },
    SETTINGS,
  );
  const callback = await startCallback();
  const ada = client(ADA);
  const { capabilities, instructions } = await ada.result("server/discover");
  expect(instructions).toBe("Be brief.");
  expect(capabilities).toEqual({
    tools: { listChanged: true },
    events: {},
    extensions: { "io.modelcontextprotocol/tasks": {}, [CAPABILITY]: {} },
  });
  expect((await ada.result("events/list")).events).toMatchObject([{ name: EVENT }]);
  await ada.result("events/subscribe", callback.wish());
  const { taskId } = await ada.callTool("anything");
  await callback.until(() => callback.events.length > 0);
  expect(callback.events[0]?.body.data).toMatchObject({ taskId, status: "completed" });
  await ada.result("events/unsubscribe", callback.wish());
  for (const method of ["events/list", "events/subscribe", "events/unsubscribe"])
    expect(count(server, method)).toBe(0);
});

test.for([
  ["as a capability", { events: { listChanged: true } }],
  ["as an extension", { extensions: { [CAPABILITY]: { listChanged: true } } }],
] as const)("a server of 2026-07-28 that declares events %s keeps them", async ([, declared]) => {
  const { client, server } = await modernStory(
    {
      "server/discover": (exchange) =>
        exchange.json(
          complete({
            supportedVersions: ["2026-07-28"],
            capabilities: { tools: {}, ...declared },
            ttlMs: 0,
            cacheScope: "private",
          }),
        ),
      "events/list": (exchange) => exchange.json(complete(OWN)),
      "events/subscribe": (exchange) => exchange.error(-32014, "no webhooks here"),
    },
    SETTINGS,
  );
  const callback = await startCallback();
  const ada = client(ADA);
  const { capabilities } = await ada.result("server/discover");
  expect(capabilities).toMatchObject(declared);
  expect(
    Object.keys({ ...capabilities, ...capabilities.extensions }).filter((name) => /events/.test(name)),
  ).toHaveLength(1);
  expect((await ada.result("events/list")).events).toEqual(OWN.events);
  const { message } = await ada.send("events/subscribe", callback.wish());
  expect(message.error).toMatchObject({ code: -32014, message: "no webhooks here" });
  expect(count(server, "events/subscribe")).toBe(1);
  expect(callback.challenges).toEqual([]);
});

test("before a server with tasks of its own there is no event of the gateway's", async () => {
  const { client, server } = await modernStory(
    { "events/list": (exchange) => exchange.error(-32601, "Method not found") },
    SETTINGS,
    { hasTasks: true },
  );
  const ada = client(ADA);
  const { capabilities } = await ada.result("server/discover");
  expect(capabilities).not.toHaveProperty("events");
  expect(capabilities.extensions).toEqual({ "io.modelcontextprotocol/tasks": {} });
  expect((await ada.send("events/list")).message.error.code).toBe(-32601);
  expect(count(server, "events/list")).toBe(1);
});

test("an older server that declares events keeps them", async () => {
  const { client, server } = await story({ "events/list": (exchange) => exchange.json(OWN) }, SETTINGS, {
    capabilities: { tools: {}, events: {} },
  });
  const ada = client(ADA);
  const { capabilities } = await ada.result("server/discover");
  expect(capabilities.events).toEqual({});
  expect(capabilities.extensions).not.toHaveProperty(CAPABILITY);
  expect((await ada.result("events/list")).events).toEqual(OWN.events);
  expect(count(server, "events/list")).toBe(1);
});

test("a receiver whose certificate nobody has signed is not told anything", async () => {
  const { client } = await story({}, SETTINGS);
  const server = createServer(selfSigned(), (_, response) => void response.end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  server.on("tlsClientError", () => {});
  onTestFinished(() => void server.close());
  const callback = await startCallback();
  const wish = callback.wish();
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const { message } = await client(ADA).send("events/subscribe", {
    ...wish,
    delivery: { ...wish.delivery, url },
  });
  expect(message.error).toMatchObject({ code: -32015, data: { reason: "tls_error" } });
});

test("an operator sees how many subscriptions there are, and how deliveries go", async () => {
  const { client, gateway } = await story(
    { "tools/call": (call) => call.json(textResult("done")) },
    { ...SETTINGS, admin: true },
  );
  const callback = await startCallback();
  const ada = client(ADA);
  const command = () => run(["webhooks", "list"], { MCP_TASKGATE_ADMIN: gateway.adminUrl ?? "" });
  expect((await command()).stdout).toContain("0 subscriptions of clients, 0 of them delivered here\n");
  await ada.result("events/subscribe", callback.wish());
  await ada.callTool("quick");
  await callback.until(() => callback.events.length > 0);
  const wanted = ['taskgate_event_deliveries_total{outcome="delivered"} 1', "taskgate_event_subscriptions 1"];
  await vi.waitUntil(
    async () => {
      const text = await (await fetch(new URL("/metrics", gateway.adminUrl))).text();
      return wanted.every((line) => text.includes(line));
    },
    { timeout: 60_000 },
  );
  expect((await command()).stdout).toContain("1 subscription of clients, 1 of them delivered here\n");
  const answer = await (await fetch(new URL("/api/webhooks", gateway.adminUrl))).text();
  expect(JSON.parse(answer)).toEqual({ webhooks: [], subscriptions: { total: 1, here: 1 } });
  const config = await (await fetch(new URL("/api/config", gateway.adminUrl))).text();
  expect(JSON.parse(config).events).toEqual(EVENTS);
});
