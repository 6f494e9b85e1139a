/** The session of ext-tasks with a client that stays with 2025-11-25, where it drives the experimental tasks of that revision. */

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import {
  type ApplicationInputRequest,
  createTaskSessionFromClient,
  type WithTasksOptions,
} from "@modelcontextprotocol/ext-tasks/client";
import { expect, onTestFinished, test } from "vitest";
import { gatewayFor } from "../support/gateway.ts";
import { startLegacyTasksServer } from "../support/legacy-tasks-server.ts";
import { completed, follow } from "./executions.ts";
import { wiretap } from "./wiretap.ts";

test("the session sees that there are tasks of its generation", async () => {
  const { client, session, tap } = await start();

  expect(client.getNegotiatedProtocolVersion()).toBe("2025-11-25");
  expect(client.getProtocolEra()).toBe("legacy");
  expect(tap.at("initialize").result.capabilities).toEqual({
    tools: {},
    tasks: { cancel: {}, requests: { tools: { call: {} } } },
  });
  expect(session.capabilities).toMatchObject({ execution: true, cancellation: true });
});

test("a call that takes long becomes a task, and is polled to its end", async () => {
  const { session, tap } = await start();

  const execution = await session.callTool("slow_compute", { seconds: 0.5, label: "It" }, AS_TASK);
  const { outcome, seen } = await follow(execution);

  expect(execution.kind).toBe("task");
  expect(outcome).toMatchObject(completed("It took 0.5 s"));
  expect(seen).toEqual(["working", "completed"]);
  expect(tap.at("tools/call").sent.params.task).toEqual(expect.any(Object));
  expect(tap.at("tools/call").result.task).toMatchObject({ taskId: execution.handle?.taskId });
  expect(tap.of("tasks/result")).toHaveLength(1);
});

test.each(["call", "session"] as const)(
  "a question that the server asks on the stream of the %s is answered",
  async (asksOn) => {
    const { session, asked, server, tap } = await start(asksOn);

    const execution = await session.callTool("confirm_delete", { filename: "a.txt" }, AS_TASK);
    const { outcome, seen } = await follow(execution);

    expect(outcome).toMatchObject(completed("Deleted a.txt"));
    expect(seen).toEqual(["working", "input_required", "completed"]);
    expect(asked).toMatchObject([{ kind: "elicitation", params: { message: "Really delete a.txt?" } }]);
    // It never waits for a result while it is asked, so that there is no other stream to ask it on.
    expect(tap.of("tasks/result")).toHaveLength(1);
    expect(server.calls).toHaveLength(1);
  },
);

test("two tasks at once get their own answers", async () => {
  const { session, asked } = await start("call");

  const executions = await Promise.all(
    ["a.txt", "b.txt"].map((filename) => session.callTool("confirm_delete", { filename }, AS_TASK)),
  );
  const outcomes = await Promise.all(executions.map(async (each) => (await follow(each)).outcome));

  expect(outcomes).toMatchObject([completed("Deleted a.txt"), completed("Deleted b.txt")]);
  expect(asked).toHaveLength(2);
});

test("a task that is cancelled is cancelled at the server too", async () => {
  const { session, server } = await start();
  const execution = await session.callTool("slow_compute", { seconds: 60, label: "It" }, AS_TASK);

  await execution.cancel();

  expect(await execution.result()).toMatchObject({ status: "cancelled" });
  await server.until(([call]) => call?.state === "cancelled", "the call to be cancelled");
});

test("a tool that fails and a call that fails are failed tasks", async () => {
  const { session } = await start();

  const tool = await follow(await session.callTool("failing_job", {}, AS_TASK));
  const call = await follow(await session.callTool("protocol_error_job", {}, AS_TASK));

  expect(tool.outcome).toMatchObject({ status: "failed" });
  expect(call.outcome).toMatchObject({
    status: "failed",
    task: { statusMessage: expect.stringContaining("The job has broken down") },
  });
});

test("a task is picked up by another session, with nothing but its reference", async () => {
  const first = await start();
  const execution = await first.session.callTool("slow_compute", { seconds: 1, label: "It" }, AS_TASK);
  if (execution.kind !== "task") throw new Error("the call was expected to become a task");
  const reference = execution.serializeReference();
  await execution.detach();
  // Not the session: that would cancel what it has let go of.
  await first.client.close();

  const second = await connect(first.tap.url, []);
  const resumed = await second.session.resumeTask(reference);

  expect((await follow(resumed)).outcome).toMatchObject(completed("It took 1 s"));
  expect(first.server.calls).toHaveLength(1);
});

/** Where a tool may be a task or not, the session asks its caller. */
const AS_TASK = { task: { preference: "prefer" } } as const;

async function start(asksOn: "call" | "session" = "session") {
  const server = await startLegacyTasksServer({ asksOn });
  onTestFinished(server.close);
  const gateway = await gatewayFor({ upstream: server.url });
  const tap = await wiretap(gateway.url);
  const asked: ApplicationInputRequest[] = [];
  return { server, tap, asked, ...(await connect(tap.url, asked)) };
}

async function connect(url: URL, asked: ApplicationInputRequest[]) {
  const client = new Client(
    { name: "test", version: "1" },
    { capabilities: { elicitation: { form: {} } }, versionNegotiation: { mode: "legacy" } },
  );
  await client.connect(new StreamableHTTPClientTransport(url));
  onTestFinished(() => client.close());
  const onInputRequest: NonNullable<WithTasksOptions["onInputRequest"]> = (request) => {
    asked.push(request);
    return Promise.resolve({ action: "accept", content: { confirm: true, name: "Ada" } } as never);
  };
  const session = createTaskSessionFromClient(client, { endpointId: url.href, onInputRequest });
  onTestFinished(() => session.close());
  return { client, session };
}
