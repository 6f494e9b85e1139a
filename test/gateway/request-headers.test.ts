/** Headers that are others in each request: they go with the request, and open no session of their own. */

import { expect, onTestFinished, test } from "vitest";
import { RawJson } from "../../src/protocol/jsonrpc.ts";
import { namesOneRequest, withTraceContext } from "../../src/protocol/request-headers.ts";
import { gatewayFor } from "../support/gateway.ts";
import { startScriptedServer } from "../support/scripted-server.ts";

const parent = (count: number) => `00-${String(count).padStart(32, "a")}-b7ad6b7169203331-01`;

async function scripted() {
  const server = await startScriptedServer({
    "tools/call": (call) => call.json({ content: [] }),
  });
  onTestFinished(server.close);
  return server;
}

test.each([{ forwardHeaders: [] }, { forwardHeaders: ["traceparent", "x-request-id"] }])(
  "calls and lists have the headers of their own request, in two sessions for all of them (forwardHeaders: $forwardHeaders)",
  async ({ forwardHeaders }) => {
    const server = await scripted();
    const gate = await gatewayFor({ upstream: server.url, forwardHeaders, policy: { waitForMs: 60_000 } });
    const client = gate.client();

    for (let count = 0; count < 5; count += 1) {
      const headers = { traceparent: parent(count), tracestate: "v=1", "x-request-id": `r${count}` };
      await client.callTool("job", {}, { headers });
      await client.result("tools/list", {}, { headers });
    }

    const seen = (method: string, header: string) =>
      server.received
        .filter(({ message }) => message.method === method)
        .map(({ headers }) => headers[header]);
    const each = (make: (count: number) => string) => Array.from({ length: 5 }, (_, count) => make(count));
    expect(seen("tools/call", "traceparent")).toEqual(each(parent));
    expect(seen("tools/list", "traceparent")).toEqual(expect.arrayContaining(each(parent)));
    expect(seen("tools/call", "tracestate")).toEqual(each(() => "v=1"));
    const ids =
      forwardHeaders.length === 0 ? each(() => "").map(() => undefined) : each((count) => `r${count}`);
    expect(seen("tools/call", "x-request-id")).toEqual(ids);
    expect(seen("initialize", "traceparent").every((value) => value === undefined)).toBe(true);
    expect(seen("initialize", "host")).toHaveLength(2);
  },
);

test("the trace context of a header is in _meta as well, and the client's own stays", async () => {
  const server = await scripted();
  const client = (await gatewayFor({ upstream: server.url, policy: { waitForMs: 60_000 } })).client();

  await client.callTool("job", {}, { headers: { traceparent: parent(1), baggage: "a=1" } });
  await client.callTool("job", {}, { headers: { traceparent: parent(1) }, meta: { traceparent: parent(2) } });

  const calls = server.received.filter(({ message }) => message.method === "tools/call");
  expect(calls.map(({ message }) => message.params)).toEqual([
    expect.objectContaining({
      _meta: expect.objectContaining({ traceparent: parent(1), baggage: "a=1" }),
    }),
    expect.objectContaining({ _meta: expect.objectContaining({ traceparent: parent(2) }) }),
  ]);
  expect(calls[1]?.headers.traceparent).toBe(parent(1));
});

test.each([
  "traceparent",
  "tracestate",
  "baggage",
  "x-request-id",
  "x-correlation-id",
  "request-id",
  "correlation-id",
  "b3",
  "x-b3-traceid",
  "x-amzn-trace-id",
  "x-cloud-trace-context",
  "x-ms-client-request-id",
  "x-amzn-requestid",
  "fly-request-id",
  "x-transaction-id",
  "x-vercel-id",
  "x-azure-ref",
  "idempotency-key",
])("%s is another one in each request", (name) => expect(namesOneRequest(name)).toBe(true));

test.each([
  "authorization",
  "cookie",
  "x-api-key",
  "x-tenant-id",
  "x-request-token",
  "x-session-id",
  "x-user-id",
])("%s is its sender's", (name) => expect(namesOneRequest(name)).toBe(false));

test.each([{ _meta: null }, { _meta: [] }, { _meta: new RawJson("{}") }])("%j is left as it is", (params) =>
  expect(withTraceContext(params, { traceparent: parent(1) })).toBe(params),
);

test("a tracestate is not given to another's traceparent", () => {
  const params = { _meta: { traceparent: parent(2) } };
  expect(withTraceContext(params, { traceparent: parent(1), tracestate: "v=1" })).toBe(params);
});
