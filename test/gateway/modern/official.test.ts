/** A server by the official SDK of 2026-07-28, and the official clients before it. */

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { expect, onTestFinished, test } from "vitest";
import { connect } from "../../demo/task-session.ts";
import { gatewayFor } from "../../support/gateway.ts";
import { type ModernTasksServerOptions, startModernTasksServer } from "../../support/modern-tasks-server.ts";
import { EVERYTHING } from "../../support/story.ts";

async function behind(options: ModernTasksServerOptions = {}) {
  const server = await startModernTasksServer(options);
  onTestFinished(server.close);
  const gateway = await gatewayFor({ upstream: server.url, policy: { waitForMs: 250 } });
  const asked: unknown[] = [];
  const session = await connect(gateway.url.href, (request) => {
    asked.push(request);
    return Promise.resolve({ action: "accept", content: { confirm: true, name: "Ada" } } as never);
  });
  onTestFinished(() => session.close());
  return { ...gateway, server, session, asked };
}

test("the session of ext-tasks has tasks of a server that has none", async () => {
  const { session, server, asked } = await behind();
  expect([session.era, session.serverHasTasks]).toEqual(["modern", true]);
  expect(session.client.getServerVersion()).toEqual({ name: "modern-tasks", version: "1.0.0" });

  const settled = async (tool: string, args: Record<string, string | number>) => {
    const execution = await session.tasks.callTool(tool, args);
    const { outcome } = await execution.settle();
    return { kind: execution.kind, outcome };
  };
  const completed = (text: string) => ({
    status: "completed",
    result: { content: [{ type: "text", text }] },
  });
  expect(await settled("greet", { name: "Ada" })).toMatchObject({
    kind: "immediate",
    outcome: completed("Hello, Ada!"),
  });
  expect(await settled("slow_compute", { seconds: 0.6, label: "It" })).toMatchObject({
    kind: "task",
    outcome: completed("It took 0.6 s"),
  });
  expect(await settled("confirm_delete", { filename: "a.txt" })).toMatchObject({
    kind: "task",
    outcome: completed("Deleted a.txt"),
  });
  expect(await settled("multi_input", {})).toMatchObject({ kind: "task", outcome: completed("Ada and Ada") });
  expect(asked).toHaveLength(3);
  expect(server.calls).toEqual([
    "greet",
    "slow_compute",
    "confirm_delete",
    "confirm_delete",
    "multi_input",
    "multi_input",
  ]);
});

test("a task that is cancelled is cancelled at the server", async () => {
  const { session, server } = await behind();
  const execution = await session.tasks.callTool("slow_compute", { seconds: 60, label: "It" });
  await execution.cancel();
  await expect.poll(() => server.cancelled).toBe(1);
});

test("a client that does not know tasks has the server to itself", async () => {
  const { url, server } = await behind();
  const client = new Client(
    { name: "test", version: "1" },
    { capabilities: { elicitation: { form: {} } }, versionNegotiation: { mode: "auto" } },
  );
  onTestFinished(() => client.close());
  await client.connect(new StreamableHTTPClientTransport(url));
  client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: { confirm: true } }));
  expect(client.getProtocolEra()).toBe("modern");
  expect((await client.listTools()).tools.map(({ name }) => name)).toContain("greet");
  const deleted = await client.callTool({ name: "confirm_delete", arguments: { filename: "a.txt" } });
  expect(deleted).toMatchObject({ content: [{ text: "Deleted a.txt" }] });
  await expect(client.callTool({ name: "protocol_error_job", arguments: {} })).rejects.toMatchObject({
    code: -32603,
  });
  expect(server.calls).toHaveLength(3);
});

test("changes of the server and of tasks are heard on one subscription", async () => {
  const { client, server } = await behind();
  const user = client({ capabilities: EVERYTHING });
  const { taskId } = await user.callTool("slow_compute", { seconds: 60, label: "It" });
  const leaving = new AbortController();
  const filter = { notifications: { toolsListChanged: true, taskIds: [taskId] } };
  const stream = user.stream("subscriptions/listen", filter, { signal: leaving.signal });
  expect((await stream.next()).value.params.notifications).toEqual({
    toolsListChanged: true,
    taskIds: [taskId],
  });
  expect((await stream.next()).value.params.status).toBe("working");
  server.toolsChanged();
  expect((await stream.next()).value.method).toBe("notifications/tools/list_changed");
  await user.result("tasks/cancel", { taskId });
  expect((await stream.next()).value.params.status).toBe("cancelled");
  leaving.abort();
});

test("clients of both eras find a server of both eras in their own", async () => {
  const { url, gateway } = await behind({ isDual: true });
  expect(gateway.routes[0]?.description).toBe("modern 2026-07-28");
  const legacy = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode: "legacy" } });
  onTestFinished(() => legacy.close());
  await legacy.connect(new StreamableHTTPClientTransport(url));
  expect(legacy.getProtocolEra()).toBe("legacy");
  expect(await legacy.callTool({ name: "greet", arguments: { name: "Ada" } })).toMatchObject({
    content: [{ text: "Hello, Ada!" }],
  });
});
