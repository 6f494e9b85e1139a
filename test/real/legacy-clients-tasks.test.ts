/** The experimental tasks of 2025-11-25, as the client of the v1 SDK uses them, on a server that has never heard of any tasks. */

import { CallToolResultSchema } from "@modelcontextprotocol/sdk/types.js";
import { describe, expect, onTestFinished, test } from "vitest";
import { everything } from "../peers/peers.ts";
import { type GatewaySettings, gatewayFor } from "../support/gateway.ts";
import { connectLegacy } from "../support/legacy-client.ts";
import { startLegacyTasksServer } from "../support/legacy-tasks-server.ts";
import type { Json } from "../support/modern-client.ts";
import { textOf } from "../support/story.ts";
import { peersMissing } from "./peers-missing.ts";
import { startServerProcess } from "./server-process.ts";

const RELATED = "io.modelcontextprotocol/related-task";
const SLOW = { name: "slow_compute", arguments: { seconds: 0.5, label: "It" } };
const ENDLESS = { name: "slow_compute", arguments: { seconds: 60, label: "It" } };

test("the client sees which tools can be tasks", async () => {
  const rules = [
    { match: "greet", mode: "never" },
    { match: "failing_job", mode: "required" },
    { match: "multi_input", mode: "always" },
  ] as const;
  const { client, heard } = await start({ tools: rules });

  await client.listTools();

  expect(heard[0].result).toMatchObject({
    protocolVersion: "2025-11-25",
    serverInfo: { name: "legacy-tasks" },
    capabilities: { tools: {}, tasks: { cancel: {}, requests: { tools: { call: {} } } } },
  });
  const tools: Json[] = heard.find(({ result }) => result?.tools !== undefined).result.tools;
  expect(Object.fromEntries(tools.map(({ name, execution }) => [name, execution]))).toMatchObject({
    greet: { taskSupport: "forbidden" },
    failing_job: { taskSupport: "required" },
    multi_input: { taskSupport: "optional" },
    slow_compute: { taskSupport: "optional" },
  });
});

test("a call becomes a task, is polled to its end, and has the server's result", async () => {
  const { follow, heard } = await start();

  const { task, statuses, result } = await follow(SLOW);

  expect(task).toMatchObject({
    taskId: expect.stringMatching(/^[\x21-\x7e]{22,}$/),
    status: "working",
    createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    lastUpdatedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    ttl: expect.any(Number),
    pollInterval: expect.any(Number),
  });
  expect(statuses).toEqual(["working", "completed"]);
  expect(result).toEqual({
    content: [{ type: "text", text: "It took 0.5 s" }],
    _meta: { [RELATED]: { taskId: task.taskId } },
  });
  expect(Object.keys(heard.find((message) => message.result?.task !== undefined).result)).toContain("task");
});

test("a call that is quick is a task too, when the client wants one", async () => {
  const { follow } = await start();

  const { task, result } = await follow({ name: "greet", arguments: { name: "Ada" } });

  expect(task.taskId).toEqual(expect.any(String));
  expect(textOf(result)).toBe("Hello, Ada!");
});

test("a call without a task is answered plainly, however long it takes", async () => {
  const { client, heard } = await start();

  const result = await client.callTool(SLOW);

  expect(result).toEqual({ content: [{ type: "text", text: "It took 0.5 s" }] });
  expect(heard.filter((message) => message.result?.task !== undefined)).toEqual([]);
});

describe.each(["call", "session"] as const)("a server that asks on the stream of the %s", (asksOn) => {
  test("has its question answered by way of the task", async () => {
    let decide = (_: typeof ANSWER) => {};
    const answer = new Promise<typeof ANSWER>((resolve) => {
      decide = resolve;
    });
    const { client, create, notified, server } = await start({}, asksOn, answer);
    const { tasks } = client.experimental;

    const { taskId } = await create({ name: "confirm_delete", arguments: { filename: "a.txt" } });
    expect(await notified("elicitation/create")).toMatchObject({
      message: "Really delete a.txt?",
      _meta: { [RELATED]: { taskId } },
    });
    expect(await tasks.getTask(taskId)).toMatchObject({ status: "input_required" });
    decide(ANSWER);

    const result = await tasks.getTaskResult(taskId, CallToolResultSchema);
    expect(textOf(result as Json)).toBe("Deleted a.txt");
    expect(await tasks.getTask(taskId)).toMatchObject({ status: "completed" });
    expect(server.calls).toHaveLength(1);
  });

  test("has two questions answered", async () => {
    const { follow, asked } = await start({}, asksOn);

    const { result } = await follow({ name: "multi_input", arguments: {} });

    expect(textOf(result)).toBe("Ada and Ada");
    expect(asked.map(({ message }) => message).sort()).toEqual(["Who was first?", "Who was second?"]);
  });

  test("has its question answered in a call that is no task", async () => {
    const { client, asked } = await start({}, asksOn);

    const result = await client.callTool({ name: "confirm_delete", arguments: { filename: "a.txt" } });

    expect(textOf(result as Json)).toBe("Deleted a.txt");
    expect(asked).toHaveLength(1);
    expect(asked[0]._meta?.[RELATED]).toBeUndefined();
  });
});

test("a result can be waited for by several, and had again", async () => {
  const { client, create } = await start();
  const { taskId } = await create(SLOW);

  const waited = await Promise.all(
    [1, 2, 3].map(() => client.experimental.tasks.getTaskResult(taskId, CallToolResultSchema)),
  );
  const again = await client.experimental.tasks.getTaskResult(taskId, CallToolResultSchema);

  expect(waited).toEqual([again, again, again]);
  expect(textOf(again as Json)).toBe("It took 0.5 s");
});

test("a task that is cancelled is so at once and for ever, and the server is told", async () => {
  const { client, create, server, notified } = await start();
  const { taskId } = await create(ENDLESS);
  await server.until((calls) => calls.length === 1, "the call");

  const cancelled = await client.experimental.tasks.cancelTask(taskId);

  expect(cancelled).toMatchObject({ taskId, status: "cancelled" });
  await server.until(([call]) => call?.state === "cancelled", "the call to be cancelled");
  expect(await notified("notifications/tasks/status", (told) => told.status === "cancelled")).toMatchObject({
    taskId,
  });
  expect(await client.experimental.tasks.getTask(taskId)).toMatchObject({ taskId, status: "cancelled" });
  await expect(client.experimental.tasks.cancelTask(taskId)).rejects.toMatchObject({ code: -32602 });
  await expect(client.experimental.tasks.getTaskResult(taskId, CallToolResultSchema)).rejects.toMatchObject({
    code: expect.any(Number),
  });
});

test("a tool that fails is a failed task, and its result can still be had", async () => {
  const { client, follow } = await start();

  const { task, statuses, error } = await follow({ name: "failing_job", arguments: {} });

  expect(statuses).toEqual(["working", "failed"]);
  expect(error).toMatchObject({ message: expect.stringContaining("failed") });
  expect(await client.experimental.tasks.getTaskResult(task.taskId, CallToolResultSchema)).toMatchObject({
    isError: true,
    content: [{ text: "The job has failed, as it always does" }],
  });
});

test("a call that fails is a failed task, and its result is the server's error", async () => {
  const { client, follow } = await start();

  const { task, statuses } = await follow({ name: "protocol_error_job", arguments: {} });

  expect(statuses).toEqual(["working", "failed"]);
  await expect(
    client.experimental.tasks.getTaskResult(task.taskId, CallToolResultSchema),
  ).rejects.toMatchObject({
    code: -32603,
    message: expect.stringContaining("The job has broken down"),
  });
});

test("what the policy does not allow is refused, and the server is not called", async () => {
  const rules = [
    { match: "greet", mode: "never" },
    { match: "slow_compute", mode: "required" },
  ] as const;
  const { client, create, server } = await start({ tools: rules });

  await expect(create({ name: "greet", arguments: { name: "Ada" } })).rejects.toMatchObject({ code: -32601 });
  await expect(client.callTool(SLOW)).rejects.toMatchObject({ code: -32601 });
  expect(server.calls).toEqual([]);
});

test("a task that nobody knows is none, and nobody can list them who is not known", async () => {
  const { tasks } = (await start()).client.experimental;

  const unknown = { code: -32602 };
  await expect(tasks.getTask("no-such-task")).rejects.toMatchObject(unknown);
  await expect(tasks.getTaskResult("no-such-task", CallToolResultSchema)).rejects.toMatchObject(unknown);
  await expect(tasks.cancelTask("no-such-task")).rejects.toMatchObject(unknown);
  await expect(tasks.listTasks()).rejects.toMatchObject({ code: -32601 });
});

test("the end of a task is told on the stream of the session", async () => {
  const { create, notified } = await start();
  const { taskId } = await create(SLOW);

  const told = await notified("notifications/tasks/status", ({ status }) => status === "completed");

  expect(told).toMatchObject({ taskId, createdAt: expect.any(String), ttl: expect.any(Number) });
});

test("a task is known to another session of the same caller", async () => {
  const { create, url } = await start();
  const { taskId } = await create(SLOW);
  const other = await connectLegacy("1.32", url);

  const result = await other.client.experimental.tasks.getTaskResult(taskId, CallToolResultSchema);

  expect(textOf(result as Json)).toBe("It took 0.5 s");
});

describe.skipIf(peersMissing("server-everything", () => everything("2025.12.18")))(
  "server-everything",
  () => {
    test("does its long work as a task, and tells the caller of progress under its token", async () => {
      const { client, heard, follow } = await inFrontOfEverything();

      const { statuses, result } = await follow({
        name: "longRunningOperation",
        arguments: { duration: 1, steps: 4 },
        _meta: { progressToken: "mine" },
      });

      expect(textOf(result)).toContain("completed");
      expect(statuses.at(-1)).toBe("completed");
      const told = heard.filter(({ method }) => method === "notifications/progress");
      expect(told.map(({ params }) => [params.progressToken, params.progress])).toEqual(
        [1, 2, 3, 4].map((step) => ["mine", step]),
      );
      expect(await client.ping()).toEqual({});
    });

    test("has its model and its user asked by way of tasks", async () => {
      const { follow, asked } = await inFrontOfEverything();

      const sampled = await follow({ name: "sampleLLM", arguments: { prompt: "The capital?" } });
      const answered = await follow({ name: "startElicitation", arguments: {} });

      expect(textOf(sampled.result)).toContain("Paris");
      expect(JSON.stringify(answered.result)).toContain("Name: Ada");
      expect(asked.map(({ _meta }) => _meta[RELATED].taskId)).toEqual([
        sampled.task.taskId,
        answered.task.taskId,
      ]);
    });
  },
);

async function start(
  settings: Omit<GatewaySettings, "upstream"> = {},
  asksOn: "call" | "session" = "session",
  answer: typeof ANSWER | Promise<typeof ANSWER> = ANSWER,
) {
  const server = await startLegacyTasksServer({ asksOn });
  onTestFinished(server.close);
  const { url } = await gatewayFor({ upstream: server.url, ...settings });
  return { server, url, ...(await connect(url, answer)) };
}

async function inFrontOfEverything() {
  const upstream = await startServerProcess(everything("2025.12.18"), onTestFinished);
  return connect((await gatewayFor({ upstream })).url);
}

async function connect(url: URL, answer: typeof ANSWER | Promise<typeof ANSWER> = ANSWER) {
  const connected = await connectLegacy("1.32", url, { answer });
  const { tasks } = connected.client.experimental;

  type Call = Parameters<typeof tasks.callToolStream>[0];
  /** The messages of a call as a task, sorted by what they say. */
  const follow = async (call: Call) => {
    const messages: Json[] = [];
    for await (const message of tasks.callToolStream(call, undefined, AS_TASK)) messages.push(message);
    const of = (type: string): Json[] => messages.filter((message) => message.type === type);
    return {
      task: of("taskCreated")[0]?.task,
      statuses: [...new Set(of("taskStatus").map(({ task }) => task.status as string))],
      result: of("result")[0]?.result,
      error: of("error")[0]?.error,
    };
  };
  /** The task that a call has become, which goes on by itself. */
  const create = async (call: Call): Promise<Json> => {
    for await (const message of tasks.callToolStream(call, undefined, AS_TASK)) {
      if (message.type === "taskCreated") return message.task;
      if (message.type === "error") throw message.error;
    }
    throw new Error("there was neither a task nor an error");
  };
  return { ...connected, follow, create };
}

const ANSWER = { confirm: true, name: "Ada" };
const AS_TASK = { task: { ttl: 60_000 } };
