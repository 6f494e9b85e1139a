import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import {
  type CallToolResult,
  type ElicitRequest,
  ElicitRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { expect, onTestFinished, test } from "vitest";
import {
  type LegacyTasksServer,
  type LegacyTasksServerOptions,
  startLegacyTasksServer,
} from "./legacy-tasks-server.ts";

test("the tools that never ask answer as the scenarios of the suite expect", async () => {
  const { server, call } = await fixture();

  expect(await call("greet", { name: "World" })).toMatchObject({ content: [{ text: "Hello, World!" }] });
  expect(await call("slow_compute", { seconds: 0, label: "a" })).toMatchObject({
    content: [{ text: "a took 0 s" }],
  });
  expect(await call("failing_job")).toMatchObject({ isError: true });
  await expect(call("protocol_error_job")).rejects.toMatchObject({ code: -32603 });
  await expect(call("nonsense")).rejects.toMatchObject({ code: -32602 });
  expect(server.calls.map(({ tool, state }) => `${tool} ${state}`)).toEqual([
    "greet returned",
    "slow_compute returned",
    "failing_job returned",
    "protocol_error_job threw",
  ]);
});

test.each(["call", "session"] as const)(
  "the tools that ask do so on the stream of the %s",
  async (asksOn) => {
    const { call, asked } = await fixture({ asksOn });

    expect(await call("confirm_delete", { filename: "a.txt" })).toMatchObject({
      content: [{ text: "Deleted a.txt" }],
    });
    expect(await call("multi_input")).toMatchObject({ content: [{ text: "Alice and Alice" }] });
    expect(await call("test_tool_with_task")).toMatchObject({
      content: [{ text: expect.stringContaining("Alice") }],
    });
    expect(asked.map(({ params }) => params._meta?.["mcp-taskgate/key"])).toEqual([
      undefined,
      undefined,
      undefined,
      "user_name",
    ]);
  },
);

test("a sleeping tool stops when it is cancelled", async () => {
  const { server, call } = await fixture();
  const abort = new AbortController();
  const sleeping = call("slow_compute", { seconds: 60, label: "a" }, abort.signal);
  await server.until(([sleeper]) => sleeper?.state === "running", "the call");
  abort.abort("enough");

  await expect(sleeping).rejects.toThrow("enough");
  await server.until(([sleeper]) => sleeper?.state === "cancelled", "the cancellation");
  expect(server.sessions).toBe(1);
});

async function fixture(options: LegacyTasksServerOptions = {}): Promise<{
  server: LegacyTasksServer;
  asked: ElicitRequest[];
  call(name: string, given?: Record<string, unknown>, signal?: AbortSignal): Promise<CallToolResult>;
}> {
  const server = await startLegacyTasksServer({ workMs: 100, ...options });
  onTestFinished(server.close);
  const client = new Client({ name: "test", version: "1" }, { capabilities: { elicitation: {} } });
  const asked: ElicitRequest[] = [];
  client.setRequestHandler(ElicitRequestSchema, (request) => {
    asked.push(request);
    return { action: "accept", content: { confirm: true, name: "Alice" } };
  });
  const transport = new StreamableHTTPClientTransport(server.url);
  await client.connect(transport as Transport);
  onTestFinished(() => client.close());
  return {
    server,
    asked,
    call: async (name, given = {}, signal = AbortSignal.timeout(5_000)) =>
      (await client.callTool({ name, arguments: given }, undefined, { signal })) as CallToolResult,
  };
}
