/** A gateway that is killed between an outcome and its delivery. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { directory } from "../store/places.ts";
import { startGatewayProcess } from "../support/gateway-process.ts";
import { ModernClient, TASKS } from "../support/modern-client.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { textResult } from "../support/story.ts";
import { startCallback } from "./callback.ts";
import { answering, SECRET, startReceiver } from "./receiver.ts";

test("what a killed gateway had not delivered its successor delivers, by the same ids", async () => {
  const server = await startScriptedServer({ "tools/call": (call) => call.json(textResult("done")) });
  const receiver = await startReceiver();
  // It is told, and does not say that it has heard.
  receiver.take = () => new Promise<void>(() => {});
  const folder = await directory();
  const file = join(folder, "taskgate.json");
  const config = {
    listen: { port: 0 },
    store: { url: `level:${join(folder, "tasks")}` },
    servers: { tested: { upstream: { url: server.url }, tasks: { mode: "always" } } },
    webhooks: { receiver: { url: receiver.url, secret: SECRET, events: ["created", "completed"] } },
  };
  await writeFile(file, JSON.stringify(config));
  const first = await startGatewayProcess(["--config", file]);
  const client = new ModernClient(first.url, { capabilities: TASKS });
  const tasks = await Promise.all(Array.from({ length: 5 }, () => client.callTool("quick")));
  for (const { taskId } of tasks) await client.settled(taskId);
  await receiver.until(() => receiver.received.length > 0);
  await first.kill("SIGKILL");
  const before = receiver.received.splice(0).map(({ id }) => id);
  receiver.take = answering(204);
  await startGatewayProcess(["--config", file]);
  await receiver.until(() => receiver.received.length >= 10);
  for (const { taskId } of tasks)
    expect(
      receiver.received.filter(({ body }) => body.data.task.taskId === taskId).map(({ body }) => body.type),
    ).toEqual(["task.created", "task.completed"]);
  expect(receiver.received.map(({ id }) => id)).toEqual(expect.arrayContaining(before));
  await server.close();
});

test("a client's subscription and its events outlive a gateway that is killed", async () => {
  const server = await startScriptedServer({ "tools/call": (call) => call.json(textResult("done")) });
  const callback = await startCallback();
  callback.take = () => new Promise<void>(() => {});
  const folder = await directory();
  const file = join(folder, "taskgate.json");
  const config = {
    listen: { port: 0 },
    store: { url: `level:${join(folder, "tasks")}`, encryptionKeys: ["5a".repeat(32)] },
    callers: { identify: "header", header: "x-user", trustedProxies: ["127.0.0.1"] },
    events: { subscriptions: "on", allowHosts: ["127.0.0.1"] },
    servers: { tested: { upstream: { url: server.url }, tasks: { mode: "always" } } },
  };
  await writeFile(file, JSON.stringify(config));
  const headers = { "x-user": "ada" };
  const first = await startGatewayProcess(["--config", file]);
  const client = new ModernClient(first.url, { capabilities: TASKS, headers });
  const { id } = await client.result("events/subscribe", callback.wish());
  const tasks = await Promise.all(Array.from({ length: 5 }, () => client.callTool("quick")));
  for (const { taskId } of tasks) await client.settled(taskId);
  await callback.until(() => callback.events.length > 0);
  await first.kill("SIGKILL");
  const before = callback.events.splice(0).map(({ id: event }) => event);
  callback.take = (_, response) => void response.writeHead(204).end();
  const second = await startGatewayProcess(["--config", file]);
  await callback.until(() => new Set(callback.events.map(({ id: event }) => event)).size === 5);
  expect(new Set(callback.events.map(({ body }) => body.data.taskId))).toEqual(
    new Set(tasks.map(({ taskId }) => taskId)),
  );
  expect(callback.events.map(({ id: event }) => event)).toEqual(expect.arrayContaining(before));
  for (const event of callback.events) expect(event).toMatchObject({ subscription: id, signedBy: [SECRET] });
  const again = new ModernClient(second.url, { capabilities: TASKS, headers });
  expect((await again.result("events/subscribe", callback.wish())).id).toBe(id);
  expect(callback.challenges).toHaveLength(1);
  await server.close();
});
