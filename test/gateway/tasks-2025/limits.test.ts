/** What the policy and the gateway's own life set a limit to. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { gatewayFor } from "../../support/gateway.ts";
import { LegacyWire } from "../../support/legacy-wire.ts";
import { count, expectCancelled, gate, story, textResult } from "../../support/story.ts";

const SILENT = { "tools/call": () => undefined } as const;

test("a result beyond the limit fails the task, and both sizes are said", async () => {
  const { url } = await story(
    { "tools/call": (call) => call.text("x".repeat(2_000)) },
    { policy: { mode: "always", maxResultBytes: 1_000 } },
  );
  const user = await LegacyWire.connect(url);
  const { taskId } = await user.begin("t");
  const { statusMessage } = await user.taskThat(taskId, "failed");
  expect(statusMessage).toMatch(/^The result has 20\d\d bytes, more than the 1000 of maxResultBytes$/);
  expect(await user.error("tasks/result", { taskId })).toEqual({ code: -32603, message: statusMessage });
});

test("a call that runs for too long is cancelled, and the task fails", async () => {
  const { url, server } = await story(SILENT, { policy: { mode: "always", maxRuntimeMs: 1_500 } });
  const user = await LegacyWire.connect(url);
  const { taskId } = await user.begin("t");
  const { message } = await user.error("tasks/result", { taskId });
  expect(message).toBe("The call ran longer than maxRuntime (1500 ms) and was cancelled");
  expect(await user.task(taskId)).toMatchObject({ status: "failed", statusMessage: message });
  await expectCancelled(server, await server.arrival("tools/call"));
});

test("calls beyond those that may run at once wait in the queue, and say so", async () => {
  const done = gate();
  const { url, server } = await story(
    {
      "tools/call": async (call) => {
        await done.opened;
        call.text(String(call.message.params?.name));
      },
    },
    { policy: { mode: "always" }, server: { maxConcurrent: 1 } },
  );
  const user = await LegacyWire.connect(url);
  const first = await user.begin("first");
  const second = await user.begin("second");
  await server.arrival("tools/call");
  expect(await user.task(second.taskId)).toMatchObject({ status: "working", statusMessage: "queued" });
  expect(count(server, "tools/call")).toBe(1);
  const waiting = user.open("tasks/result", { taskId: second.taskId });
  done.open();
  expect((await waiting.answer).message.result).toMatchObject(textResult("second"));
  expect(await user.result("tasks/result", { taskId: first.taskId })).toMatchObject(textResult("first"));
});

test("a call that has to wait its turn does not keep its client waiting for the handle", async () => {
  const { url, server } = await story(
    { "tools/call": (call) => void call.sse() },
    { policy: { waitForMs: 3_600_000 }, server: { maxConcurrent: 1 } },
  );
  const user = await LegacyWire.connect(url);
  await user.begin("running");
  const queued = await user.begin("queued");
  expect(queued).toMatchObject({ status: "working", statusMessage: "queued" });
  expect(count(server, "tools/call")).toBe(1);
});

test("beyond the queue a call is refused with the numbers, and those in it are not harmed", async () => {
  const { url, server } = await story(SILENT, {
    policy: { mode: "always" },
    server: { maxConcurrent: 1, maxQueued: 1 },
  });
  const user = await LegacyWire.connect(url);
  await user.begin("running");
  const queued = await user.begin("queued");
  expect(await user.error("tools/call", { name: "too many", task: {} })).toEqual({
    code: -32603,
    message: "Too many calls: 1 are running and 1 are waiting (maxQueued)",
  });
  expect(await user.task(queued.taskId)).toMatchObject({ status: "working", statusMessage: "queued" });
  expect(count(server, "tools/call")).toBe(1);
});

test("a gateway that stops gives those who wait the result of what runs", async () => {
  const { url, gateway, server } = await story(SILENT, {
    policy: { mode: "always" },
    limits: { drainTimeoutMs: 60_000 },
  });
  const user = await LegacyWire.connect(url);
  const { taskId } = await user.begin("t");
  const call = await server.arrival("tools/call");
  const waiting = user.open("tasks/result", { taskId });
  await user.task(taskId);
  const closing = gateway.close();
  // What runs may end, and whoever waits for it is told: no stock client survives a refusal.
  call.text("done");
  const { status, message } = await waiting.answer;
  expect([status, message.result.content]).toEqual([200, [{ type: "text", text: "done" }]]);
  await closing;
});

test("a task that outlives its gateway has failed, and says that nobody knows", async () => {
  const directory = mkdtempSync(join(tmpdir(), "taskgate-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const settings = { store: `level:${directory}`, policy: { mode: "always" } } as const;
  const { url, gateway, server } = await story(SILENT, { ...settings, limits: { drainTimeoutMs: 10 } });
  const user = await LegacyWire.connect(url);
  const stream = await user.listen();
  const { taskId } = await user.begin("t");
  await server.arrival("tools/call");
  await gateway.close();
  await stream.over();
  await server.until(() => server.pending === 0, "everything to be let go");

  const next = await gatewayFor({ upstream: server.url, ...settings });
  const back = await LegacyWire.connect(next.url);
  const task = await back.task(taskId);
  expect(task).toMatchObject({ status: "failed", statusMessage: expect.stringContaining("is not known") });
  expect(await back.error("tasks/result", { taskId })).toEqual({ code: -32603, message: task.statusMessage });
});
