import type { ApplicationInputRequest, WithTasksOptions } from "@modelcontextprotocol/ext-tasks/client";
import { expect, onTestFinished, test } from "vitest";
import { connect as connectSession } from "../demo/task-session.ts";
import { gatewayFor } from "../support/gateway.ts";
import { startLegacyTasksServer } from "../support/legacy-tasks-server.ts";
import { completed, follow } from "./executions.ts";
import { wiretap } from "./wiretap.ts";

test("the session of ext-tasks speaks 2026-07-28 and sees that the gateway has tasks", async () => {
  const { session, tap } = await start();

  expect(session.era).toBe("modern");
  expect(session.serverHasTasks).toBe(true);
  expect(session.tasks.capabilities).toMatchObject({
    execution: true,
    cancellation: true,
    inputResponses: true,
  });
  expect(tap.all.map(({ headers }) => headers["mcp-protocol-version"])).toEqual(["2026-07-28"]);
});

test("a call that is quick is answered at once, and never becomes a task", async () => {
  const { session, tap } = await start();

  const execution = await session.tasks.callTool("greet", { name: "Ada" });

  expect(execution.kind).toBe("immediate");
  expect((await execution.settle()).outcome).toMatchObject(completed("Hello, Ada!"));
  expect(tap.of("tasks/get")).toEqual([]);
});

test("a call that takes long becomes a task, and is polled to its end", async () => {
  const { session, tap } = await start();

  const execution = await session.tasks.callTool("slow_compute", { seconds: 0.5, label: "It" });
  const { outcome, seen } = await follow(execution);

  expect(execution.kind).toBe("task");
  expect(outcome).toMatchObject(completed("It took 0.5 s"));
  expect(seen).toEqual(["working", "completed"]);
  const taskId = execution.handle?.taskId;
  const polls = tap.of("tasks/get");
  expect(new Set(polls.map(({ sent }) => sent.params.taskId))).toEqual(new Set([taskId]));
  expect(new Set(polls.map(({ headers }) => headers["mcp-name"]))).toEqual(new Set([taskId]));
  const last = polls.at(-1)?.result;
  expect(last).toMatchObject({
    resultType: "complete",
    taskId,
    status: "completed",
    result: { resultType: "complete", content: [{ type: "text", text: "It took 0.5 s" }] },
  });
  expect(Object.keys(last).filter((key) => ["error", "inputRequests", "requestState"].includes(key))).toEqual(
    [],
  );
});

test("a question of the server's is answered through the handler of the session", async () => {
  const { session, tap, asked, server } = await start();

  const execution = await session.tasks.callTool("confirm_delete", { filename: "a.txt" });
  const { outcome, seen } = await follow(execution);

  expect(outcome).toMatchObject(completed("Deleted a.txt"));
  expect(seen).toContain("input_required");
  expect(asked).toMatchObject([{ kind: "elicitation", params: { message: "Really delete a.txt?" } }]);
  const asking = tap.of("tasks/get").find(({ got }) => got[0].result.status === "input_required")
    ?.got[0].result;
  const [key = "", ...others] = Object.keys(asking.inputRequests);
  expect(others).toEqual([]);
  expect(asking.inputRequests[key].method).toBe("elicitation/create");
  const update = tap.at("tasks/update");
  expect(update.sent.params).toMatchObject({
    taskId: execution.handle?.taskId,
    inputResponses: { [key]: { action: "accept", content: { confirm: true, name: "Ada" } } },
  });
  expect(update.result.resultType).toBe("complete");
  expect(tap.of("tasks/update")).toHaveLength(1);
  expect(server.calls).toHaveLength(1);
});

test("two questions at once are both answered", async () => {
  const { session, asked } = await start();

  const { outcome } = await follow(await session.tasks.callTool("multi_input", {}));

  expect(outcome).toMatchObject(completed("Ada and Ada"));
  expect(asked).toHaveLength(2);
});

test("a task that is cancelled is cancelled at the server too", async () => {
  const { session, server, tap } = await start();
  const execution = await session.tasks.callTool("slow_compute", { seconds: 60, label: "It" });

  await execution.cancel();

  expect(await execution.result()).toMatchObject({ status: "cancelled" });
  await server.until(([call]) => call?.state === "cancelled", "the call to be cancelled");
  expect(tap.at("tasks/cancel").sent.params.taskId).toBe(execution.handle?.taskId);
  expect(tap.at("tasks/cancel").result.resultType).toBe("complete");
});

test("a tool that fails has a result, and a call that fails has an error", async () => {
  const { session } = await start();

  const tool = await follow(await session.tasks.callTool("failing_job", {}));
  const call = await follow(await session.tasks.callTool("protocol_error_job", {}));

  expect(tool.outcome).toMatchObject({ status: "completed", result: { isError: true } });
  expect(call.outcome).toMatchObject({
    status: "failed",
    task: { statusMessage: expect.stringContaining("The job has broken down") },
  });
});

test("a task is picked up by another session, with nothing but its reference", async () => {
  const first = await start();
  const execution = await first.session.tasks.callTool("slow_compute", { seconds: 1, label: "It" });
  if (execution.kind !== "task") throw new Error("the call was expected to become a task");
  const reference = execution.serializeReference();
  await execution.detach();
  await first.session.close();

  const second = await connect(first.tap.url, []);
  const resumed = await second.tasks.resumeTask(reference);

  expect((await follow(resumed)).outcome).toMatchObject(completed("It took 1 s"));
  expect(first.server.calls).toHaveLength(1);
});

async function start() {
  const server = await startLegacyTasksServer();
  onTestFinished(server.close);
  const gateway = await gatewayFor({ upstream: server.url, policy: { waitForMs: 250 } });
  const tap = await wiretap(gateway.url);
  const asked: ApplicationInputRequest[] = [];
  return { server, tap, asked, session: await connect(tap.url, asked) };
}

async function connect(url: URL, asked: ApplicationInputRequest[]) {
  const answer: NonNullable<WithTasksOptions["onInputRequest"]> = (request) => {
    asked.push(request);
    return Promise.resolve({ action: "accept", content: { confirm: true, name: "Ada" } } as never);
  };
  const session = await connectSession(url.href, answer);
  onTestFinished(() => session.close());
  return session;
}
