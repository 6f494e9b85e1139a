/** The example servers of three releases of the v1 SDK, each with the client of its own release: directly, then through the gateway. */

import { expect, onTestFinished, test } from "vitest";
import { type SdkRelease, sdk } from "../peers/peers.ts";
import { gatewayFor } from "../support/gateway.ts";
import { connectLegacy } from "../support/legacy-client.ts";
import type { Json } from "../support/modern-client.ts";
import { peersMissing } from "./peers-missing.ts";
import { startServerProcess } from "./server-process.ts";

const RELEASES = ["1.10", "1.22", "1.32"] as const;

const EXAMPLES = [
  // With sessions, an event store and streams.
  { example: "simpleStreamableHttp", tool: "start-notification-stream", args: { interval: 10, count: 3 } },
  // Answers as JSON, and has no stream to listen on.
  { example: "jsonResponseStreamableHttp", tool: "greet", args: { name: "Ada" } },
  // Without sessions.
  {
    example: "simpleStatelessStreamableHttp",
    tool: "start-notification-stream",
    args: { interval: 10, count: 3 },
  },
  // With HTTP+SSE beside it.
  {
    example: "sseAndStreamableHttpCompatibleServer",
    tool: "start-notification-stream",
    args: { interval: 10, count: 3 },
  },
] as const;

const missing = peersMissing("The clients of the v1 SDK", () =>
  RELEASES.map((release) => sdk(release, "client/index")),
);

test.skipIf(missing).each(RELEASES.flatMap((release) => EXAMPLES.map((each) => ({ release, ...each }))))(
  "$example of $release is the same through the gateway",
  async ({ release, example, tool, args }) => {
    const server = await startServerProcess(sdk(release, `examples/server/${example}`), onTestFinished);
    const { url } = await gatewayFor({ upstream: server });

    const direct = await told(release, server, tool, args);
    const through = await told(release, url, tool, args);

    expect(direct.result.content).toMatchObject([{ type: "text" }]);
    expect(through).toEqual(direct);
  },
);

test.skipIf(missing)("a server with tasks of its own keeps them", async () => {
  const server = await startServerProcess(
    sdk("1.32", "examples/server/simpleStreamableHttp"),
    onTestFinished,
  );
  const { url } = await gatewayFor({ upstream: server });
  const { client, heard } = await connectLegacy("1.32", url);
  const { tasks } = client.experimental;

  const { tools } = await client.listTools();
  const seen: Json[] = [];
  for await (const message of tasks.callToolStream({ name: "delay", arguments: { duration: 100 } }))
    seen.push(message);

  expect(heard[0].result).toMatchObject({
    protocolVersion: "2025-11-25",
    capabilities: { tasks: { requests: { tools: { call: {} } } } },
  });
  expect(tools.find(({ name }) => name === "delay")?.execution).toEqual({ taskSupport: "required" });
  expect(tools.find(({ name }) => name === "greet")?.execution).toEqual({ taskSupport: "forbidden" });
  // The ids of the SDK's own store.
  expect(seen[0].task.taskId).toMatch(/^[0-9a-f]{32}$/);
  expect(seen.at(-1).result.content).toEqual([{ type: "text", text: "Completed 100ms delay" }]);
});

/** What a client is told that asks for everything once, without what is known to differ: the gateway's tasks, and the time. */
async function told(release: SdkRelease, url: URL, name: string, args: Readonly<Record<string, unknown>>) {
  const { client, heard } = await connectLegacy(release, url);
  const { tools } = await client.listTools();
  const result: Json = await client.callTool({ name, arguments: args });
  const { tasks: _, ...capabilities } = heard[0].result.capabilities;
  return {
    initialized: { ...heard[0].result, capabilities },
    tools: tools.map(({ execution: _, ...tool }: Json) => tool),
    result,
    notified: heard.filter(({ method }) => method !== undefined).map(({ method }) => method),
  };
}
