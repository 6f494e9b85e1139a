/** Tasks of 2025-11-25 in sessions with a server over stdio. */

import { expect, test } from "vitest";
import { byName, LegacyWire, relatedTask } from "../../support/legacy-wire.ts";
import type { Json } from "../../support/modern-client.ts";
import { accept, EVERYTHING, form } from "../../support/story.ts";
import { said, type TalksSettings, talks } from "./talks.ts";

const WAIT = { arguments: { key: "a" } };
const ASK = { arguments: { method: "elicitation/create", params: form("Who?") } };

async function connected(settings: TalksSettings = {}) {
  const told = await talks(settings);
  return { ...told, user: await LegacyWire.connect(told.url) };
}

test("a call becomes a task in the client's own process, and its result is the server's", async () => {
  const { user } = await connected();
  const pid = said(await user.result("tools/call", { name: "pid" }));
  const { taskId, status } = await user.begin("pid");
  expect(status).toBe("working");
  const result = await user.result("tasks/result", { taskId });
  expect(said(result)).toBe(pid);
  expect(result._meta).toEqual({ "io.modelcontextprotocol/related-task": { taskId } });
  expect(await user.task(taskId)).toMatchObject({ taskId, status: "completed" });
});

test("a result is waited for, and the client may leave and come back", async () => {
  const { user } = await connected();
  const { taskId } = await user.begin("wait", WAIT);
  const first = user.open("tasks/result", { taskId });
  await user.task(taskId);
  first.leave();
  const second = user.open("tasks/result", { taskId });
  await user.task(taskId);
  await user.notify("x/let", { key: "a" });
  expect(said((await second.answer).message.result)).toBe("let");
});

test("who takes back to wait for a result does not cancel the task", async () => {
  const { user } = await connected();
  const { taskId } = await user.begin("wait", WAIT);
  const waiting = user.open("tasks/result", { taskId }, { id: "w" });
  await user.task(taskId);
  await user.notify("notifications/cancelled", { requestId: "w" });
  expect((await waiting.answer).message).toBeUndefined();
  expect((await user.task(taskId)).status).toBe("working");
  expect((await user.result("x/heard")).heard).toHaveLength(1);
});

test("tasks/cancel tells the server under the id of the call", async () => {
  const { user } = await connected();
  const { taskId } = await user.begin("wait", WAIT);
  expect(await user.result("tasks/cancel", { taskId })).toMatchObject({ taskId, status: "cancelled" });
  const { heard } = await user.result("x/heard");
  expect(heard.at(-1)).toMatchObject({
    method: "notifications/cancelled",
    params: { requestId: expect.stringMatching(/^taskgate-/) },
  });
  expect(await user.error("tasks/cancel", { taskId })).toMatchObject({ code: -32602 });
});

test("what the server asks is asked on tasks/result, and the answer reaches the server", async () => {
  const { user } = await connected();
  const { taskId } = await user.begin("ask", ASK);
  await user.taskThat(taskId, "input_required");
  const waiting = user.open("tasks/result", { taskId });
  const question = await waiting.heard("elicitation/create");
  expect(question.id).toMatch(/^taskgate:/);
  expect(relatedTask(question)).toEqual({ taskId });
  expect((await user.respond(question.id, { result: accept({ name: "Ada" }) })).status).toBe(202);
  const { message } = await waiting.answer;
  expect(message.result.told).toEqual({ jsonrpc: "2.0", id: 0, result: accept({ name: "Ada" }) });
});

test("without a client that waits, it is asked where the session listens, and the end is told there", async () => {
  const { user } = await connected();
  const listening = await user.listen();
  const { taskId } = await user.begin("ask", ASK);
  const question = await listening.heard("elicitation/create");
  expect(relatedTask(question)).toEqual({ taskId });
  await user.respond(question.id, { result: { action: "decline" } });
  await listening.next(({ params }) => params?.status === "completed", "the end of the task");
});

test("beside a call that is no task, a question is the client's own", async () => {
  const { user } = await connected();
  const { taskId } = await user.begin("wait", WAIT);
  const call = user.open("tools/call", { name: "ask", ...ASK });
  expect(await call.heard("elicitation/create")).toMatchObject({ id: 0, params: form("Who?") });
  expect((await user.task(taskId)).status).toBe("working");
  await user.respond(0, { result: accept() });
  expect((await call.answer).message.result.told.result).toEqual(accept());
});

test("progress of a task is told under the client's own token", async () => {
  const { user } = await connected();
  const listening = await user.listen();
  const progress = {
    jsonrpc: "2.0",
    method: "notifications/progress",
    params: { progressToken: "t", progress: 2, total: 4 },
  };
  const { taskId } = await user.begin("wait", { ...WAIT, _meta: { progressToken: "t" } });
  await user.notify("x/say", { messages: [progress] });
  const heard = await listening.heard("notifications/progress");
  expect(heard.params).toMatchObject({ progressToken: "t", progress: 2, total: 4 });
  expect(relatedTask(heard)).toEqual({ taskId });
  await user.taskWhen(taskId, ({ statusMessage }) => statusMessage === "2 of 4");
});

test("generations mix: each finds what the other began", async () => {
  const { user, client } = await connected({ policy: { mode: "always" } });
  const modern = client({ capabilities: EVERYTHING });
  const { taskId } = await user.begin("ask", ASK);
  const { inputRequests } = await modern.taskWhen(taskId, ({ status }) => status === "input_required");
  const [key = ""] = Object.keys(inputRequests);
  await modern.result("tasks/update", { taskId, inputResponses: { [key]: accept({ name: "Bob" }) } });
  expect((await modern.settled(taskId)).status).toBe("completed");
  expect((await user.result("tasks/result", { taskId })).told.result).toEqual(accept({ name: "Bob" }));
  const begun = await modern.callTool("echo", { said: "modern" });
  expect(said(await user.result("tasks/result", { taskId: begun.taskId }))).toBe("modern");
});

test("tasks are listed where callers are told apart, and are the caller's own", async () => {
  const { url } = await talks({ identify: byName });
  const [ada, bob] = [
    await LegacyWire.connect(url, { headers: { "x-user": "ada" } }),
    await LegacyWire.connect(url, { headers: { "x-user": "bob" } }),
  ];
  expect(ada.initialized.capabilities.tasks.list).toEqual({});
  const { taskId } = await ada.begin("echo", { arguments: { said: "x" } });
  expect((await ada.result("tasks/list")).tasks).toMatchObject([{ taskId }]);
  expect((await bob.result("tasks/list")).tasks).toEqual([]);
  expect(await bob.error("tasks/get", { taskId })).toMatchObject({ code: -32602 });
});

test("what may be a task is the policy's to say", async () => {
  const { url } = await talks({
    tools: [
      { match: "echo", mode: "never" },
      { match: "pid", mode: "required" },
    ],
  });
  const user = await LegacyWire.connect(url);
  const { tools } = await user.result("tools/list");
  const support = Object.fromEntries(tools.map((tool: Json) => [tool.name, tool.execution.taskSupport]));
  expect(support).toMatchObject({ echo: "forbidden", pid: "required", wait: "optional" });
  expect(await user.error("tools/call", { name: "echo", task: {} })).toMatchObject({ code: -32601 });
  expect(await user.error("tools/call", { name: "pid" })).toMatchObject({ code: -32601 });
});

test("a session that a task runs in does not end, and one that was ended ends with its last task", async () => {
  const { user, url, pids } = await connected({ idleTimeoutMs: 2_500 });
  const pid = Number(said(await user.result("tools/call", { name: "pid" })));
  const { taskId } = await user.begin("work", { arguments: { ms: 5_000 } });
  expect((await user.end()).status).toBe(200);
  const again = await LegacyWire.connect(url);
  expect(await pids()).toContain(pid);
  expect(said(await again.result("tasks/result", { taskId }))).toBe("worked");
  await expect.poll(pids, { timeout: 60_000, interval: 50 }).not.toContain(pid);
});

test("when the server dies, the task has failed and says so, and can be asked for in another session", async () => {
  const { user, url } = await connected();
  const { taskId } = await user.begin("exit", { arguments: { code: 4 } });
  // Not asked for in the session itself, which has nothing else under way then.
  const again = await LegacyWire.connect(url);
  const { status, statusMessage } = await again.taskThat(taskId, "failed");
  expect([status, statusMessage]).toEqual(["failed", expect.stringContaining("exited with code 4")]);
  await expect.poll(async () => (await user.send("ping")).status).toBe(404);
});

test("what was asked on a tasks/result that broke off is asked again on the next", async () => {
  const { user } = await connected();
  const { taskId } = await user.begin("ask", ASK);
  await user.taskThat(taskId, "input_required");
  const first = user.open("tasks/result", { taskId });
  await first.heard("elicitation/create");
  first.leave();
  await first.over();
  const second = user.open("tasks/result", { taskId });
  await second.heard("elicitation/create");
});

test("a server that has tasks of its own keeps them", async () => {
  const { url } = await talks();
  const user = await LegacyWire.connect(url, { capabilities: { "x-own-tasks": true } });
  expect(user.initialized.capabilities.tasks).toEqual({ "x-own": true });
  const call = { name: "echo", arguments: { said: "x" }, task: { ttl: 5 } };
  expect(said(await user.result("tools/call", call))).toBe("x");
  const { asked } = await user.result("tasks/get", { taskId: "its-own" });
  expect(asked).toMatchObject({ method: "tasks/get", params: { taskId: "its-own" } });
});

test("long results that a batch asks for find room one after the other", async () => {
  const { user } = await connected({ limits: { total: { bytes: 3_000_000 } } });
  const ids: string[] = [];
  for (let n = 0; n < 4; n += 1) {
    const { taskId } = await user.begin("echo", { arguments: { said: "x".repeat(150_000) } });
    await user.taskThat(taskId, "completed");
    ids.push(taskId);
  }
  const batch = ids.map((taskId, n) => ({
    jsonrpc: "2.0",
    id: `get-${n}`,
    method: "tasks/get",
    params: { taskId },
  }));
  const { before, message } = await user.post(batch).answer;
  const answers = [...before, message];
  expect(answers.map(({ id }) => id).toSorted()).toEqual(batch.map(({ id }) => id));
  expect(answers.map(({ result }) => result?.status)).toEqual(ids.map(() => "completed"));
});
