import { request } from "undici";
import { expect, onTestFinished, test, vi } from "vitest";
import { startGateway } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { taskName } from "../../src/log/task-name.ts";
import { configFor } from "../support/gateway.ts";
import { type Json, ModernClient } from "../support/modern-client.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { gate, textResult } from "../support/story.ts";

test.skipIf(withoutRedis("the API across gateways"))(
  "whichever gateway is asked sees and cancels all tasks, and knows the others",
  async () => {
    const redis = await redisForTest();
    const { opened, open } = gate();
    const server = await startScriptedServer({
      "tools/call": async (call) => {
        await Promise.race([opened, call.cancelled]);
        call.json(textResult("done"));
      },
    });
    onTestFinished(server.close);
    const start = async () => {
      const config = configFor({
        upstream: server.url,
        store: redis.url,
        admin: true,
        policy: { mode: "always" },
      });
      const gateway = await startGateway(config, { log: createLog("silent") });
      onTestFinished(() => gateway.close());
      const api = async (path: string, method: "GET" | "POST" = "GET"): Promise<Json> =>
        (await request(new URL(`/api/${path}`, gateway.adminUrl), { method })).body.json();
      return { gateway, api, user: new ModernClient(new URL(gateway.routes[0]?.url ?? "")) };
    };
    const [one, other] = [await start(), await start()];
    const mine = await one.user.callTool("one");
    const yours = await other.user.callTool("other");
    for (const { api } of [one, other]) {
      const { tasks } = await api("tasks");
      expect(tasks.map(({ name }: Json) => name)).toEqual(
        [yours, mine].map(({ taskId }) => taskName(taskId)),
      );
      expect(new Set(tasks.map(({ replica }: Json) => replica)).size).toBe(2);
    }
    const { replicas } = await one.api("replicas");
    expect(replicas).toHaveLength(2);
    for (const replica of replicas)
      expect(replica).toMatchObject({ isAlive: true, tasks: 1, pid: process.pid });
    expect(replicas.map(({ isMe }: Json) => isMe)).toEqual([true, false]);

    const heard = new AbortController();
    onTestFinished(() => heard.abort());
    const { body } = await request(new URL("/api/events", one.gateway.adminUrl), { signal: heard.signal });
    let text = "";
    body
      .on("error", () => {})
      .on("data", (chunk) => {
        text += chunk;
      });
    const name = taskName(yours.taskId);
    expect(await one.api(`tasks/${name}/cancel`, "POST")).toMatchObject({ name, status: "cancelled" });
    expect(await other.api(`tasks/${name}`)).toMatchObject({ status: "cancelled" });
    const next = await other.user.callTool("other");
    await vi.waitFor(() => expect(text).toContain(`{"kind":"changed"`));
    open();
    await other.user.settled(next.taskId);
    await vi.waitFor(() => expect(text).toContain(taskName(next.taskId)));
    expect(text).not.toContain(next.taskId);

    await redis.kill();
    const { status, body: away } = await vi.waitFor(async () => {
      const response = await request(new URL("/api/tasks", one.gateway.adminUrl));
      expect(response.statusCode).toBe(503);
      return { status: response.statusCode, body: (await response.body.json()) as Json };
    });
    expect([status, away.title]).toEqual([503, "The task store is away"]);
    await redis.restart();
  },
);
