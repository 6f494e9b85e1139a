/** A client of 2026-07-28 on standard input and output, in front of a real server that has never heard of tasks. */

import { expect, onTestFinished, test } from "vitest";
import { everything } from "../peers/peers.ts";
import { startLegacyTasksServer } from "../support/legacy-tasks-server.ts";
import { TASKS } from "../support/modern-client.ts";
import { complete, modernScripts, STATELESS } from "../support/modern-server.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { startStdio } from "./raw-client.ts";

const EVERYTHING = ["--", process.execPath, everything("2025.12.18", "stdio")];
const SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId";
const ELICITATION = { elicitation: { form: {} } };
const LONG = { name: "longRunningOperation", arguments: { duration: 60, steps: 60 } };

test("server/discover tells of the server, and of tasks", async () => {
  const client = startStdio(EVERYTHING);
  const { result } = await client.ask("server/discover");
  expect(result).toMatchObject({
    resultType: "complete",
    supportedVersions: ["2026-07-28"],
    capabilities: { tools: {}, ...TASKS },
    _meta: { "io.modelcontextprotocol/serverInfo": { name: "example-servers/everything" } },
  });
});

test("a call becomes a task, and is polled to its result", async () => {
  const client = startStdio(["--wait-for", "50ms", ...EVERYTHING]);
  const call = { name: "longRunningOperation", arguments: { duration: 1, steps: 4 } };
  const { result: task } = await client.ask("tools/call", call);
  expect(task).toMatchObject({ resultType: "task", status: "working" });

  const working = await client.taskWhen(task.taskId, ({ statusMessage }) => statusMessage?.includes(" of 4"));
  expect(working.status).toBe("working");
  const { status, result } = await client.settled(task.taskId);
  expect(status).toBe("completed");
  expect(result.content[0].text).toContain("completed");
});

test("progress comes before the answer, under the client's own token", async () => {
  const client = startStdio(EVERYTHING, { capabilities: {} });
  const call = { name: "longRunningOperation", arguments: { duration: 0.4, steps: 2 } };
  const id = client.open("tools/call", call, { progressToken: "mine" });
  const { result } = await client.answer(id);

  expect(result.content[0].text).toContain("completed");
  const kinds = client.heard.map(({ method, params }) => [method, params?.progressToken, params?.progress]);
  expect(kinds).toEqual([
    ["notifications/progress", "mine", 1],
    ["notifications/progress", "mine", 2],
    [undefined, undefined, undefined],
  ]);
});

test("a question of the server's is the answer of a round, and the next round has the result", async () => {
  const client = startStdio(EVERYTHING, { capabilities: ELICITATION });
  const call = { name: "startElicitation", arguments: {} };
  const { result: asked } = await client.ask("tools/call", call);
  expect(asked.resultType).toBe("input_required");
  const [key = ""] = Object.keys(asked.inputRequests);
  expect(asked.inputRequests[key]).toMatchObject({ method: "elicitation/create" });

  const inputResponses = { [key]: { action: "decline" } };
  const { requestState } = asked;
  const { result } = await client.ask("tools/call", { ...call, inputResponses, requestState });
  expect(result.content[0].text).toContain("declined");
});

test("a task that asks is answered by tasks/update", async () => {
  const capabilities = { ...TASKS, ...ELICITATION };
  const client = startStdio(["--mode", "always", ...EVERYTHING], { capabilities });
  const { result: task } = await client.ask("tools/call", { name: "startElicitation", arguments: {} });
  const { inputRequests } = await client.taskWhen(task.taskId, ({ status }) => status === "input_required");
  const inputResponses = { [String(Object.keys(inputRequests)[0])]: { action: "decline" } };

  const { error } = await client.ask("tasks/update", { taskId: task.taskId, inputResponses });
  expect(error).toBeUndefined();
  expect((await client.settled(task.taskId)).result.content[0].text).toContain("declined");
});

test("a task is cancelled by tasks/cancel", async () => {
  const client = startStdio(["--mode", "always", ...EVERYTHING]);
  const { result: task } = await client.ask("tools/call", LONG);
  await client.ask("tasks/cancel", { taskId: task.taskId });
  expect(await client.settled(task.taskId)).toMatchObject({ status: "cancelled" });
});

test("a request that the client takes back is taken back from the server, and never answered", async () => {
  const server = await startLegacyTasksServer();
  onTestFinished(() => server.close());
  const client = startStdio(["--upstream", server.url.href], { capabilities: {} });
  const call = { name: "slow_compute", arguments: { seconds: 60, label: "It" } };
  const id = client.open("tools/call", call);
  await server.until((calls) => calls.some(({ state }) => state === "running"), "the call");

  client.send({ method: "notifications/cancelled", params: { requestId: id, reason: "changed my mind" } });
  await server.until((calls) => calls.some(({ state }) => state === "cancelled"), "its cancellation");
  await client.ask("tools/list");
  expect(client.heard.filter((message) => message.id === id)).toEqual([]);
});

test("subscriptions/listen tells of tasks until the client takes it back", async () => {
  const client = startStdio(["--mode", "always", ...EVERYTHING]);
  const { result: task } = await client.ask("tools/call", LONG);
  const id = client.open("subscriptions/listen", { notifications: { taskIds: [task.taskId] } });
  expect(await client.notified("notifications/subscriptions/acknowledged")).toMatchObject({
    notifications: { taskIds: [task.taskId] },
    _meta: { [SUBSCRIPTION]: id },
  });
  expect(await client.notified("notifications/tasks")).toMatchObject({
    taskId: task.taskId,
    status: "working",
    _meta: { [SUBSCRIPTION]: id },
  });

  client.send({ method: "notifications/cancelled", params: { requestId: id } });
  await client.ask("tasks/cancel", { taskId: task.taskId });
  await client.settled(task.taskId);
  await client.ask("tools/list");
  const told = client.heard.filter(({ method }) => method === "notifications/tasks");
  expect(told.filter(({ params }) => params.status === "cancelled")).toEqual([]);
  expect(client.heard.filter((message) => message.id === id)).toEqual([]);
});

test("a stream to listen on ends with a result and the word that it is cancelled, when the gateway stops", async () => {
  const client = startStdio(EVERYTHING);
  const id = client.open("subscriptions/listen", { notifications: { taskIds: [] } });
  await client.notified("notifications/subscriptions/acknowledged");
  client.signal("SIGTERM");
  expect(await client.exited).toBe(0);

  expect(client.heard.slice(-2)).toMatchObject([
    { id, result: { resultType: "complete", _meta: { [SUBSCRIPTION]: id } } },
    { method: "notifications/cancelled", params: { requestId: id } },
  ]);
});

test("a server that speaks 2026-07-28 itself: what is its own passes, and its calls become tasks", async () => {
  const server = await startScriptedServer(
    {
      ...modernScripts(),
      "tools/call": (exchange) => exchange.json(complete({ content: [{ type: "text", text: "done" }] })),
      "its/own": (exchange) => exchange.json(complete({ its: "own" })),
    },
    STATELESS,
  );
  onTestFinished(() => server.close());
  const client = startStdio(["--mode", "always", "--upstream", server.url.href]);
  expect((await client.ask("server/discover")).result).toMatchObject({
    instructions: "Be brief.",
    capabilities: { tools: { listChanged: true }, ...TASKS },
  });
  expect((await client.ask("its/own")).result).toMatchObject({ its: "own" });
  const { result: task } = await client.ask("tools/call", { name: "anything", arguments: {} });
  expect((await client.settled(task.taskId)).result.content[0].text).toBe("done");
});

test("an id that is in use is refused without touching the request that has it", async () => {
  const client = startStdio(EVERYTHING, { capabilities: {} });
  const call = { name: "longRunningOperation", arguments: { duration: 0.5, steps: 1 } };
  const id = client.open("tools/call", call);
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  client.send({ id, method: "tools/list", params: { _meta } });

  expect((await client.message(({ error }) => error !== undefined)).error).toEqual({
    code: -32600,
    message: `Invalid request: id "${id}" is in use`,
  });
  expect((await client.answer(id)).result.content[0].text).toContain("completed");
});

test("two clients at a time have gateways, servers and tasks of their own", async () => {
  const clients = [1, 2].map(() => startStdio(["--mode", "always", ...EVERYTHING]));
  const call = { name: "longRunningOperation", arguments: { duration: 0.2, steps: 1 } };
  const tasks = await Promise.all(
    clients.map(async (client) => (await client.ask("tools/call", call)).result.taskId),
  );
  const settled = await Promise.all(clients.map((client, index) => client.settled(tasks[index])));
  expect(settled).toMatchObject([{ status: "completed" }, { status: "completed" }]);
  const others = clients.map((client, index) => client.ask("tasks/get", { taskId: tasks[1 - index] }));
  expect(await Promise.all(others)).toMatchObject([{ error: { code: -32602 } }, { error: { code: -32602 } }]);
});
