import { request } from "undici";
import { expect, test } from "vitest";
import { draining, Poller, STOPPING } from "../support/draining.ts";
import type { GatewayProcess } from "../support/gateway-process.ts";
import type { Json } from "../support/modern-client.ts";
import { count } from "../support/story.ts";
import { durable } from "./durable.ts";

test("a gateway that is told to stop lets calls end, writes down the rest, and leaves nothing behind", async () => {
  const { server, start, release, calls } = await durable({ drainTimeout: "1s" });
  const { gateway, user } = await start();
  const [held, stuck, asking] = await Promise.all(
    ["held", "stuck", "asking"].map(async (tool) => (await user.callTool(tool, { label: tool })).taskId),
  );
  await user.taskWhen(asking, ({ status }) => status === "input_required");
  await server.arrival("tools/call", 3);

  const exited = gateway.kill("SIGTERM");
  await draining(user);
  release();
  expect(await exited).toEqual({ code: 0, signal: null });

  await server.until(() => server.sessions.size === 0, "every session to be ended");
  expect(count(server, "DELETE")).toBe(count(server, "initialize"));
  expect(server.pending).toBe(0);
  // What was given up is cancelled at the server.
  expect(count(server, "notifications/cancelled")).toBe(2);
  const second = await start();
  expect(await second.user.task(held)).toMatchObject({
    status: "completed",
    result: { resultType: "complete", content: [{ text: expect.stringMatching(/^held/) }] },
  });
  for (const taskId of [stuck, asking]) {
    expect(await second.user.task(taskId)).toMatchObject({
      status: "failed",
      statusMessage: expect.stringMatching(/gateway was stopped before the server had answered/),
    });
  }
  expect(["held", "stuck", "asking"].map(calls)).toEqual([1, 1, 1]);
});

test("streams that are open get their final result when the gateway is told to stop", async () => {
  const { start, release } = await durable();
  const { gateway, user } = await start();
  const { taskId } = await user.callTool("held", { label: "held" });
  const stream = user.stream("subscriptions/listen", { notifications: { taskIds: [taskId] } }, { id: "sub" });
  const ack = (await stream.next()).value;
  const current = (await stream.next()).value;

  const exited = gateway.kill("SIGTERM");
  const rest: Json[] = [];
  for await (const message of stream) rest.push(message);
  release();

  expect(ack).toMatchObject({ params: { notifications: { taskIds: [taskId] } } });
  expect(current).toMatchObject({ method: "notifications/tasks", params: { status: "working" } });
  expect(rest.at(-1)).toMatchObject({
    jsonrpc: "2.0",
    id: "sub",
    result: { resultType: "complete", _meta: { "io.modelcontextprotocol/subscriptionId": "sub" } },
  });
  expect(await exited).toEqual({ code: 0, signal: null });
});

test("a call without a task that ends in time is still answered when the gateway is told to stop", async () => {
  const { server, start, release } = await durable();
  const { gateway, user } = await start();
  const calling = user.callTool("plain_held", { label: "plain" });
  await server.arrival("tools/call");

  const exited = gateway.kill("SIGTERM");
  await draining(user);
  release();

  expect((await calling).content[0].text).toMatch(/^plain/);
  expect(await exited).toEqual({ code: 0, signal: null });
});

test("a second signal ends a gateway that is waiting for a call", async () => {
  const { server, start } = await durable({ drainTimeout: "1h" });
  const { gateway, user } = await start();
  const { taskId } = await user.callTool("stuck", { label: "stuck" });
  await server.arrival("tools/call");

  void gateway.kill("SIGTERM");
  await draining(user);
  expect(await gateway.kill("SIGTERM")).toEqual({ code: 130, signal: null });

  const second = await start();
  expect(await second.user.task(taskId)).toMatchObject({ status: "failed" });
});

test("whoever polls is answered until the end when the gateway is told to stop, and what is new is refused", async () => {
  const { server, start, release, calls } = await durable();
  const { gateway, user } = await start();
  const ready = [new URL("/health/ready", adminOf(gateway)), new URL("/-/health", gateway.url)];
  const statuses = () => Promise.all(ready.map(async (url) => (await request(url)).statusCode));
  const { taskId } = await user.callTool("held", { label: "held" });
  await server.arrival("tools/call");
  expect(await statuses()).toEqual([200, 200]);
  const poller = new Poller(user, taskId);
  await poller.more(3);

  const exited = gateway.kill("SIGTERM");
  await draining(user);
  expect(await statuses()).toEqual([503, 503]);
  expect(await user.send("tools/call", { name: "done" })).toMatchObject(STOPPING);
  // From here on a poll is answered when its task has ended: no stock client survives one that is refused.
  release();
  expect(await exited).toEqual({ code: 0, signal: null });

  expect(["ECONNREFUSED", "ECONNRESET"]).toContain((await poller.over).code);
  expect(poller.told.filter((told) => told !== "completed")).toEqual(["working"]);
  expect(calls("held")).toBe(1);
  const second = await start();
  expect(await second.user.task(taskId)).toMatchObject({ status: "completed" });
});

test("a call that takes too long, and clients that never stop asking, do not keep a gateway that is told to stop", async () => {
  const { server, start } = await durable({ drainTimeout: "300ms" });
  const { gateway, user } = await start();
  const { taskId } = await user.callTool("stuck", { label: "stuck" });
  await server.arrival("tools/call");
  const pollers = [1, 2, 3].map(() => new Poller(user, taskId));
  await Promise.all(pollers.map((poller) => poller.more(3)));

  expect(await gateway.kill("SIGTERM")).toEqual({ code: 0, signal: null });
  for (const { over } of pollers) await over;
  const second = await start();
  expect(await second.user.settled(taskId)).toMatchObject({ status: "failed" });
});

function adminOf({ stdout }: GatewayProcess): string {
  const [, url] = /^admin {2}(.*)$/m.exec(stdout) ?? [];
  if (url === undefined) throw new Error(`no admin listener was announced: ${stdout}`);
  return url;
}
