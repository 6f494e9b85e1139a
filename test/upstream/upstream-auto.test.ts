/** `transport: auto`: which transport a server speaks is found out, remembered, and forgotten when it is no longer so. */

import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream/promises";
import { expect, onTestFinished, test } from "vitest";
import { gatewayFor } from "../support/gateway.ts";
import { type Script, startScriptedServer } from "../support/scripted-server.ts";
import { answering } from "../support/sse-server.ts";
import { count, EVERYTHING, textOf, textResult } from "../support/story.ts";
import { serverWith } from "./sse-session.ts";

const CALL = { "tools/call": answering(textResult("over HTTP+SSE")) };

test("a login that only the stream asks for reaches the client", async () => {
  const server = await serverWith(
    {},
    { greet: (visit) => visit.reply(401, { error: "who?" }, { "www-authenticate": "Bearer" }) },
  );
  const { client } = await gatewayFor({ upstream: server.url });
  const { status, headers } = await client().send("tools/call", { name: "anything" });
  expect({ status, challenge: headers["www-authenticate"] }).toEqual({ status: 401, challenge: "Bearer" });
});

test.each([400, 404, 405])(
  "a server that refuses initialize with %s speaks HTTP+SSE, and is not asked again",
  async (status) => {
    const server = await serverWith(CALL);
    const front = await startFront(server.url, status);
    const { gateway, client } = await gatewayFor({ upstream: front.url });
    expect(gateway.routes[0]?.description).toMatch(/^legacy 2024-11-05/);

    expect(textOf(await client().callTool("anything"))).toBe("over HTTP+SSE");
    expect(textOf(await client({ capabilities: EVERYTHING }).callTool("anything"))).toBe("over HTTP+SSE");

    expect(front.refused.filter((method) => method === "initialize")).toHaveLength(1);
    expect(count(server, "GET")).toBeGreaterThan(2);
  },
);

test("what was found is forgotten when it fails, and the server is found again as what it has become", async () => {
  const old = await serverWith(CALL);
  const modernized = await startScriptedServer({
    "tools/call": (call) => call.json(textResult("over Streamable HTTP")),
  });
  onTestFinished(modernized.close);
  const front = await startFront(old.url, 404);
  const { client } = await gatewayFor({ upstream: front.url });
  const user = client();
  expect(textOf(await user.callTool("anything"))).toBe("over HTTP+SSE");

  front.turnTo(modernized.url);
  await old.until(() => old.sessions.size === 0, "the sessions to end");
  const first = await user.send("tools/list");
  expect(first.message.error.message).toMatch(/HTTP 404/);

  expect(textOf(await user.callTool("anything"))).toBe("over Streamable HTTP");
});

test("a server that was found stays found when a session of its ends", async () => {
  let calls = 0;
  const server = await serverWith({
    "tools/call": (call, stream) => {
      calls += 1;
      call.accept();
      if (calls === 1) stream.end();
      else stream.event(call.answer(textResult("again")));
    },
  });
  const front = await startFront(server.url, 404);
  const user = (await gatewayFor({ upstream: front.url })).client();

  const { message } = await user.send("tools/call", { name: "anything" });
  expect(message.error.message).toMatch(/closed its event stream in the middle of the call/);
  expect(textOf(await user.callTool("anything"))).toBe("again");
  expect(front.refused.filter((method) => method === "initialize")).toHaveLength(1);
});

test("a server that speaks neither is told of by its first refusal", async () => {
  const plain = { "content-type": "text/plain" };
  const server = await startScriptedServer(
    {
      initialize: (call) => call.reply(404, "nothing here", plain),
      GET: (visit) => visit.reply(405, "no streams", plain),
    },
    { stateless: true },
  );
  onTestFinished(server.close);
  const { gateway, client } = await gatewayFor({ upstream: server.url });
  expect(gateway.routes[0]?.description).toMatch(/^unreachable: .*HTTP 404: nothing here.*will retry$/);

  const { message } = await client().send("tools/call", { name: "anything" });
  expect(message.error).toEqual({ code: -32603, message: "The server answered HTTP 404: nothing here" });
  expect(count(server, "GET")).toBeGreaterThan(0);
});

const INDECISIVE: [number, Script][] = [
  [401, (call) => call.reply(401, { error: "who?" }, { "www-authenticate": "Bearer" })],
  [403, (call) => call.reply(403, { error: "no" })],
  [500, (call) => call.reply(500, { error: "broken" })],
  [503, (call) => call.reply(503, { error: "later" })],
];

test.each(INDECISIVE)("%s decides nothing: nothing else is tried, then or later", async (status, refuse) => {
  const server = await startScriptedServer({ initialize: refuse });
  onTestFinished(server.close);
  const { client } = await gatewayFor({ upstream: server.url });
  const user = client();
  const refused = await user.send("tools/call", { name: "anything" });
  expect(refused.message.error.message).toMatch(new RegExp(`HTTP ${status}`));
  expect(count(server, "GET")).toBe(0);

  server.on("initialize", (call) => call.json(DESCRIPTION));
  server.on("tools/call", (call) => call.json(textResult("over Streamable HTTP")));
  expect(textOf(await user.callTool("anything"))).toBe("over Streamable HTTP");
});

const DESCRIPTION = {
  protocolVersion: "2025-06-18",
  capabilities: { tools: {} },
  serverInfo: { name: "scripted", version: "1.0.0" },
};

interface Front {
  readonly url: URL;
  /** The methods that were refused. */
  readonly refused: readonly string[];
  /** Cuts every connection, and passes everything on to somebody else from now on. */
  turnTo(other: URL): void;
}

/** Passes everything on to an HTTP+SSE server, but for messages that are sent to its stream: those it refuses. */
async function startFront(server: URL, status: number): Promise<Front> {
  const refused: string[] = [];
  let elsewhere: URL | undefined;
  const front = createServer(async (incoming, outgoing) => {
    const url = new URL(String(incoming.url), server);
    if (elsewhere === undefined && incoming.method === "POST" && url.pathname === server.pathname) {
      const chunks = await incoming.toArray();
      refused.push(JSON.parse(Buffer.concat(chunks).toString()).method);
      outgoing.writeHead(status).end();
      return;
    }
    const { method, headers } = incoming;
    const onward = request(elsewhere ?? url, { method, headers });
    outgoing.once("close", () => onward.destroy());
    onward.once("response", (answer) => {
      outgoing.writeHead(Number(answer.statusCode), answer.headers).flushHeaders();
      pipeline(answer, outgoing).catch(() => outgoing.destroy());
    });
    pipeline(incoming, onward).catch(() => outgoing.destroy());
  }).listen(0, "127.0.0.1");
  await once(front, "listening");
  onTestFinished(() => {
    front.closeAllConnections();
    front.close();
  });
  return {
    url: new URL(`http://127.0.0.1:${(front.address() as AddressInfo).port}${server.pathname}`),
    refused,
    turnTo: (other) => {
      elsewhere = other;
      front.closeAllConnections();
    },
  };
}
