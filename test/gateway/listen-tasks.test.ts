import { expect, test } from "vitest";
import { listen } from "../support/listening.ts";
import type { Json } from "../support/modern-client.ts";
import { gate, story, textOf } from "../support/story.ts";

const SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId";

test("tasks are told of: the acknowledged ones, as they are, and as they become", async () => {
  const done = gate();
  const { user } = await story(
    {
      "tools/call": async (call) => {
        await done.opened;
        call.text("done");
      },
    },
    { policy: { mode: "always" } },
  );
  const { taskId } = await user.callTool("t");
  await user.taskWhen(taskId, ({ statusMessage }) => statusMessage === "running");
  const listening = listen(user, { taskIds: ["unknown", taskId, "../odd", taskId] }, "s");
  expect((await listening.next()).params).toEqual({
    notifications: { taskIds: [taskId] },
    _meta: { [SUBSCRIPTION_ID]: "s" },
  });
  const { jsonrpc, method, params, ...rest } = await listening.next();
  expect([jsonrpc, method, rest]).toEqual(["2.0", "notifications/tasks", {}]);
  expect(params).toMatchObject({ taskId, status: "working", _meta: { [SUBSCRIPTION_ID]: "s" } });
  expect(params).not.toHaveProperty("resultType");

  done.open();
  const last = await listening.next();
  expect(last.params).toMatchObject({ taskId, status: "completed", result: { resultType: "complete" } });
  expect(textOf(last.params.result)).toBe("done");
});

test("questions and cancellations are told too, and a task that has ended is told once", async () => {
  const { user } = await story(
    {
      "tools/call": async (call) => {
        const params = { message: "?", requestedSchema: { type: "object", properties: {} } };
        await call.sse().ask("elicitation/create", params);
      },
    },
    { policy: { mode: "always" } },
  );
  const { taskId } = await user.callTool("t");
  await user.taskWhen(taskId, ({ status }) => status === "input_required");
  const listening = listen(user, { taskIds: [taskId] });
  await listening.next();
  expect((await listening.next()).params).toMatchObject({
    status: "input_required",
    inputRequests: { "elicitation-1": { method: "elicitation/create" } },
  });
  await user.result("tasks/update", { taskId, inputResponses: { "elicitation-1": { action: "cancel" } } });
  await user.result("tasks/cancel", { taskId });
  let told: Json;
  do told = (await listening.next()).params;
  while (told.status === "working");
  expect(told).toMatchObject({ status: "cancelled" });

  const late = listen(user, { taskIds: [taskId] });
  await late.next();
  expect((await late.next()).params).toMatchObject({ status: "cancelled" });
});

test("taskIds are for clients with tasks", async () => {
  const { client } = await story({});
  const user = client({ capabilities: {} });
  expect(await user.send("subscriptions/listen", { notifications: { taskIds: [] } })).toMatchObject({
    status: 400,
    message: { error: { code: -32021 } },
  });
});
