import { expect, test } from "vitest";
import type { Script } from "../support/scripted-server.ts";
import { count, gate, INPUT, story, textOf } from "../support/story.ts";

const ALWAYS = { mode: "always" } as const;
const LONG = { "tools/call": () => undefined } as const;
/** Answers as soon as it is told to stop, so that its place is free at once. */
const OBEDIENT: Record<string, Script> = {
  "tools/call": async (call) => {
    await call.cancelled;
    call.text("stopped");
  },
};

test("calls beyond the limit are queued tasks that say so, and run when there is room", async () => {
  const done = [gate(), gate(), gate()];
  const { user, server } = await story(
    {
      "tools/call": async (call) => {
        const n = Number(call.message.params?.name);
        await done[n]?.opened;
        call.text(`${n}`);
      },
    },
    { policy: ALWAYS, server: { maxConcurrent: 1 } },
  );
  const tasks: string[] = [];
  for (const n of [0, 1, 2]) tasks.push((await user.callTool(`${n}`)).taskId);
  const [first = "", second = "", third = ""] = tasks;
  await server.arrival("tools/call");
  await user.taskWhen(first, ({ statusMessage }) => statusMessage === "running");
  expect(await user.task(second)).toMatchObject({ status: "working", statusMessage: "queued" });
  expect(count(server, "tools/call")).toBe(1);

  done[0]?.open();
  await user.taskWhen(second, ({ statusMessage }) => statusMessage === "running");
  expect(await user.task(third)).toMatchObject({ statusMessage: "queued" });
  done[1]?.open();
  done[2]?.open();
  const results = await Promise.all(tasks.map((id) => user.settled(id)));
  expect(results.map(({ result }) => textOf(result))).toEqual(["0", "1", "2"]);
});

test("a queued task that is cancelled is never sent", async () => {
  const { user, server } = await story(OBEDIENT, { policy: ALWAYS, server: { maxConcurrent: 1 } });
  const running = await user.callTool("running");
  const queued = await user.callTool("queued");
  const last = await user.callTool("last");
  await server.arrival("tools/call");
  await user.result("tasks/cancel", { taskId: queued.taskId });
  expect(await user.task(queued.taskId)).toMatchObject({ status: "cancelled" });
  await user.result("tasks/cancel", { taskId: running.taskId });
  expect((await server.arrival("tools/call", 2)).message.params?.name).toBe("last");
  expect(await user.task(last.taskId)).toMatchObject({ status: "working" });
});

test("beyond the queue a call is refused with the numbers, and those in it are not harmed", async () => {
  const done = gate();
  const { user, client, server } = await story(
    {
      "tools/call": async (call) => {
        await done.opened;
        call.text("done");
      },
    },
    { policy: ALWAYS, server: { maxConcurrent: 1, maxQueued: 1 } },
  );
  const { taskId } = await user.callTool("running");
  await server.arrival("tools/call");
  const queued = await user.callTool("queued");
  const refused = await user.settled((await user.callTool("refused")).taskId);
  expect(refused).toMatchObject({
    status: "failed",
    error: { code: -32603, message: "Too many calls: 1 are running and 1 are waiting (maxQueued)" },
  });
  const direct = await client({ capabilities: INPUT }).send("tools/call", { name: "refused" });
  expect(direct.message.error.message).toMatch(/^Too many calls: 1 are running/);
  done.open();
  expect(await user.settled(taskId)).toMatchObject({ status: "completed" });
  expect(await user.settled(queued.taskId)).toMatchObject({ status: "completed" });
  expect(count(server, "tools/call")).toBe(2);
});

test("a call that waits for its turn gets a handle, even if it would have been quick", async () => {
  const { user, server } = await story(LONG, { policy: { waitForMs: 1 }, server: { maxConcurrent: 1 } });
  await user.callTool("running");
  await server.arrival("tools/call");
  const handle = await user.callTool("waiting");
  expect(handle).toMatchObject({ resultType: "task", statusMessage: "queued" });
});

test("a queued call whose client hangs up is never sent", async () => {
  const done = gate();
  const { user, client, server } = await story(
    {
      "tools/call": async (call) => {
        await done.opened;
        call.text("done");
      },
    },
    { policy: ALWAYS, server: { maxConcurrent: 1 }, limits: { keepAliveMs: 20 } },
  );
  const { taskId } = await user.callTool("running");
  await server.arrival("tools/call");
  const leaving = new AbortController();
  const left = client({ capabilities: INPUT }).open(
    "tools/call",
    { name: "left" },
    { signal: leaving.signal },
  );
  // The stream is opened for a comment: then the call is in the queue.
  const { body } = await left;
  leaving.abort();
  await expect(body.text()).rejects.toThrow();
  const next = await user.callTool("next");
  done.open();
  await user.settled(taskId);
  await user.settled(next.taskId);
  const names = server.received
    .filter(({ method }) => method === "tools/call")
    .map(({ message }) => message.params?.name);
  expect(names).toEqual(["running", "next"]);
});

test("a queued task waits no longer than it might run", async () => {
  const { user, server } = await story(LONG, {
    policy: { ...ALWAYS },
    tools: [{ match: "impatient", mode: "always", maxRuntimeMs: 100 }],
    server: { maxConcurrent: 1 },
  });
  await user.callTool("running");
  await server.arrival("tools/call");
  const { taskId } = await user.callTool("impatient");
  const { status, error } = await user.settled(taskId);
  expect(status).toBe("failed");
  expect(error.message).toMatch(/maxRuntime \(100 ms\) and was never sent/);
  expect(count(server, "tools/call")).toBe(1);
});
