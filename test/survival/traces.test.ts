/** A trace goes on where its gateway does not. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { exportingTo, startCollector } from "../support/collector.ts";
import { startGatewayProcess } from "../support/gateway-process.ts";
import { ModernClient } from "../support/modern-client.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { startScriptedServer } from "../support/scripted-server.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const FROM_CLIENT = { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: "v=1" };

/** Two gateways on one Redis. The first is killed during a call that the second makes again. @param until what has to be before that */
async function takenOver(
  tracing: readonly [first: string, second: string],
  variables: Readonly<Record<string, string>> = {},
  until?: () => Promise<unknown>,
) {
  const redis = await redisForTest();
  const server = await startScriptedServer({
    // Nobody answers the first gateway.
    "tools/call": (call) => (calls(server) === 1 ? undefined : call.text("done")),
  });
  onTestFinished(server.close);
  const directory = mkdtempSync(join(tmpdir(), "traces-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const tasks = { mode: "always", onLoss: "retry", unsafe: true, pollInterval: "50ms" };
  const start = (how: string) => {
    const file = join(directory, `${how}.json`);
    const config = {
      listen: { port: 0 },
      store: { url: redis.url, lease: "1s" },
      tracing: how,
      servers: { tested: { upstream: { url: server.url.href }, tasks } },
    };
    writeFileSync(file, JSON.stringify(config));
    return startGatewayProcess([file], { env: variables });
  };
  const first = await start(tracing[0]);
  const second = await start(tracing[1]);
  const { taskId } = await new ModernClient(first.url).callTool("report", {}, { headers: FROM_CLIENT });
  await server.arrival("tools/call");
  await until?.();
  await first.kill("SIGKILL");
  const task = await new ModernClient(second.url).settled(taskId);
  expect(task).toMatchObject({ status: "completed" });
  return (await server.arrival("tools/call", 2)).headers;
}

function calls({ received }: Pick<Awaited<ReturnType<typeof startScriptedServer>>, "received">): number {
  return received.filter(({ method }) => method === "tools/call").length;
}

describe.skipIf(withoutRedis("a trace that goes on at another gateway"))("the trace of an orphan", () => {
  test("goes on at the gateway that takes it over", async () => {
    const collector = await startCollector();
    const headers = await takenOver(["otlp", "otlp"], exportingTo(collector.url), () =>
      collector.named("tools/call report"),
    );
    const [task] = await collector.named("task report");
    expect(task).toMatchObject({ traceId: TRACE, isError: false });
    expect(task?.events).toEqual(expect.arrayContaining(["sent", "adopted"]));
    const spans = await collector.named("tools/call report", 2);
    const request = spans.find(({ kind }) => kind === "server");
    // The first gateway was killed before its call had ended.
    const call = spans.find(({ kind }) => kind === "client");
    expect(spans.map(({ traceId }) => traceId)).toEqual([TRACE, TRACE]);
    expect([task?.parent, call?.parent]).toEqual([request?.spanId, request?.spanId]);
    expect(headers.traceparent).toBe(`00-${TRACE}-${call?.spanId}-01`);
    expect(request?.resource["service.instance.id"]).not.toBe(call?.resource["service.instance.id"]);
  });

  test("is the client's where the gateways only pass it on", async () => {
    expect(await takenOver(["propagate", "propagate"])).toMatchObject(FROM_CLIENT);
  });

  test("is the client's where the record of an older gateway does not keep it", async () => {
    const collector = await startCollector();
    const headers = await takenOver(["off", "otlp"], exportingTo(collector.url));
    const [call] = await collector.named("tools/call report");
    expect(call).toMatchObject({ traceId: TRACE, parent: SPAN, kind: "client" });
    expect(headers.traceparent).toBe(`00-${TRACE}-${call?.spanId}-01`);
  });
});
