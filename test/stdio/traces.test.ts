/** The trace of a client on standard input and output, which has no headers to name it in. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type Collector, exportingTo, startCollector } from "../support/collector.ts";
import { type ScriptedServer, startScriptedServer } from "../support/scripted-server.ts";
import { type RawClient, startStdio } from "./raw-client.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const META = { traceparent: `00-${TRACE}-${SPAN}-01` };

async function traced() {
  const collector = await startCollector();
  const server = await startScriptedServer({ "tools/call": (call) => call.text("done") });
  onTestFinished(server.close);
  const folder = mkdtempSync(join(tmpdir(), "traces-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const config = join(folder, "taskgate.json");
  const tested = { upstream: { url: server.url.href }, tasks: { mode: "always" } };
  writeFileSync(config, JSON.stringify({ tracing: "otlp", servers: { tested } }));
  // Later than the test ends: the end of the process sends them.
  const env = { ...exportingTo(collector.url), OTEL_BSP_SCHEDULE_DELAY: "600000" };
  return { collector, server, client: startStdio(["--config", config], { env }) };
}

/** Ends the process, and expects its spans of one task that was polled. */
async function expectTask(client: RawClient, collector: Collector, server: ScriptedServer, polled: string) {
  client.end();
  expect(await client.exited).toBe(0);
  const spans = collector.spans.filter(({ name }) => name === "tools/call report");
  const [request, sent] = ["server", "client"].map((kind) => spans.find((span) => span.kind === kind));
  expect(spans).toHaveLength(2);
  expect(request).toMatchObject({ traceId: TRACE, parent: SPAN });
  expect(sent).toMatchObject({ traceId: TRACE, parent: request?.spanId });
  const task = collector.spans.find(({ name }) => name === "task report");
  expect(task).toMatchObject({ traceId: TRACE, parent: request?.spanId });
  const poll = collector.spans.find(({ name }) => name === polled);
  expect(poll?.links).toEqual([{ traceId: TRACE, spanId: request?.spanId }]);
  const { message } = await server.arrival("tools/call");
  expect(message.params?._meta).toMatchObject({ traceparent: `00-${TRACE}-${sent?.spanId}-01` });
}

test("goes on from _meta to the server", async () => {
  const { client, collector, server } = await traced();
  const { result } = await client.ask("tools/call", { name: "report", arguments: {} }, META);
  await client.settled(result.taskId);
  await expectTask(client, collector, server, "tasks/get");
});

test("goes on from _meta of a client of 2025-11-25", async () => {
  const { client, collector, server } = await traced();
  await client.initialize("2025-11-25");
  const call = { name: "report", arguments: {}, task: {}, _meta: META };
  const { task } = await client.result("tools/call", call);
  await client.result("tasks/result", { taskId: task.taskId });
  await expectTask(client, collector, server, "tasks/result");
});
