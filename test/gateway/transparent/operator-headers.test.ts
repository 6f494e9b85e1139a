/** What the operator sends to a server's endpoint is for the endpoint: whoever reaches the gateway may ask for any other path. */

import { expect, onTestFinished, test } from "vitest";
import { fronted } from "../../http/fronted.ts";
import { gatewayFor } from "../../support/gateway.ts";
import { byName } from "../../support/legacy-wire.ts";
import { ask, open } from "./clients.ts";
import { startOrigin } from "./origins.ts";

const KEY = { authorization: "Bearer operators-key", "x-tenant": "acme" };

test.for<[method: string, path: string]>([
  ["GET", "/v1/admin/keys"],
  ["DELETE", "/mcp/v1/admin/keys/1"],
  ["POST", "/tested/mcp/messages"],
  ["GET", "/base/mcp/below"],
  ["GET", "/.well-known/oauth-protected-resource/mcp"],
])("%s %s is sent without them, and without a client's own of these names", async ([method, path]) => {
  const { url, reached } = await fronted({ headers: KEY });
  await ask(url, { method, path, headers: { authorization: "Bearer x", "X-Tenant": "other", "x-own": "1" } });
  const [request] = reached();
  expect(request?.headers).toMatchObject({ "x-own": "1" });
  expect(request?.headers).not.toHaveProperty("authorization");
  expect(request?.headers).not.toHaveProperty("x-tenant");
});

test.for(["/mcp", "/tested/mcp", "/base/mcp", "/mcp/base/mcp"])("the endpoint has them: %s", async (path) => {
  const { url, reached } = await fronted({ headers: KEY });
  await ask(url, { method: "DELETE", path });
  expect(reached()).toMatchObject([{ headers: KEY }]);
});

test("the path that a server of HTTP+SSE wants messages posted to has them, and its messages are counted", async () => {
  const origin = await startOrigin(({ method, url }, response) => {
    if (method === "GET" && url === "/sse") {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.write("event: endpoint\ndata: /messages?session=1\n\n");
    } else response.writeHead(202).end();
  });
  const { url } = await gatewayFor({
    upstream: new URL("/sse", origin.url),
    transport: "sse",
    headers: KEY,
    identify: byName,
    limits: { perCaller: { calls: { count: 1, perMs: 3_600_000 } } },
  });
  const stream = open(
    url,
    `GET ${url.pathname} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-User: ada\r\nAccept: text/event-stream\r\n\r\n`,
  );
  onTestFinished(() => stream.leave());
  await stream.until("/messages?session=1");
  const path = `${url.pathname}/messages?session=1`;
  const call = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}';
  const [first, second, unread] = [call, call, `\ufeff${call}`].map((body) =>
    ask(url, {
      method: "POST",
      path,
      body,
      headers: { "x-user": "ada", "content-length": String(Buffer.byteLength(body)) },
    }),
  );
  expect([(await first)?.status, (await second)?.status, (await unread)?.status]).toEqual([202, 429, 400]);
  // Nor is there a way round by a path that the server may take for the same.
  for (const other of ["MESSAGES", "messages/", "/messages", "%6dessages", "x/../messages", "messages;v=1"]) {
    const to = `${url.pathname}/${other}?session=1`;
    const headers = { "x-user": "ada", "content-length": String(Buffer.byteLength(call)) };
    const answer = await ask(url, { method: "POST", path: to, body: call, headers });
    expect([other, answer?.status]).toEqual([other, 429]);
  }
  const posted = origin.received.filter(({ body }) => body.toString() === call);
  expect(posted).toMatchObject([{ url: "/messages?session=1", headers: KEY }]);
});
