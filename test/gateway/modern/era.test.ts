import { once } from "node:events";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { gatewayFor } from "../../support/gateway.ts";
import { complete, modernScripts, modernStory, STATELESS, said } from "../../support/modern-server.ts";
import { type Script, startScriptedServer } from "../../support/scripted-server.ts";
import { count, EVERYTHING, gate, story, textOf } from "../../support/story.ts";

const ALWAYS = { policy: { mode: "always" } } as const;
const PATIENT = { policy: { waitForMs: 60_000 } } as const;

test("the line at the start says of which era the server is", async () => {
  const { gateway } = await modernStory({});
  expect(gateway.routes[0]?.description).toBe("modern 2026-07-28");
});

test.each([
  ["another revision only", { supportedVersions: ["2027-01-01"], capabilities: {} }],
  ["no revision at all", { capabilities: {} }],
])("a server that names %s is served as a legacy one", async (_, discovered) => {
  const { initialize: _none, ...scripts } = modernScripts();
  const { gateway } = await story(
    { ...scripts, "server/discover": (call) => call.json(complete(discovered)) },
    {},
    STATELESS,
  );
  expect(gateway.routes[0]?.description).toMatch(/^legacy /);
});

test("a server that is set to one session is not asked: it would take the question for that session's beginning", async () => {
  const { server, user } = await story({}, { sessions: "single" });
  await user.result("tools/list");
  expect(count(server, "server/discover")).toBe(0);
});

test("a server that is not there yet is asked again when it is", async () => {
  const port = await freePort();
  const { client, gateway } = await gatewayFor({
    upstream: new URL(`http://127.0.0.1:${port}/mcp`),
    ...PATIENT,
  });
  expect(gateway.routes[0]?.description).toMatch(/^unreachable/);
  const user = client({ capabilities: EVERYTHING });
  const server = await listeningOn(port, { "tools/call": (call) => call.json(said("there")) });
  await expect
    .poll(async () => (await user.send("vendor/x")).message, { timeout: 60_000 })
    .toMatchObject({
      error: { message: "no script for vendor/x" },
    });
  expect(textOf(await user.callTool("anything"))).toBe("there");
  expect((await server.arrival("tools/call")).headers["mcp-method"]).toBe("tools/call");
});

test("a server that is away for a moment is the same server when it comes back", async () => {
  const told = await modernStory({ "tools/call": (call) => call.json(said("there")) }, PATIENT);
  const port = Number(told.server.url.port);
  await told.server.close();
  const gone = await told.user.send("tools/call", { name: "anything" });
  expect(gone.message.error.message).toMatch(/cannot be reached/);
  const back = await listeningOn(port, { "tools/call": (call) => call.json(said("back")) });
  expect(textOf(await told.user.callTool("anything"))).toBe("back");
  expect(count(back, "initialize")).toBe(0);
});

/** At the start the gateway asks twice, in the way of each era. */
const AWAY = 4;
describe.each([
  ["of this revision", modernScripts(), STATELESS],
  ["of an older one", {}, {}],
])("clients that come while a server %s is starting wait until it is there", (_era, scripts, options) => {
  async function starting() {
    const server = await startScriptedServer(scripts, options);
    onTestFinished(server.close);
    const told = await gatewayFor({ upstream: await awayAtFirst(server.url, AWAY) });
    expect(told.gateway.routes[0]?.description).toMatch(/^unreachable/);
    return told;
  }

  test("with server/discover", async () => {
    const { client } = await starting();
    expect((await client().result("server/discover")).supportedVersions).toEqual(["2026-07-28"]);
  });

  test("with initialize", async () => {
    const { url } = await starting();
    const clientInfo = { name: "old", version: "0" };
    const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo };
    const response = await fetch(url, {
      method: "POST",
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params }),
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
    });
    // It is the server that answers.
    expect(await response.text()).not.toContain("starting");
    expect(response.status).toBeLessThan(500);
  });
});

test("a modern server that was replaced by a legacy one is found out with its first refusal", async () => {
  const told = await modernStory({ "tools/call": (call) => call.json(said("modern")) }, PATIENT);
  expect(textOf(await told.user.callTool("anything"))).toBe("modern");
  const port = Number(told.server.url.port);
  await told.server.close();
  const legacy = await legacyOn(port, { "tools/call": (call) => call.text("legacy") });
  await expect
    .poll(
      async () => textOf((await told.user.send("tools/call", { name: "anything" })).message.result ?? {}),
      { timeout: 60_000 },
    )
    .toBe("legacy");
  expect((await legacy.arrival("initialize")).message.params).toMatchObject({
    clientInfo: { name: "mcp-taskgate" },
  });
});

test("a modern server that was replaced by a legacy one is found out by what passes", async () => {
  const told = await modernStory({});
  await told.user.result("tools/list");
  const port = Number(told.server.url.port);
  await told.server.close();
  await legacyOn(port, {});
  await expect
    .poll(async () => (await told.user.send("tools/list")).message.result?.tools, { timeout: 60_000 })
    .toMatchObject([{ name: "anything" }]);
});

test("tasks that were made before the server made its own can be asked for, beside those of the server", async () => {
  const { opened, open } = gate();
  const told = await modernStory(
    {
      "tools/call": async (call) => {
        await opened;
        call.json(said("ours"));
      },
    },
    ALWAYS,
  );
  const { user, server, client } = told;
  const { taskId } = await user.callTool("anything");
  for (const [method, script] of Object.entries(modernScripts({ hasTasks: true }))) server.on(method, script);
  server.on("tasks/get", (call) =>
    call.json(complete({ taskId: call.message.params?.taskId, status: "cancelled" })),
  );
  server.on("subscriptions/listen", (call) => {
    const { notifications } = call.message.params ?? {};
    call.sse().notify("notifications/subscriptions/acknowledged", { notifications });
  });
  // A refusal makes the gateway look again.
  server.on("vendor/x", (call) => call.error(-32601, "no such method", { status: 404 }));
  await expect
    .poll(
      async () => {
        await user.send("vendor/x");
        return (await user.send("tasks/get", { taskId: "the server's" })).message.result?.status;
      },
      { timeout: 60_000 },
    )
    .toBe("cancelled");
  expect(await user.task(taskId)).toMatchObject({ taskId, status: "working" });

  const leaving = new AbortController();
  const filter = { notifications: { taskIds: [taskId, "the server's"] } };
  const stream = client().stream("subscriptions/listen", filter, { signal: leaving.signal });
  expect((await stream.next()).value.params.notifications.taskIds).toEqual(["the server's", taskId]);
  leaving.abort();

  open();
  expect(textOf((await user.settled(taskId)).result)).toBe("ours");
});

async function freePort(): Promise<number> {
  const http: Server = createServer().listen(0, "127.0.0.1");
  await once(http, "listening");
  const { port } = http.address() as AddressInfo;
  http.close();
  await once(http, "close");
  return port;
}

async function listeningOn(port: number, scripts: Readonly<Record<string, Script>>) {
  const server = await startScriptedServer({ ...modernScripts(), ...scripts }, { ...STATELESS, port });
  onTestFinished(server.close);
  return server;
}

async function legacyOn(port: number, scripts: Readonly<Record<string, Script>>) {
  const server = await startScriptedServer(scripts, { port });
  onTestFinished(server.close);
  return server;
}

/** The address of a proxy that answers so many requests with 503, as one whose server is starting, and passes all others on. */
async function awayAtFirst(url: URL, times: number): Promise<URL> {
  let left = times;
  const proxy = createServer((incoming, outgoing) => {
    left -= 1;
    if (left >= 0) {
      incoming.resume();
      outgoing.writeHead(503).end("starting");
      return;
    }
    const { method, headers } = incoming;
    const onward = request(url, { method, headers: { ...headers, host: url.host } }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    incoming.pipe(onward);
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  onTestFinished(() => {
    proxy.close();
    proxy.closeAllConnections();
  });
  return new URL(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}/mcp`);
}
