/** Clients of Streamable HTTP before a server of HTTP+SSE. */

import { expect, onTestFinished, test } from "vitest";
import { type GatewaySettings, gatewayFor } from "../../support/gateway.ts";
import { LegacyWire, WireStream } from "../../support/legacy-wire.ts";
import type { Json } from "../../support/modern-client.ts";
import {
  answering,
  type SseScript,
  type SseServerOptions,
  startSseServer,
  welcome,
} from "../../support/sse-server.ts";

async function before(
  scripts: Readonly<Record<string, SseScript>> = {},
  settings: Partial<GatewaySettings> = {},
  options: SseServerOptions = {},
) {
  const server = await startSseServer({ initialize, ...scripts }, options);
  onTestFinished(server.close);
  const tested = await gatewayFor({ upstream: server.url, transport: "sse", ...settings });
  return { server, ...tested };
}

const initialize: SseScript = async (exchange, stream) => {
  const protocolVersion = exchange.message.params?.protocolVersion;
  const serverInfo = { name: "s", version: "1" };
  await answering({ protocolVersion, capabilities: { tools: {} }, serverInfo })(exchange, stream);
};

test("a session is one of its own at the server, opened with the client's words", async () => {
  const { server, url } = await before();
  const own = server.sessions.size;
  const user = await LegacyWire.connect(url);
  const opening = server.received.findLast(({ method }) => method === "initialize");
  expect(opening?.message).toEqual({
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: {
      protocolVersion: "2025-11-25",
      capabilities: { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} },
      clientInfo: { name: "wire", version: "0" },
    },
  });
  await server.until(() => server.sessions.size === own + 1, "the client's session");
  expect(await user.result("tools/list")).toMatchObject({ tools: [{ name: "anything" }] });
  const { headers } = (await server.arrival("tools/list")).request;
  expect(headers["mcp-protocol-version"]).toBe("2025-11-25");
  expect((await user.end()).status).toBe(200);
  await server.until(() => server.sessions.size === own, "its end");
});

test("headers that belong to one request go with it, and with no other", async () => {
  const { server, url } = await before({ "x/asked": answering({}) }, { forwardHeaders: ["x-request-id"] });
  const user = await LegacyWire.connect(url);
  for (const id of ["1", "2"])
    await user.result("x/asked", {}, { headers: { traceparent: `parent-${id}`, "X-Request-Id": `r${id}` } });
  await user.result("x/asked");
  const asked = server.received.filter(({ method }) => method === "x/asked");
  expect(asked.map(({ headers }) => [headers.traceparent, headers["x-request-id"]])).toEqual([
    ["parent-1", "r1"],
    ["parent-2", "r2"],
    [undefined, undefined],
  ]);
});

test("headers that belong to one request go with initialize and with a call that becomes a task, too", async () => {
  const { server, url } = await before({ "tools/call": answering({ content: [] }) });
  const user = await LegacyWire.connect(url, { headers: { traceparent: "parent-1" } });
  const { task }: Json = await user.result(
    "tools/call",
    { name: "job", task: {} },
    { headers: { traceparent: "parent-2" } },
  );
  await user.result("tasks/result", { taskId: task.taskId }, { headers: { traceparent: "parent-3" } });
  const sent = (method: string) => server.received.findLast((request) => request.method === method);
  const traced = (traceparent: string) => ({
    headers: expect.objectContaining({ traceparent }),
    message: expect.objectContaining({
      params: expect.objectContaining({ _meta: expect.objectContaining({ traceparent }) }),
    }),
  });
  expect(sent("initialize")).toMatchObject(traced("parent-1"));
  expect(sent("tools/call")).toMatchObject(traced("parent-2"));
});

test.each(["sse", "auto"] as const)(
  "with transport: %s, it is found out how the server speaks",
  async (transport) => {
    const { url, gateway } = await before({}, { transport });
    expect(gateway.routes[0]?.description).toMatch(/^legacy/);
    const user = await LegacyWire.connect(url);
    expect(user.sessionId).toBeDefined();
  },
);

test("what is said while nothing is open waits until the client listens; a ping does not wait", async () => {
  const { server, url } = await before();
  const user = await LegacyWire.connect(url);
  await server.arrival("notifications/initialized", 2);
  const { session } = server.received.findLast(({ method }) => method === "notifications/initialized") ?? {};
  session?.stream?.event({ jsonrpc: "2.0", id: "p", method: "ping" });
  expect((await server.arrival("answer")).message).toEqual({ jsonrpc: "2.0", id: "p", result: {} });
  session?.stream?.event({ jsonrpc: "2.0", id: "r", method: "roots/list" });
  session?.stream?.event({ jsonrpc: "2.0", method: "notifications/tools/list_changed" });
  const listening = await user.listen();
  await listening.heard("notifications/tools/list_changed");
  expect(listening.messages.map(({ method }) => method)).toEqual([
    "roots/list",
    "notifications/tools/list_changed",
  ]);
  await user.respond("r", { result: { roots: [] } });
  expect((await server.arrival("answer", 2)).message).toEqual({
    jsonrpc: "2.0",
    id: "r",
    result: { roots: [] },
  });
});

test("a server that is down for a while is still known for what it is", async () => {
  let isDown = false;
  const greet: SseServerOptions["greet"] = (visit) =>
    void (isDown ? visit.reply(503, "not now") : welcome(visit));
  const { url } = await before({}, { transport: "auto" }, { greet });
  await LegacyWire.connect(url);
  isDown = true;
  const params = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "c", version: "1" } };
  const opening = { jsonrpc: "2.0", id: 1, method: "initialize", params };
  expect((await new WireStream(url, "POST", {}, opening).answer).status).toBe(503);
  isDown = false;
  expect((await LegacyWire.connect(url)).sessionId).toBeDefined();
});

test("clients of HTTP+SSE are forwarded as they are", async () => {
  const { server, url } = await before();
  const own = server.sessions.size;
  const stream = new WireStream(url, "GET", {});
  await server.until(() => server.sessions.size === own + 1, "the stream");
  expect((await stream.head).headers["content-type"]).toBe("text/event-stream");
  await expect.poll(() => stream.text).toContain("event: endpoint\ndata: /tested/mcp/messages?session=");
  const posted = new URL(/data: (.*)\n/.exec(stream.text)?.[1] ?? "", url);
  const params = {
    protocolVersion: "2024-11-05",
    capabilities: {},
    clientInfo: { name: "old", version: "1" },
  };
  const answer = await new WireStream(
    posted,
    "POST",
    {},
    { jsonrpc: "2.0", id: 4, method: "initialize", params },
  ).answer;
  expect(answer.status).toBe(202);
  await expect.poll(() => stream.text).toContain('"id":4');
  expect(server.sessions.size).toBe(own + 1);
});

test("the caller's own headers reach the server, and its wish for a login the client", async () => {
  const { url, server } = await before(
    {},
    { forwardHeaders: ["authorization"] },
    {
      greet: (visit) => {
        if (visit.request.headers.authorization === "Bearer good") welcome(visit);
        else visit.reply(401, "who are you?", { "www-authenticate": 'Bearer realm="r"' });
      },
    },
  );
  const params = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "c", version: "1" } };
  const opening = { jsonrpc: "2.0", id: 1, method: "initialize", params };
  const { status, headers } = await new WireStream(url, "POST", { authorization: "Bearer bad" }, opening)
    .answer;
  expect([status, headers["www-authenticate"]]).toEqual([401, 'Bearer realm="r"']);
  expect(headers["mcp-session-id"]).toBeUndefined();
  const user = await LegacyWire.connect(url, { headers: { authorization: "Bearer good" } });
  await user.result("ping");
  expect((await server.arrival("ping")).request.headers.authorization).toBe("Bearer good");
});

test("when the server drops its stream, what waits is told so, and the session is over", async () => {
  const { server, url } = await before({ "tools/call": (call) => void call.accept() });
  const user = await LegacyWire.connect(url);
  const listening = await user.listen();
  const call = user.open("tools/call", { name: "t" });
  const { session } = await server.arrival("tools/call");
  session.stream?.cut();
  const { message } = await call.answer;
  expect(message.error).toMatchObject({ code: -32603, message: expect.stringContaining("event stream") });
  await listening.over();
  expect(await user.send("ping")).toMatchObject({ status: 404, message: { error: { code: -32001 } } });
  const again = await LegacyWire.connect(url);
  expect(await again.result("tools/list")).toMatchObject({ tools: [{ name: "anything" }] });
});

test("an error in answer to initialize is the server's own, and opens no session", async () => {
  const { url } = await before({
    initialize: (exchange, stream) => {
      exchange.accept();
      const { id } = exchange.message;
      stream.event({
        jsonrpc: "2.0",
        id,
        error: { code: -32602, message: "Unsupported", data: { supported: [] } },
      });
    },
  });
  const opening = { jsonrpc: "2.0", id: "i", method: "initialize", params: { protocolVersion: "1.0" } };
  const { status, headers, message } = await new WireStream(url, "POST", {}, opening).answer;
  expect([status, headers["mcp-session-id"]]).toEqual([200, undefined]);
  expect(message).toEqual({
    jsonrpc: "2.0",
    id: "i",
    error: { code: -32602, message: "Unsupported", data: { supported: [] } },
  });
});
