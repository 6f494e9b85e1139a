/** `tracing: otlp`: the spans that a collector gets, and what servers see of them. */

import { expect, onTestFinished, test } from "vitest";
import { startGateway } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { taskName } from "../../src/log/task-name.ts";
import {
  type Collector,
  exportingTo,
  type SpanReceived,
  startCollector,
  withVariables,
} from "../support/collector.ts";
import { Conditions } from "../support/conditions.ts";
import { configFor } from "../support/gateway.ts";
import { LegacyWire } from "../support/legacy-wire.ts";
import { ModernClient } from "../support/modern-client.ts";
import { modernStory } from "../support/modern-server.ts";
import { type Script, startScriptedServer } from "../support/scripted-server.ts";
import {
  accept,
  asksOnce,
  gate,
  type Story,
  type StorySettings,
  story,
  textOf,
  textResult,
} from "../support/story.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const FROM_CLIENT = `00-${TRACE}-${SPAN}-01`;

const AT_ONCE: StorySettings = { policy: { mode: "always" } };

/** A gateway that exports to a collector. */
async function traced(
  scripts: Readonly<Record<string, Script>>,
  settings: StorySettings = {},
  variables: Readonly<Record<string, string>> = {},
): Promise<Story & { readonly collector: Collector }> {
  const collector = await startCollector();
  withVariables({ ...exportingTo(collector.url), ...variables });
  return { ...(await story(scripts, { tracing: "otlp", ...settings })), collector };
}

function only(spans: readonly SpanReceived[], kind: SpanReceived["kind"]): SpanReceived {
  const [span, ...others] = spans.filter((each) => each.kind === kind);
  expect(others).toEqual([]);
  if (span === undefined) throw new Error(`no ${kind} among ${spans.map(({ kind }) => kind)}`);
  return span;
}

test("a direct call is two spans of the client's trace, and its server sees the second as its parent", async () => {
  const { user, server, collector } = await traced({ "tools/call": (call) => call.text("done") });
  await user.callTool(
    "report",
    { secret: "of the caller" },
    { headers: { traceparent: FROM_CLIENT, tracestate: "v=1" } },
  );

  const spans = await collector.named("tools/call report", 2);
  const [request, call] = [only(spans, "server"), only(spans, "client")];
  expect(request).toMatchObject({ traceId: TRACE, parent: SPAN, isError: false });
  expect(call).toMatchObject({ traceId: TRACE, parent: request.spanId, isError: false });
  const attributes = {
    "mcp.method.name": "tools/call",
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "report",
    "taskgate.server": "tested",
  };
  expect(request.attributes).toEqual(attributes);
  expect(call.attributes).toEqual(attributes);
  const [queue] = await collector.named("queue");
  expect(queue).toMatchObject({ traceId: TRACE, parent: call.spanId });
  expect(request.resource).toMatchObject({ "service.name": "mcp-taskgate" });

  const { headers, message } = await server.arrival("tools/call");
  const seen = { traceparent: `00-${TRACE}-${call.spanId}-01`, tracestate: "v=1" };
  expect(headers).toMatchObject(seen);
  expect(message.params?._meta).toMatchObject(seen);
  expect(collector.exports.map(({ body }) => body.toString()).join()).not.toContain("of the caller");
});

test("_meta says better than a header where a request comes from", async () => {
  const { user, server, collector } = await traced({ "tools/call": (call) => call.text("done") });
  const other = "00-11111111111111111111111111111111-2222222222222222-01";
  await user.callTool(
    "report",
    {},
    { headers: { traceparent: other, tracestate: "of=other" }, meta: { traceparent: FROM_CLIENT } },
  );

  const spans = await collector.named("tools/call report", 2);
  expect(only(spans, "server")).toMatchObject({ traceId: TRACE, parent: SPAN });
  const { headers, message } = await server.arrival("tools/call");
  expect(headers.traceparent).toContain(TRACE);
  expect(headers.tracestate).toBeUndefined();
  expect(message.params?._meta).not.toHaveProperty("tracestate");
});

test("a task is a span of its own, from its creation to its end, and polls are linked to it", async () => {
  const answer = gate();
  const { user, collector } = await traced(
    {
      "tools/call": async (call) => {
        await answer.opened;
        call.text("done");
      },
    },
    AT_ONCE,
  );
  const { taskId } = await user.callTool("report", {}, { headers: { traceparent: FROM_CLIENT } });
  await user.task(taskId);
  answer.open();
  await user.settled(taskId);

  const [task] = await collector.named("task report");
  const calls = await collector.named("tools/call report", 2);
  const [request, call] = [only(calls, "server"), only(calls, "client")];
  expect(task).toMatchObject({ kind: "internal", traceId: TRACE, parent: request.spanId, isError: false });
  expect(task?.attributes).toEqual({
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": "report",
    "taskgate.server": "tested",
    "taskgate.task": taskName(taskId),
    "taskgate.outcome": "completed",
  });
  expect(task?.events).toEqual(["sent"]);
  expect(call.to).toBeGreaterThanOrEqual(call.from);
  expect(request.attributes["taskgate.task"]).toBe(taskName(taskId));
  expect(request.links).toEqual([]);

  // Polls without a trace of their own begin one.
  const [poll] = await collector.named("tasks/get", 2);
  expect(poll).toMatchObject({ kind: "server", parent: undefined });
  expect(poll?.traceId).not.toBe(TRACE);
  expect(poll?.links).toEqual([{ traceId: TRACE, spanId: request.spanId }]);
  expect(poll?.attributes).toMatchObject({
    "mcp.method.name": "tasks/get",
    "taskgate.task": taskName(taskId),
  });
  expect(collector.exports.map(({ body }) => body.toString()).join()).not.toContain(taskId);
});

test.each<[string, Script, string, string]>([
  [
    "a tool that says that it failed",
    (call) => call.json({ ...textResult("no"), isError: true }),
    "tool_error",
    "completed",
  ],
  ["an error of the server", (call) => call.error(4242, "no"), "4242", "failed"],
])("%s is the error of the call and of the task", async (_, script, type, outcome) => {
  const { user, collector } = await traced({ "tools/call": script }, AT_ONCE);
  const { taskId } = await user.callTool("report");
  await user.settled(taskId);
  const [task] = await collector.named("task report");
  expect(task).toMatchObject({
    isError: true,
    attributes: { "error.type": type, "taskgate.outcome": outcome },
  });
  const call = only(await collector.named("tools/call report", 2), "client");
  expect(call).toMatchObject({ isError: true, attributes: { "error.type": type } });
});

test.each<[string, Script, string]>([
  ["a tool that fails", (call) => call.json({ ...textResult("no"), isError: true }), "tool_error"],
  ["an error of the server", (call) => call.error(4242, "no"), "4242"],
])("%s is the error of a request that waits for it", async (_, script, type) => {
  const { user, collector } = await traced({ "tools/call": script });
  await user.send("tools/call", { name: "report", arguments: {} });
  for (const span of await collector.named("tools/call report", 2))
    expect(span).toMatchObject({ isError: true, attributes: { "error.type": type } });
});

test("a question is a span from when it is asked until it is answered", async () => {
  const { user, collector } = await traced({ "tools/call": asksOnce }, AT_ONCE);
  const { taskId } = await user.callTool("report", {}, { headers: { traceparent: FROM_CLIENT } });
  const asking = await user.taskWhen(taskId, ({ status }) => status === "input_required");
  const [key = ""] = Object.keys(asking.inputRequests);
  await user.result("tasks/update", { taskId, inputResponses: { [key]: accept({ name: "Ada" }) } });
  await user.settled(taskId);

  const [question] = await collector.named("elicitation/create");
  const call = only(await collector.named("tools/call report", 2), "client");
  expect(question).toMatchObject({ kind: "client", traceId: TRACE, parent: call.spanId });
  const [update] = await collector.named("tasks/update");
  expect(update?.links.map(({ traceId }) => traceId)).toEqual([TRACE]);
  const [task] = await collector.named("task report");
  expect(task?.events).toEqual(["sent", "asked", "answered"]);
  expect(collector.exports.map(({ body }) => body.toString()).join()).not.toContain("Ada");
});

test.each<[string, string | undefined]>([
  ["no", undefined],
  ["a malformed", `00-${TRACE}-${SPAN}`],
  ["a zero", `00-${"0".repeat(32)}-${SPAN}-01`],
  ["a forbidden version's", `ff-${TRACE}-${SPAN}-01`],
])("a client with %s traceparent has a trace begun", async (_, traceparent) => {
  const { user, server, collector } = await traced({ "tools/call": (call) => call.text("done") });
  await user.callTool("report", {}, { headers: { traceparent, tracestate: "v=1" } });
  const spans = await collector.named("tools/call report", 2);
  const [request, call] = [only(spans, "server"), only(spans, "client")];
  expect(request.parent).toBeUndefined();
  expect(request.traceId).toMatch(/^(?!0af7)[\da-f]{32}$/);
  const { headers, message } = await server.arrival("tools/call");
  expect(headers.traceparent).toBe(`00-${request.traceId}-${call.spanId}-01`);
  expect(headers.tracestate).toBeUndefined();
  expect(message.params?._meta).toMatchObject({ traceparent: headers.traceparent });
});

test("what a client does not sample is passed on so, and not exported", async () => {
  const { user, server, collector } = await traced({ "tools/call": (call) => call.text("done") });
  await user.callTool("quiet", {}, { headers: { traceparent: `00-${TRACE}-${SPAN}-00` } });
  await user.callTool("loud", {}, { headers: { traceparent: FROM_CLIENT } });
  await collector.named("tools/call loud", 2);
  expect(collector.spans.map(({ name }) => name)).not.toContain("tools/call quiet");
  const { headers } = await server.arrival("tools/call");
  expect(headers.traceparent).toMatch(new RegExp(`^00-${TRACE}-[\\da-f]{16}-00$`));
});

test("the sampler and the name of the service are OpenTelemetry's", async () => {
  const { user, collector } = await traced(
    { "tools/call": (call) => call.text("done") },
    {},
    {
      OTEL_TRACES_SAMPLER: "parentbased_always_off",
      OTEL_SERVICE_NAME: "tools",
      OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=staging",
      OTEL_EXPORTER_OTLP_HEADERS: "api-key=k1",
    },
  );
  await user.callTool("unasked");
  await user.callTool("asked", {}, { headers: { traceparent: FROM_CLIENT } });
  const [span] = await collector.named("tools/call asked", 2);
  expect(collector.spans.every(({ traceId }) => traceId === TRACE)).toBe(true);
  expect(span?.resource).toMatchObject({ "service.name": "tools", "deployment.environment.name": "staging" });
  expect(collector.exports[0]).toMatchObject({ path: "/v1/traces", headers: { "api-key": "k1" } });
});

test("a call to a server of 2026-07-28 goes on in the trace, too", async () => {
  const collector = await startCollector();
  withVariables(exportingTo(collector.url));
  const { user, server } = await modernStory(
    { "tools/call": (call) => call.json({ resultType: "complete", ...textResult("done") }) },
    { tracing: "otlp" },
  );
  await user.callTool("report", {}, { headers: { traceparent: FROM_CLIENT } });
  const spans = await collector.named("tools/call report", 2);
  const { headers, message } = await server.arrival("tools/call");
  expect(headers.traceparent).toBe(`00-${TRACE}-${only(spans, "client").spanId}-01`);
  expect(message.params?._meta).toMatchObject({ traceparent: headers.traceparent });
});

test("a task of 2025-11-25 is in its client's trace, and so is its call in the client's session", async () => {
  const { url, server, collector } = await traced({ "tools/call": (call) => call.text("done") });
  const headers = { traceparent: FROM_CLIENT, tracestate: "v=1" };
  const user = await LegacyWire.connect(url, { headers });
  const { taskId } = await user.begin("report");
  await user.result("tasks/result", { taskId });

  const [task] = await collector.named("task report");
  const spans = await collector.named("tools/call report", 2);
  const [request, call] = [only(spans, "server"), only(spans, "client")];
  expect([request, call, task].map((span) => span?.traceId)).toEqual([TRACE, TRACE, TRACE]);
  expect([request.parent, call.parent, task?.parent]).toEqual([SPAN, request.spanId, request.spanId]);
  const [result] = await collector.named("tasks/result");
  expect(result?.links).toEqual([{ traceId: TRACE, spanId: request.spanId }]);
  const sent = await server.arrival("tools/call");
  const seen = { traceparent: `00-${TRACE}-${call.spanId}-01`, tracestate: "v=1" };
  expect(sent.headers).toMatchObject(seen);
  expect(sent.message.params?._meta).toMatchObject(seen);
});

test("what is passed on as it came has the gateway's span in its header", async () => {
  const { user, server, collector } = await traced({ "tools/call": (call) => call.text("done") });
  await user.result("tools/list", {}, { headers: { traceparent: FROM_CLIENT, tracestate: "v=1" } });
  const [request] = await collector.named("tools/list");
  const listed = await server.arrival("tools/list");
  expect(listed.headers).toMatchObject({
    traceparent: `00-${TRACE}-${request?.spanId}-01`,
    tracestate: "v=1",
  });

  // A call of an older client is forwarded byte for byte.
  const body = {
    jsonrpc: "2.0",
    id: 1,
    method: "tools/call",
    params: { name: "plain", _meta: { traceparent: "own" } },
  };
  const { body: answer } = await user.post(JSON.stringify(body), { traceparent: FROM_CLIENT });
  await answer.text();
  const call = only(await collector.named("tools/call plain"), "server");
  const { headers, message } = await server.arrival("tools/call");
  expect(headers.traceparent).toBe(`00-${TRACE}-${call.spanId}-01`);
  expect(message).toEqual(body);
});

test("an answer with an error is the error of its request", async () => {
  const { user, collector } = await traced({});
  await user.send("tasks/get", { taskId: "none" });
  const [poll] = await collector.named("tasks/get");
  expect(poll).toMatchObject({ isError: true, links: [], attributes: { "error.type": "-32602" } });
});

test("a status of HTTP is the error of a request whose answer is forwarded", async () => {
  const { user, collector } = await traced({});
  const call = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "plain" } };
  const { statusCode, body } = await user.post(JSON.stringify(call));
  await body.text();
  // The server knows no call outside a session.
  expect(statusCode).toBe(404);
  const [request] = await collector.named("tools/call plain");
  expect(request).toMatchObject({ isError: true, attributes: { "error.type": "404" } });
});

test("log lines about a task name its trace", async () => {
  const server = await startScriptedServer({ "tools/call": (call) => call.text("done") });
  onTestFinished(server.close);
  const collector = await startCollector();
  withVariables(exportingTo(collector.url));
  const said: string[] = [];
  const log = createLog("debug", { write: (line) => void said.push(line) });
  const settings = { upstream: server.url, tracing: "otlp", ...AT_ONCE, log: { isAudited: true } } as const;
  const gateway = await startGateway(configFor(settings), { log });
  onTestFinished(() => gateway.close());
  const user = new ModernClient(new URL(gateway.routes[0]?.url ?? ""));
  const { taskId } = await user.callTool("report", {}, { headers: { traceparent: FROM_CLIENT } });
  await user.settled(taskId);

  const request = only(await collector.named("tools/call report", 2), "server");
  const about = said.map((line) => JSON.parse(line)).filter(({ task }) => task === taskName(taskId));
  const told = about.map(({ event, audit }) => event ?? audit);
  expect(told).toEqual(expect.arrayContaining(["created", "ended", "read"]));
  for (const line of about) expect(line).toMatchObject({ trace_id: TRACE, span_id: request.spanId });
});

test("a gateway that stops sends what is left", async () => {
  const collector = await startCollector();
  withVariables({ ...exportingTo(collector.url), OTEL_BSP_SCHEDULE_DELAY: "600000" });
  const { user, gateway } = await story({ "tools/call": (call) => call.text("done") }, { tracing: "otlp" });
  await user.callTool("report");
  expect(collector.spans).toEqual([]);
  await gateway.close();
  expect(collector.spans.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["tools/call report", "tools/call report", "queue"]),
  );
});

test("a gateway that stops does not wait for a collector that does not answer", async () => {
  const collector = await startCollector({ answer: "never" });
  // The exporter would wait far longer than the test.
  withVariables({ ...exportingTo(collector.url), OTEL_EXPORTER_OTLP_TIMEOUT: "3600000" });
  const { user, gateway } = await story({ "tools/call": (call) => call.text("done") }, { tracing: "otlp" });
  await user.callTool("report");
  await collector.exported();
  await gateway.close();
  await collector.left();
});

test("a collector that is away loses spans and nothing else, and gets those that come when it is back", async () => {
  const server = await startScriptedServer({ "tools/call": (call) => call.text("done") });
  onTestFinished(server.close);
  const first = await startCollector();
  const port = Number(new URL(first.url).port);
  await first.close();
  withVariables({
    ...exportingTo(first.url),
    OTEL_EXPORTER_OTLP_TIMEOUT: "200",
    OTEL_BSP_MAX_QUEUE_SIZE: "100",
  });
  const lines = new Lines();
  const config = configFor({ upstream: server.url, tracing: "otlp" });
  const gateway = await startGateway(config, { log: createLog("info", lines) });
  onTestFinished(() => gateway.close());
  const user = new ModernClient(new URL(gateway.routes[0]?.url ?? ""));

  for (let call = 0; call < 50; call += 1) expect(textOf(await user.callTool("lost"))).toBe("done");
  await lines.saying("spans do not reach the collector");
  const back = await startCollector({ port });
  expect(textOf(await user.callTool("kept"))).toBe("done");
  await back.named("tools/call kept", 2);
  await lines.saying("spans reach the collector again");

  await back.close();
  expect(textOf(await user.callTool("late"))).toBe("done");
  await lines.saying("spans do not reach the collector", 2);
  expect(lines.all.filter((line) => line.includes("collector"))).toHaveLength(3);
});

test("without OTEL_EXPORTER_OTLP_PROTOCOL spans go as protobuf", async () => {
  const collector = await startCollector();
  withVariables({ ...exportingTo(collector.url), OTEL_EXPORTER_OTLP_PROTOCOL: "" });
  const { user } = await story({ "tools/call": (call) => call.text("done") }, { tracing: "otlp" });
  await user.callTool("report");
  const { headers, body } = await collector.exported();
  expect(headers["content-type"]).toBe("application/x-protobuf");
  expect(body.includes("tools/call report")).toBe(true);
});

test.each([
  ["OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", 'must be one of http/protobuf, http/json, got "grpc"'],
  ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http", 'must be one of http/protobuf, http/json, got "http"'],
  ["OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "must be an http or https URL"],
  ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "unix:/run/otel", "must be an http or https URL"],
  ["OTEL_EXPORTER_OTLP_CERTIFICATE", "/none/ca.pem", 'cannot read the file "/none/ca.pem"'],
  ["OTEL_TRACES_SAMPLER", "sometimes", "must be one of always_on, always_off"],
  ["OTEL_TRACES_SAMPLER_ARG", "half", 'must be a number from 0 to 1, got "half"'],
])("%s=%s is refused at the start", async (name, value, what) => {
  withVariables({ OTEL_TRACES_SAMPLER: "traceidratio", [name]: value });
  const config = configFor({ upstream: new URL("http://127.0.0.1:1"), tracing: "otlp" });
  await expect(startGateway(config, { log: createLog("silent") })).rejects.toThrow(`${name}: ${what}`);
});

class Lines {
  readonly all: string[] = [];
  readonly #conditions = new Conditions(() => this.all.join(""));

  write(line: string): void {
    this.all.push(line);
    this.#conditions.check();
  }

  async saying(what: string, times = 1): Promise<void> {
    const found = () => this.all.filter((line) => line.includes(what)).length >= times || undefined;
    await this.#conditions.found(found, `${times} lines with ${what}`);
  }
}
