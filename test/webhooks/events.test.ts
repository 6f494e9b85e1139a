/** What receivers are told of tasks, by a gateway before a real server. */

import { randomUUID } from "node:crypto";
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/server/validators/ajv";
import { Webhook } from "standardwebhooks";
import { expect, onTestFinished, test } from "vitest";
import { taskName } from "../../src/log/task-name.ts";
import { bodySchema } from "../../src/webhooks/body-schema.ts";
import { ModernClient } from "../support/modern-client.ts";
import { accept, asksOnce, gate, INPUT, type StorySettings, story, textResult } from "../support/story.ts";
import { SECRET, startReceiver } from "./receiver.ts";

const validate = new AjvJsonSchemaValidator().getValidator(bodySchema());
const RESULT = "what the server says";
const ALL = ["created", "input_required", "progress", "completed", "failed", "cancelled", "lost"] as const;

async function told(
  webhook: Parameters<Awaited<ReturnType<typeof startReceiver>>["webhook"]>[0],
  settings: StorySettings = {},
) {
  const receiver = await startReceiver();
  const { opened, open } = gate();
  const tested = await story(
    {
      "tools/call": async (call) => {
        const name = call.message.params?.name;
        if (name === "asks") return asksOnce(call);
        if (name === "slow") await Promise.race([opened, call.cancelled]);
        if (name === "fails") return call.error(-32_000, RESULT);
        if (name === "bad") return call.json({ ...textResult(RESULT), isError: true });
        return call.json(textResult(name === "large" ? "x".repeat(300_000) : RESULT));
      },
    },
    { policy: { mode: "always" }, webhooks: [receiver.webhook(webhook)], ...settings },
  );
  onTestFinished(() => {
    for (const { body } of receiver.received) expect(validate(body)).toMatchObject({ valid: true });
  });
  return { ...tested, receiver, finish: open };
}

test("a task that completes is told once, without what server and client tell each other", async () => {
  const { receiver, user } = await told({});
  const { taskId } = await user.callTool("quick", { secret: RESULT });
  await receiver.until(() => receiver.received.length > 0);
  const [{ body, headers, text }] = receiver.received as [(typeof receiver.received)[number]];
  const task = await user.task(taskId);
  expect(body).toEqual({
    type: "task.completed",
    timestamp: task.lastUpdatedAt,
    data: {
      task: {
        taskId,
        status: "completed",
        createdAt: task.createdAt,
        lastUpdatedAt: task.lastUpdatedAt,
        ttlMs: task.ttlMs,
      },
      name: taskName(taskId),
      server: "tested",
      tool: "quick",
      caller: "anonymous",
    },
  });
  expect(headers["webhook-id"]).toMatch(/^msg_[\w-]{27}$/);
  expect(headers["content-type"]).toBe("application/json");
  expect(text).not.toContain(RESULT);
});

test("a task's life is told in order, and what was answered or asked only as that", async () => {
  const { receiver, user } = await told({ events: ALL });
  const { taskId } = await user.callTool("asks");
  await receiver.until(() => receiver.types().includes("task.input_required"));
  await user.result("tasks/update", { taskId, inputResponses: { name: accept({ name: "Ada" }) } });
  await receiver.until(() => receiver.types().includes("task.completed"));
  const types = receiver.types().filter((type) => type !== "task.progress");
  expect(types).toEqual(["task.created", "task.input_required", "task.completed"]);
  expect(receiver.received.map(({ text }) => text).join()).not.toContain("Who are you?");
  expect(new Set(receiver.received.map(({ id }) => id)).size).toBe(receiver.received.length);
});

test("failed, cancelled and erroneous tasks are told as that", async () => {
  const { receiver, user } = await told({});
  const ids = new Map<string, string>();
  for (const tool of ["fails", "bad", "slow"]) ids.set((await user.callTool(tool)).taskId, tool);
  const [slow] = [...ids].find(([, tool]) => tool === "slow") ?? [""];
  await user.result("tasks/cancel", { taskId: slow });
  await receiver.until(() => receiver.received.length === 3);
  const byTool = Object.fromEntries(
    receiver.received.map(({ body: { type, data } }) => [
      ids.get(data.task.taskId),
      [type, data.task.status, data.errorCode, data.isToolError],
    ]),
  );
  expect(byTool).toEqual({
    fails: ["task.failed", "failed", -32_000, undefined],
    bad: ["task.completed", "completed", undefined, true],
    slow: ["task.cancelled", "cancelled", undefined, undefined],
  });
});

test("with include: result an event has the result, or says that it has no room for it", async () => {
  const { receiver, user } = await told({ include: "result" });
  for (const tool of ["quick", "fails", "large"]) await user.callTool(tool);
  await receiver.until(() => receiver.received.length === 3);
  const of = (tool: string) => receiver.received.find(({ body }) => body.data.tool === tool)?.body.data;
  expect(of("quick").result).toMatchObject(textResult(RESULT));
  expect(of("fails").error).toMatchObject({ code: -32_000, message: RESULT });
  expect(of("large")).toMatchObject({ omitted: { result: expect.any(Number) } });
  expect(of("large").omitted.result).toBeGreaterThan(300_000);
  expect(of("large").result).toBeUndefined();
});

test("only what is asked for is told", async () => {
  const { receiver, user } = await told({ events: ["failed"], tools: ["f*"], servers: ["tested"] });
  for (const tool of ["quick", "bad", "fails"]) await user.settled((await user.callTool(tool)).taskId);
  await receiver.until(() => receiver.received.length > 0);
  expect(receiver.received.map(({ body }) => [body.type, body.data.tool])).toEqual([
    ["task.failed", "fails"],
  ]);
});

test("a call that is asked in rounds is nobody's task, and is not told", async () => {
  const { receiver, user, gateway } = await told({ events: ALL }, { policy: {} });
  const plain = new ModernClient(new URL(gateway.routes[0]?.url ?? ""), { capabilities: INPUT });
  const { requestState } = await plain.callTool("asks");
  const params = { requestState, inputResponses: { name: accept({ name: "Ada" }) } };
  await plain.callTool("asks", {}, { params });
  const { taskId } = await user.callTool("slow");
  await receiver.until(() => receiver.types().includes("task.created"));
  expect(new Set(receiver.received.map(({ body }) => body.data.task.taskId))).toEqual(new Set([taskId]));
});

test.each([
  ["is a task at once", "always", "slow"],
  ["becomes one", "auto", "slow"],
] as const)(
  "a call with an idempotency key that %s is told once, however often it is sent",
  async (_, mode, tool) => {
    const { receiver, user, finish } = await told(
      { events: ["created", "completed"] },
      { policy: { mode, waitForMs: 50 } },
    );
    const once = { headers: { "idempotency-key": randomUUID() } };
    const { taskId } = await user.callTool(tool, {}, once);
    expect(await user.callTool(tool, {}, once)).toMatchObject({ taskId });
    finish();
    await receiver.until(() => receiver.types().includes("task.completed"));
    expect((await user.callTool(tool, {}, once)).taskId ?? taskId).toBe(taskId);
    expect(receiver.types()).toEqual(["task.created", "task.completed"]);
  },
);

test("a call with an idempotency key that is answered directly is not told", async () => {
  const { receiver, user } = await told({ events: ALL }, { policy: {} });
  const answer = await user.callTool("quick", {}, { headers: { "idempotency-key": randomUUID() } });
  expect(answer.content).toEqual(textResult(RESULT).content);
  const { taskId } = await user.callTool("slow");
  await receiver.until(() => receiver.types().includes("task.created"));
  expect(new Set(receiver.received.map(({ body }) => body.data.task.taskId))).toEqual(new Set([taskId]));
});

test("that a call waits, or runs, is no progress", async () => {
  const { receiver, user, finish } = await told(
    { events: ["progress", "input_required", "completed"] },
    { policy: { mode: "always" }, server: { maxConcurrent: 1 } },
  );
  const first = await user.callTool("slow");
  const second = await user.callTool("asks");
  await user.taskWhen(second.taskId, ({ statusMessage }) => statusMessage === "queued");
  finish();
  await user.settled(first.taskId);
  await receiver.until(() => receiver.types().includes("task.input_required"));
  expect(receiver.types()).toEqual(["task.completed", "task.input_required"]);
});

test("while a secret changes, both sign", async () => {
  const next = `whsec_${Buffer.alloc(24, 9).toString("base64")}`;
  const { receiver, user } = await told({ secrets: [next, SECRET] });
  await user.callTool("quick");
  await receiver.until(() => receiver.received.length > 0);
  const [{ headers, text }] = receiver.received as [(typeof receiver.received)[number]];
  expect(String(headers["webhook-signature"]).split(" ")).toHaveLength(2);
  expect(() => new Webhook(next).verify(text, headers as Record<string, string>)).not.toThrow();
});
