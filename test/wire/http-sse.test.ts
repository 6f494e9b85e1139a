/** Servers of 2024-11-05, which say on a stream where messages are to be posted, and answer there. */

import { expect, test } from "vitest";
import { startEverything } from "../support/everything-process.ts";
import { type GatewaySettings, gatewayFor } from "../support/gateway.ts";
import { connectLegacy } from "../support/legacy-client.ts";
import type { Json } from "../support/modern-client.ts";
import { textOf } from "../support/story.ts";
import { posting } from "./legacy-session.ts";
import { ask, type Header, type OpenAnswer, open } from "./raw-client.ts";
import { served } from "./served.ts";

const LISTENING: readonly Header[] = [["Accept", "text/event-stream"]];

/** A server below `/base`, with sessions that say whatever is posted to them, and by which path and query it came. */
async function startEchoServer(prefix = "/base"): Promise<URL> {
  const streams = new Map<string, (text: string) => void>();
  const url = await served((request, response) => {
    const { pathname, searchParams, search } = new URL(request.url ?? "", "http://any");
    const id = searchParams.get("session") ?? String(streams.size + 1);
    if (request.method === "GET") {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(`event: endpoint\ndata: ${prefix}/post?session=${id}\n\n`);
      return void streams.set(id, (text) => response.write(`event: message\ndata: ${text}\n\n`));
    }
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      streams.get(id)?.(JSON.stringify({ path: pathname + search, got: Buffer.concat(chunks).toString() }));
      response.writeHead(202).end("Accepted");
    });
  });
  return new URL(`${prefix}/sse`, url);
}

async function endpointOf(stream: OpenAnswer): Promise<string> {
  await stream.until((text) => text.includes("\n\n"), "the first event");
  return /^event: endpoint\ndata: (.*)\n\n/.exec(stream.text)?.[1] ?? "";
}

test.each(["/tested/mcp", "/mcp"])("two clients at %s each reach a session of their own", async (path) => {
  const { url } = await gatewayFor({ upstream: await startEchoServer() });
  const here = new URL(path, url);
  const clients = [open(here, { method: "GET", headers: LISTENING })];
  await endpointOf(clients[0] as OpenAnswer);
  clients.push(open(here, { method: "GET", headers: LISTENING }));
  const endpoints = await Promise.all(clients.map(endpointOf));
  expect(endpoints).toEqual([`${path}/base/post?session=1`, `${path}/base/post?session=2`]);

  for (const [at, endpoint] of endpoints.entries()) {
    const accepted = await ask(new URL(endpoint, here), posting(`{"n":${at}}`));
    expect([accepted.status, accepted.text]).toEqual([202, "Accepted"]);
    const said = { path: `/base/post?session=${at + 1}`, got: `{"n":${at}}` };
    await clients[at]?.until((text) => text.includes(JSON.stringify(said)), "what was posted");
  }
  expect(clients.map(({ text }) => text.split("event: message").length - 1)).toEqual([1, 1]);
});

test.each(["/base/sse", "/base/sse/", "/BASE/sse", "/tested/mcp/base/sse"])(
  "messages of a client at the server's own path %s reach the server",
  async (path) => {
    const { url } = await gatewayFor({ upstream: await startEchoServer() });
    const stream = open(new URL(path, url), { method: "GET", headers: LISTENING });
    const endpoint = await endpointOf(stream);
    expect(endpoint).toBe("/tested/mcp/base/post?session=1");
    expect(await ask(new URL(endpoint, url), posting('{"n":1}'))).toMatchObject({ status: 202 });
    const said = { path: "/base/post?session=1", got: '{"n":1}' };
    await stream.until((text) => text.includes(JSON.stringify(said)), "what was posted");
  },
);

test("messages are sent on where the server wants them with a slash", async () => {
  const got: string[] = [];
  const server = await served((request, response) => {
    const { method, url = "" } = request;
    request.resume();
    if (method === "GET") {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("event: endpoint\ndata: /post?session=1\n\n");
    } else {
      if (url.startsWith("/post")) got.push(url);
      if (url.startsWith("/post?")) response.writeHead(307, { Location: "/post/?session=1" }).end();
      else response.writeHead(202).end("Accepted");
    }
  });
  const { url } = await gatewayFor({ upstream: new URL("/sse", server) });
  const stream = open(url, { method: "GET", headers: LISTENING });
  const endpoint = new URL(await endpointOf(stream), url);
  for (const slash of ["", "/"]) {
    const to = new URL(`${endpoint.pathname}${slash}${endpoint.search}`, url);
    expect(await ask(to, posting("{}"))).toMatchObject({ status: 202, text: "Accepted" });
  }
  expect(got).toEqual(["/post?session=1", "/post/?session=1", "/post?session=1", "/post/?session=1"]);
});

test("a server at the root, and a route there", async () => {
  const settings: GatewaySettings = {
    upstream: await startEchoServer(""),
    server: { path: "/", aliases: [] },
  };
  const { url } = await gatewayFor(settings);
  const client = open(url, { method: "GET", headers: LISTENING });
  const endpoint = await endpointOf(client);
  expect(endpoint).toBe("/post?session=1");
  expect((await ask(new URL(endpoint, url), posting("{}"))).status).toBe(202);
  await client.until((text) => text.includes('"path":"/post?session=1"'), "what was posted");
});

test.each([
  { way: "directly", path: "/message" },
  { way: "through the gateway", path: "/tested/mcp/message" },
])("a client of the SDK speaks to server-everything over HTTP+SSE, $way", async ({ way, path }) => {
  const server = await startEverything("2025.12.18", "sse");
  const url = way === "directly" ? server : (await gatewayFor({ upstream: server })).url;
  const stream = open(url, { method: "GET", headers: LISTENING });
  expect(await endpointOf(stream)).toMatch(new RegExp(`^${path}\\?sessionId=[0-9a-f-]{36}$`));
  const { client, heard } = await connectLegacy("1.32", url, { transport: "sse" });

  expect((await client.listTools()).tools.map(({ name }) => name)).toContain("echo");
  const results = await Promise.all([
    client.callTool({ name: "echo", arguments: { message: "é✓" } }),
    client.callTool({ name: "add", arguments: { a: 1, b: 2 } }),
    client.callTool({ name: "sampleLLM", arguments: { prompt: "Capital?" } }),
  ]);
  expect(results.map((result) => textOf(result as Json))).toEqual([
    "Echo: é✓",
    "The sum of 1 and 2 is 3.",
    expect.stringContaining("Paris"),
  ]);
  const long = { name: "longRunningOperation", arguments: { duration: 0.3, steps: 3 } };
  await client.callTool(long, undefined, { onprogress: () => undefined });
  const progress = heard.filter(({ method }) => method === "notifications/progress");
  expect(progress.map(({ params }) => params.progress)).toEqual([1, 2, 3]);
  expect(await client.callTool({ name: "none", arguments: {} }).catch(String)).toContain(
    "Unknown tool: none",
  );
});
