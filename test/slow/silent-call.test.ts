import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "vitest";
import { startGatewayProcess } from "../support/gateway-process.ts";
import { ModernClient } from "../support/modern-client.ts";
import type { Exchange } from "../support/scripted-exchange.ts";
import { startScriptedServer } from "../support/scripted-server.ts";

/** Longer than the 300 s after which Node's own fetch gives up on a server that sends neither a head nor a body. */
const SILENCE_MS = 330_000;

interface Silence {
  readonly kind: string;
  /** Begins to answer; what is returned ends the answer. */
  readonly begin: (call: Exchange) => (text: string) => void;
}

test.concurrent.for<Silence>([
  {
    kind: "JSON without a head",
    begin: (call) => (text) => call.text(text),
  },
  {
    kind: "an empty event stream",
    begin: (call) => {
      const stream = call.sse();
      return (text) => stream.event(call.answer({ content: [{ type: "text", text }] })).end();
    },
  },
])("a call that is silent for 330 s completes as a task ($kind)", async ({ begin }, t) => {
  const server = await startScriptedServer({ "tools/call": speakLate(begin) });
  t.onTestFinished(() => server.close());
  const client = new ModernClient(await gatewayFor(server.url, t));

  const { resultType, taskId } = await client.callTool("report");
  t.expect(resultType).toBe("task");
  const call = await server.arrival("tools/call");
  t.expect(await client.task(taskId)).toMatchObject({ status: "working" });
  await call.closed;

  t.expect(await client.settled(taskId)).toMatchObject({
    status: "completed",
    result: { content: [{ type: "text", text: "at last" }] },
  });
});

function speakLate(begin: Silence["begin"]) {
  return (call: Exchange) => {
    const speak = begin(call);
    const timer = setTimeout(() => speak("at last"), SILENCE_MS);
    void call.closed.then(() => clearTimeout(timer));
  };
}

async function gatewayFor(upstream: URL, t: TestContext): Promise<URL> {
  const folder = await mkdtemp(join(tmpdir(), "taskgate-slow-"));
  t.onTestFinished(() => rm(folder, { recursive: true }));
  const args = ["--upstream", upstream.href, "--port", "0", "--store", `level:${folder}/data`];
  const { url } = await startGatewayProcess(args, { atEnd: t.onTestFinished });
  return url;
}
