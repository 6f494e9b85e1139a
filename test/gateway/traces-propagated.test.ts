/** `tracing: propagate`: the client's trace context goes to the server and into the record, and the gateway exports nothing. */

import { SpanKind, trace } from "@opentelemetry/api";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { expect, onTestFinished, test } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { startGateway } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { exportingTo, startCollector, withVariables } from "../support/collector.ts";
import { configFor } from "../support/gateway.ts";
import { ModernClient } from "../support/modern-client.ts";
import { type ScriptedServer, startScriptedServer } from "../support/scripted-server.ts";
import { story } from "../support/story.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const FROM_CLIENT = `00-${TRACE}-${SPAN}-01`;
const PLACE = { traceparent: FROM_CLIENT, tracestate: "v=1" };

async function scripted(): Promise<ScriptedServer> {
  const server = await startScriptedServer({ "tools/call": (call) => call.text("done") });
  onTestFinished(server.close);
  return server;
}

/** What a server gets of a call, apart from what differs between any two. */
async function seen(server: ScriptedServer) {
  const { request, message } = await server.arrival("tools/call");
  const { progressToken: _, ...meta } = { ...(message.params?._meta as object) } as {
    progressToken?: unknown;
  };
  const headers = request.rawHeaders.filter((_name, at) => {
    const name = request.rawHeaders[at - (at % 2)]?.toLowerCase();
    return !["host", "mcp-session-id", "content-length"].includes(name ?? "");
  });
  return { headers, meta };
}

test.each([
  { headers: {}, meta: {} },
  { headers: PLACE, meta: {} },
  { headers: {}, meta: PLACE },
  { headers: { traceparent: `00-${"1".repeat(32)}-${SPAN}-01` }, meta: PLACE },
  { headers: { traceparent: "malformed" }, meta: { traceparent: 1 } },
  { headers: { ...PLACE, baggage: "a=1" }, meta: {} },
])("a server gets the same as with tracing off (%j)", async ({ headers, meta }) => {
  const all = await Promise.all(
    (["off", "propagate"] as const).map(async (tracing) => {
      const server = await scripted();
      const config = configFor({ upstream: server.url, tracing });
      const gateway = await startGateway(config, { log: createLog("silent") });
      onTestFinished(() => gateway.close());
      const user = new ModernClient(new URL(gateway.routes[0]?.url ?? ""));
      await user.callTool("report", {}, { headers, meta });
      return seen(server);
    }),
  );
  expect(all[1]).toEqual(all[0]);
});

test.each<[Config["tracing"], Readonly<Record<string, string>>]>([
  ["propagate", {}],
  ["otlp", { OTEL_SDK_DISABLED: "true" }],
])(
  "%s %j exports nothing, and log lines about a task name the client's trace",
  async (tracing, variables) => {
    const server = await scripted();
    const collector = await startCollector();
    withVariables({ ...exportingTo(collector.url), ...variables });
    const said: string[] = [];
    const config = configFor({ upstream: server.url, tracing, policy: { mode: "always" } });
    const gateway = await startGateway(config, {
      log: createLog("info", { write: (line) => void said.push(line) }),
    });
    onTestFinished(() => gateway.close());
    const user = new ModernClient(new URL(gateway.routes[0]?.url ?? ""));
    const { taskId } = await user.callTool("report", {}, { headers: PLACE });
    await user.settled(taskId);
    const { taskId: other } = await user.callTool("untraced");
    await user.settled(other);
    await gateway.close();
    const of = (tool: string) => said.map((line) => JSON.parse(line)).filter((line) => line.tool === tool);
    expect(of("report").map(({ event }) => event)).toEqual(["created", "ended"]);
    for (const line of of("report")) expect(line).toMatchObject({ trace_id: TRACE, span_id: SPAN });
    for (const line of of("untraced")) expect(line).not.toHaveProperty("trace_id");
    expect(collector.exports).toEqual([]);
  },
);

test("a program around the gateway that has an SDK gets its spans", async () => {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  trace.setGlobalTracerProvider(provider);
  onTestFinished(() => trace.disable());
  const { user, server } = await story(
    { "tools/call": (call) => call.text("done") },
    { tracing: "propagate" },
  );
  await user.callTool("report", {}, { headers: PLACE });
  const call = exporter.getFinishedSpans().find(({ kind }) => kind === SpanKind.CLIENT);
  const { headers } = await server.arrival("tools/call");
  expect(headers.traceparent).toBe(`00-${TRACE}-${call?.spanContext().spanId}-01`);
});
