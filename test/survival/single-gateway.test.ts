/** One gateway on Redis that is restarted: there is nobody else whom its clients could ask, and none of them asks twice. */

import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { startGateway } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { configFor } from "../support/gateway.ts";
import { type Json, ModernClient } from "../support/modern-client.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { story, textOf, textResult } from "../support/story.ts";
import { Replica } from "./support/replica.ts";
import { startWitness } from "./support/witness.ts";
import { workOf } from "./support/work.ts";

const SIZE = 2_000;
/** How much more than the gap clients are told. */
const SPARE_MS = 2_000;

/**
 * As stock clients do: asks when it was told to, and gives up with the first request that is not answered. How long a busy machine takes to start
 * a gateway is nothing that clients can be told, so it waits for that as well. Returns the longest interval that it was told.
 */
async function followed(user: ModernClient, taskId: string, isStarted: () => Promise<unknown>) {
  let toldMs = 0;
  for (;;) {
    const task: Json = await user.task(taskId);
    if (!["working", "input_required"].includes(task.status)) return { task, toldMs };
    toldMs = Math.max(toldMs, task.pollIntervalMs);
    await sleep(task.pollIntervalMs);
    await isStarted();
  }
}

describe.skipIf(withoutRedis("one gateway on Redis"))("a single gateway on Redis", () => {
  test.for([2_000, 5_000])(
    "that is started %i ms after SIGTERM loses no task that is followed",
    { timeout: 180_000 },
    async (gapMs) => {
      const redis = await redisForTest();
      const witness = await startWitness();
      onTestFinished(() => witness.stop());
      const gateway = await Replica.open({
        upstreams: witness.urls,
        store: { url: redis.url, lease: "5s" },
        tasks: { pollInterval: "500ms", maxPollInterval: "500ms" },
        limits: { drainTimeout: "3s", restartGap: `${gapMs + SPARE_MS}ms` },
      });
      onTestFinished(() => gateway.close());
      let started: Promise<unknown> = Promise.resolve();
      const begun = async (kind: "kept" | "unkept", id: string, ms: number) => {
        const user = new ModernClient(gateway.url(kind));
        const { taskId } = await user.callTool("work", { id, ms, size: SIZE });
        await witness.until(id, ({ calls }) => calls === 1);
        return followed(user, taskId, () => started);
      };
      // One ends while the gateway waits, the others do not.
      const tasks = [begun("kept", "on", 10_000), begun("unkept", "off", 10_000)];
      await Promise.all(["on", "off"].map((id) => witness.until(id, ({ calls }) => calls === 1)));
      tasks.push(begun("unkept", "soon", 2_000));
      await witness.until("soon", ({ calls }) => calls === 1);
      await gateway.kill("SIGTERM");
      started = sleep(gapMs).then(() => gateway.start());
      await started;
      const ends = await Promise.all(tasks);
      const [on, off, soon] = ends.map(({ task }) => task);
      for (const { toldMs } of ends.slice(0, 2)) expect(toldMs).toBeGreaterThanOrEqual(gapMs + SPARE_MS);
      expect([on?.status, textOf(on?.result)]).toEqual(["completed", workOf("on", SIZE)]);
      expect([soon?.status, textOf(soon?.result)]).toEqual(["completed", workOf("soon", SIZE)]);
      expect(off?.status).toBe("failed");
      expect(off?.error.message).toMatch(/stopped before the server had answered.*not known/);
      for (const id of ["on", "off", "soon"]) expect((await witness.seen(id))?.calls).toBe(1);
    },
  );

  /** As real clients are told; the gateway would wait for much longer than it needs to. */
  const SETTINGS = {
    limits: { drainTimeoutMs: 60_000 },
    policy: { mode: "always", pollIntervalMs: 30_000, maxPollIntervalMs: 30_000 },
  } as const;

  /** A gateway that is told to stop just before its only call ends, and a client that asks for the task much later. */
  async function stopping() {
    const redis = await redisForTest();
    const { user, server, gateway } = await story(
      { "tools/call": () => undefined },
      { ...SETTINGS, store: redis.url },
    );
    const { taskId } = await user.callTool("t");
    const call = await server.arrival("tools/call");
    const end = async () => {
      const closed = gateway.close();
      call.json(textResult("done"));
      await call.closed;
      return closed;
    };
    return { redis, server, user, taskId, end };
  }

  test("stays until a result has been fetched by who was told to come back later", async () => {
    const { user, taskId, end } = await stopping();
    const closed = end();
    // Longer than a gateway takes to go that waits for nobody.
    const until = performance.now() + 2_000;
    while (performance.now() < until) await user.result("tools/list");
    expect(await user.task(taskId)).toMatchObject({ status: "completed" });
    await closed;
  });

  test("goes at once where there is another one, which has the result", async () => {
    const { redis, server, taskId, end } = await stopping();
    const other = await startGateway(configFor({ upstream: server.url, store: redis.url, ...SETTINGS }), {
      log: createLog("silent"),
    });
    onTestFinished(() => other.close());
    // A minute, if it waited.
    await end();
    const there = new ModernClient(new URL(other.routes[0]?.url ?? ""));
    expect(await there.task(taskId)).toMatchObject({ status: "completed" });
  });
});
