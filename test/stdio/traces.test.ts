/** The trace of a client on standard input and output, which has no headers to name it in. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { exportingTo, startCollector } from "../support/collector.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { startStdio } from "./raw-client.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

test("goes on from _meta to the server, and the end of the process sends its last spans", async () => {
  const collector = await startCollector();
  const server = await startScriptedServer({ "tools/call": (call) => call.text("done") });
  onTestFinished(server.close);
  const folder = mkdtempSync(join(tmpdir(), "traces-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const config = join(folder, "taskgate.json");
  const tested = { upstream: { url: server.url.href }, tasks: { mode: "always" } };
  writeFileSync(config, JSON.stringify({ tracing: "otlp", servers: { tested } }));
  // Later than the test ends.
  const env = { ...exportingTo(collector.url), OTEL_BSP_SCHEDULE_DELAY: "600000" };
  const client = startStdio(["--config", config], { env });

  const call = { name: "report", arguments: {} };
  const { result } = await client.ask("tools/call", call, { traceparent: `00-${TRACE}-${SPAN}-01` });
  await client.settled(result.taskId);
  client.end();
  expect(await client.exited).toBe(0);

  const spans = collector.spans.filter(({ name }) => name === "tools/call report");
  const [request, sent] = ["server", "client"].map((kind) => spans.find((span) => span.kind === kind));
  expect(request).toMatchObject({ traceId: TRACE, parent: SPAN });
  expect(sent).toMatchObject({ traceId: TRACE, parent: request?.spanId });
  expect(collector.spans.find(({ name }) => name === "task report")).toMatchObject({ traceId: TRACE });
  expect(collector.spans.find(({ name }) => name === "tasks/get")?.links).toHaveLength(1);
  const { message } = await server.arrival("tools/call");
  expect(message.params?._meta).toMatchObject({ traceparent: `00-${TRACE}-${sent?.spanId}-01` });
});
