/** A client of an older revision on standard input and output: messages pass, tasks are added, and both generations may share a connection. */

import { once } from "node:events";
import { PassThrough } from "node:stream";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { serveStdio } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { everything } from "../peers/peers.ts";
import { startEverything } from "../support/everything-process.ts";
import { configFor } from "../support/gateway.ts";
import { processesOf } from "../support/stdio-servers/processes.ts";
import { script } from "../support/stdio-servers/scripts.ts";
import { startStdio } from "./raw-client.ts";

const TALKS = fileURLToPath(new URL("../support/stdio-servers/talks.mjs", import.meta.url));
const EVERYTHING = ["--", process.execPath, everything("2025.12.18", "stdio")];

/** What stands for the server. */
const UPSTREAMS: readonly (readonly [string, () => Promise<readonly string[]>])[] = [
  ["a command", async () => EVERYTHING],
  ["a server over HTTP", async () => ["--upstream", (await startEverything("2025.12.18")).href]],
  ["a server over HTTP+SSE", async () => ["--upstream", (await startEverything("2025.9.25", "sse")).href]],
];

test.each(UPSTREAMS)(
  "%s: a session with calls, progress and errors of the server's own",
  async (_, argsOf) => {
    const client = startStdio(await argsOf());
    const { result } = await client.initialize("2025-06-18");
    expect(result).toMatchObject({ protocolVersion: "2025-06-18", serverInfo: { name: expect.any(String) } });
    expect(result.capabilities).not.toHaveProperty("tasks");

    const call = { name: "longRunningOperation", arguments: { duration: 0.4, steps: 2 } };
    client.send({ id: "a", method: "tools/call", params: { ...call, _meta: { progressToken: "mine" } } });
    client.send({ id: "b", method: "unknown/method", params: {} });
    expect((await client.answer("b")).error.code).toBe(-32601);
    expect((await client.answer("a")).result.content[0].text).toContain("completed");
    const progress = client.heard.filter(({ method }) => method === "notifications/progress");
    expect(progress.map(({ params }) => params)).toMatchObject([
      { progressToken: "mine", progress: 1 },
      { progressToken: "mine", progress: 2 },
    ]);
  },
);

test.each(UPSTREAMS)("%s: a client of 2025-11-25 is told of tasks", async (_, argsOf) => {
  const client = startStdio(await argsOf());
  const { result } = await client.initialize("2025-11-25");
  expect(result.capabilities.tasks).toEqual({ list: {}, cancel: {}, requests: { tools: { call: {} } } });
});

test("what a client leaves unread is kept, and told when it reads again", async () => {
  const input = new PassThrough();
  const output = new PassThrough();
  const config = configFor({ upstream: { command: process.execPath, args: [TALKS] } });
  const gateway = await serveStdio(config, { input, output, log: createLog("silent") });
  onTestFinished(() => gateway.close());
  const send = (message: object) => input.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  const params = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "t", version: "0" } };
  send({ id: 1, method: "initialize", params });
  await once(output, "readable");
  const news = { jsonrpc: "2.0", method: "notifications/message", params: { data: "x".repeat(1_000_000) } };
  const question = { jsonrpc: "2.0", id: "q", method: "roots/list" };
  send({ method: "x/say", params: { times: 25, messages: [news] } });
  send({ method: "x/say", params: { messages: [question] } });
  // The answer comes after the question, and is never kept back: with all that may be unread of the rest it is more than this.
  const echo = { name: "echo", arguments: { said: "y".repeat(3_000_000) } };
  send({ id: 2, method: "tools/call", params: echo });
  await expect.poll(() => output.writableLength, { timeout: 60_000 }).toBeGreaterThan(18_500_000);
  let heard = "";
  output.setEncoding("utf8").on("data", (text: string) => {
    heard += text;
  });
  await expect.poll(() => heard.includes('"id":"q"'), { timeout: 60_000 }).toBe(true);
});

test("a call as a task of 2025-11-25: created, listed, polled, its result had, another cancelled", async () => {
  const client = startStdio(EVERYTHING);
  await client.initialize("2025-11-25");
  const short = { name: "longRunningOperation", arguments: { duration: 0.5, steps: 1 }, task: {} };
  const { task } = (await client.request("tools/call", short)).result;
  expect(task).toMatchObject({ taskId: expect.any(String), status: "working" });
  expect((await client.request("tasks/list")).result.tasks).toMatchObject([{ taskId: task.taskId }]);

  const { result } = await client.request("tasks/result", { taskId: task.taskId });
  expect(result.content[0].text).toContain("completed");
  expect((await client.request("tasks/get", { taskId: task.taskId })).result.status).toBe("completed");
  expect(await client.notified("notifications/tasks/status")).toMatchObject({ taskId: task.taskId });

  const long = { name: "longRunningOperation", arguments: { duration: 60, steps: 1 }, task: {} };
  const { taskId } = (await client.request("tools/call", long)).result.task;
  expect((await client.request("tasks/cancel", { taskId })).result.status).toBe("cancelled");
});

test("a question of the server's is the client's to answer, in a call and in a task", async () => {
  const client = startStdio(EVERYTHING);
  await client.initialize("2025-11-25", { elicitation: {} });
  const call = { name: "startElicitation", arguments: {} };
  client.send({ id: "plain", method: "tools/call", params: call });
  const question = await client.message(({ method }) => method === "elicitation/create");
  client.send({ id: question.id, result: { action: "decline" } });
  expect((await client.answer("plain")).result.content[0].text).toContain("declined");

  const { taskId } = (await client.request("tools/call", { ...call, task: {} })).result.task;
  client.send({ id: "result", method: "tasks/result", params: { taskId } });
  const asked = await client.message(
    (each) => each.method === "elicitation/create" && each.id !== question.id,
  );
  expect(asked.params._meta["io.modelcontextprotocol/related-task"]).toEqual({ taskId });
  client.send({ id: asked.id, result: { action: "decline" } });
  expect((await client.answer("result")).result.content[0].text).toContain("declined");
});

test("a probe of 2026-07-28 first, then a session, and both go on side by side", async () => {
  const client = startStdio(["--mode", "always", ...EVERYTHING]);
  expect((await client.ask("server/discover")).result.supportedVersions).toEqual(["2026-07-28"]);
  await client.initialize("2025-11-25");

  const call = { name: "longRunningOperation", arguments: { duration: 0.3, steps: 1 } };
  const { result: task } = await client.ask("tools/call", call);
  expect((await client.request("tools/call", { ...call, task: {} })).result.task.status).toBe("working");
  expect(await client.settled(task.taskId)).toMatchObject({ status: "completed" });
  expect((await client.request("tasks/result", { taskId: task.taskId })).result.content[0].text).toContain(
    "completed",
  );
});

test("the messages of a batch of 2025-03-26 are answered one by one", async () => {
  const client = startStdio(EVERYTHING);
  await client.initialize("2025-03-26");
  const requests = [1, 2].map((n) => ({ jsonrpc: "2.0", id: `b${n}`, method: "ping" }));
  client.write(JSON.stringify([requests[0], "nothing", requests[1]]));
  expect(await client.answer("b1")).toMatchObject({ result: {} });
  expect(await client.answer("b2")).toMatchObject({ result: {} });
  expect(await client.answer(null)).toMatchObject({ error: { code: -32600 } });
});

test("a batch of more messages than anybody answers is refused as a whole", async () => {
  const client = startStdio(EVERYTHING);
  await client.initialize("2025-03-26");
  client.write(JSON.stringify(Array.from({ length: 101 }, () => 1)));
  expect(await client.answer(null)).toMatchObject({
    error: { code: -32600, message: "Invalid request: a batch must have 1 to 100 messages, got more" },
  });
  client.send({ id: "after", method: "ping" });
  expect(await client.answer("after")).toMatchObject({ result: {} });
  expect(client.heard.filter(({ id }) => id === null)).toHaveLength(1);
});

test("a request that the client takes back is taken back from the server", async () => {
  const client = startStdio(EVERYTHING);
  await client.initialize("2025-11-25");
  const call = { name: "longRunningOperation", arguments: { duration: 60, steps: 1 } };
  client.send({ id: "long", method: "tools/call", params: call });
  client.send({ method: "notifications/cancelled", params: { requestId: "long" } });
  expect(
    (await client.request("tools/call", { name: "echo", arguments: { message: "hi" } })).result,
  ).toMatchObject({
    content: [{ text: "Echo: hi" }],
  });
  expect(client.heard.filter(({ id }) => id === "long")).toEqual([]);
});

test("the end of the server is an error for the call, and then our own", async () => {
  const { command, args } = script("odd-tools");
  const client = startStdio(["--", command, ...args]);
  await client.initialize("2025-06-18");
  const call = { name: "exit", arguments: { code: 3, say: "out of memory" } };
  expect((await client.request("tools/call", call)).error.message).toBe(
    "The server exited with code 3 in the middle of the call: out of memory",
  );
  expect(await client.exited).toBe(1);
});

test("a server that cannot be started is an error for initialize, and then our own end", async () => {
  const client = startStdio(["--", "/no/such/program"]);
  const { error } = await client.initialize("2025-06-18");
  expect(error.message).toContain("command not found: /no/such/program");
  expect(await client.exited).toBe(1);
});

test("a client that closes the input in the middle of a call is left with 0, and no process stays", async () => {
  const { command, args } = script("odd-tools");
  const client = startStdio(["--", command, ...args]);
  await client.initialize("2025-06-18");
  const { result } = await client.request("tools/call", { name: "pid", arguments: {} });
  const group = Number(result.content[0].text);
  client.send({ id: "last", method: "tools/call", params: { name: "stop-answering", arguments: {} } });
  client.end();
  expect(await client.exited).toBe(0);
  expect(await processesOf(group)).toEqual([]);
});
