import { expect, test } from "vitest";
import { startGatewayProcess } from "../support/gateway-process.ts";
import type { ModernClient } from "../support/modern-client.ts";
import type { ScriptedServer } from "../support/scripted-server.ts";
import { count } from "../support/story.ts";
import { durable } from "./durable.ts";

/** How many calls run at a time, unless the file says otherwise. */
const RUNNING = 64;
const QUEUED = 20;
const DONE = 40;
const ASKING = 4;

test("a gateway that is killed has kept every finished result, goes on with what was never sent, and says that the rest is lost", async () => {
  const { server, start, calls } = await durable();
  const first = await start();
  const done = await create(first.user, "done", DONE);
  for (const { taskId } of done) await first.user.settled(taskId);
  const before = await answers(first.user, done);
  const asking = await create(first.user, "asking", ASKING);
  for (const { taskId } of asking) {
    await first.user.taskWhen(taskId, ({ status }) => status === "input_required");
  }
  const stuck = await create(first.user, "stuck", RUNNING - ASKING);
  await server.until(() => running(server) === RUNNING, "as many calls to run as may run");
  // Their records say from the start that they wait.
  const queued = await create(first.user, "stuck", QUEUED, stuck.length);
  expect(queued.filter(({ label }) => calls(label) > 0)).toEqual([]);

  await first.gateway.kill("SIGKILL");
  const second = await start();

  expect(before[0]).toContain('"status":"completed"');
  expect(await answers(second.user, done)).toEqual(before);
  const sent = [...asking, ...stuck];
  for (const { taskId } of sent) {
    expect(await second.user.task(taskId)).toMatchObject({
      resultType: "complete",
      taskId,
      status: "failed",
      statusMessage: expect.stringMatching(/gateway.*stopped before the server had answered/),
      error: { code: -32603, message: expect.stringMatching(/not known/) },
    });
  }
  // The second look is the same as the first: an outcome stands for ever.
  expect(await answers(second.user, sent)).toEqual(await answers(second.user, sent));
  await server.until(() => queued.every(({ label }) => calls(label) > 0), "what was queued to be sent");
  for (const { taskId } of queued)
    expect(await second.user.task(taskId)).toMatchObject({ status: "working" });
  expect(Math.max(...[...done, ...sent, ...queued].map(({ label }) => calls(label)))).toBe(1);
});

test("every handle that was told before the kill is known after it, and no call has run twice", async () => {
  const { server, start, calls } = await durable();
  const { gateway, user } = await start();
  const told: Created[] = [];
  const cutOff: string[] = [];
  const callOn = async (caller: number): Promise<void> => {
    for (let n = 0; cutOff.length === 0; n++) {
      const label = `done-${caller}-${n}`;
      const handle = await user.callTool("done", { label }).catch(() => undefined);
      if (handle === undefined) cutOff.push(label);
      else told.push({ label, taskId: handle.taskId });
    }
  };

  const calling = Promise.all(Array.from({ length: 16 }, (_, caller) => callOn(caller)));
  await server.until(() => count(server, "tools/call") >= 200, "the callers to be at it");
  await gateway.kill("SIGKILL");
  await calling;
  const second = await start();

  expect(cutOff.length).toBeGreaterThan(0);
  const states = await Promise.all(
    told.map(async ({ taskId }) => (await second.user.settled(taskId)).status),
  );
  expect(states).toContain("completed");
  expect(states.filter((status) => !["completed", "failed"].includes(status))).toEqual([]);
  expect(Math.max(...[...told.map(({ label }) => label), ...cutOff].map(calls))).toBe(1);
});

test("a stream is cut by the kill, and a new one tells what has become of its tasks", async () => {
  const { start } = await durable();
  const first = await start();
  const [done, stuck] = [...(await create(first.user, "done", 1)), ...(await create(first.user, "stuck", 1))];
  const taskIds = [done?.taskId, stuck?.taskId];
  await first.user.settled(taskIds[0] ?? "");
  const cut = first.user.stream("subscriptions/listen", { notifications: { taskIds } });
  const told = [(await cut.next()).value, (await cut.next()).value, (await cut.next()).value];
  expect(told[0]).toMatchObject({ params: { notifications: { taskIds } } });

  await first.gateway.kill("SIGKILL");
  await expect(cut.next()).rejects.toThrow();
  const second = await start();
  const stream = second.user.stream("subscriptions/listen", { notifications: { taskIds } });

  expect((await stream.next()).value).toMatchObject({ params: { notifications: { taskIds } } });
  const states = [(await stream.next()).value, (await stream.next()).value];
  // Nothing gives the two an order.
  const seen = new Map(states.map(({ method, params }) => [params.taskId, [method, params.status]]));
  expect(seen).toEqual(
    new Map([
      [taskIds[0], ["notifications/tasks", "completed"]],
      [taskIds[1], ["notifications/tasks", "failed"]],
    ]),
  );
});

test("a second gateway on the same directory is refused, and the first goes on", async () => {
  const { start, config } = await durable();
  const { user } = await start();

  await expect(startGatewayProcess(["--config", config])).rejects.toThrow(
    /ended with 2 before it was ready[\s\S]*level:.*in use by another mcp-taskgate process/,
  );

  const [task] = await create(user, "done", 1);
  expect((await user.settled(task?.taskId ?? "")).status).toBe("completed");
});

interface Created {
  readonly label: string;
  readonly taskId: string;
}

/** @param first the number of the first one */
function create(user: ModernClient, tool: string, count: number, first = 0): Promise<Created[]> {
  const labels = Array.from({ length: count }, (_, n) => `${tool}-${first + n}`);
  return Promise.all(
    labels.map(async (label) => ({ label, taskId: (await user.callTool(tool, { label })).taskId })),
  );
}

/** What `tasks/get` answers, byte for byte. */
function answers(user: ModernClient, tasks: readonly Created[]): Promise<string[]> {
  return Promise.all(
    tasks.map(async ({ taskId }) => (await user.send("tasks/get", { taskId }, { id: 1 })).text),
  );
}

function running({ received }: ScriptedServer): number {
  return received.filter(({ method, response }) => method === "tools/call" && !response.writableEnded).length;
}
