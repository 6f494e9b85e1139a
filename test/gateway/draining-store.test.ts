/** A gateway that is told to stop while its store does not answer. */

import { Writable } from "node:stream";
import { describe, expect, onTestFinished, test } from "vitest";
import { startGateway } from "../../src/gateway.ts";
import { createLog } from "../../src/log/log.ts";
import { configFor } from "../support/gateway.ts";
import { ModernClient } from "../support/modern-client.ts";
import type { RedisServer } from "../support/redis.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { startScriptedServer } from "../support/scripted-server.ts";

const missing = withoutRedis("the end of a gateway whose Redis is away");

/** A gateway with one call that never ends, and what it logs. */
async function busy(redis: RedisServer) {
  const server = await startScriptedServer({ "tools/call": () => undefined });
  onTestFinished(server.close);
  const logged: string[] = [];
  const output = new Writable({
    write: (line, _, done) => {
      logged.push(String(line));
      done();
    },
  });
  const config = configFor({ upstream: server.url, store: redis.url, policy: { mode: "always" } });
  // A Redis that is there has time to answer, however busy the machine; one that is away is waited for as long.
  const store = { ...config.store, timeoutMs: 10_000 };
  const gateway = await startGateway({ ...config, store }, { log: createLog("warn", output) });
  onTestFinished(() => gateway.close());
  const user = new ModernClient(new URL(gateway.routes[0]?.url ?? ""));
  const { taskId } = await user.callTool("t");
  await server.arrival("tools/call");
  return { gateway, server, user, taskId, logged };
}

describe.skipIf(missing)("a gateway that is told to stop", () => {
  test.for(["kill", "pause"] as const)(
    "stops all the same when its store is away (%s), says so, and lets go of the server",
    async (how) => {
      const redis = await redisForTest();
      const { gateway, server, user, logged } = await busy(redis);
      await redis[how]();
      await gateway.close();
      expect(logged.join("")).toContain("could not tell the store that this gateway stops");
      await expect(user.result("tools/list")).rejects.toThrow();
      await server.until(() => server.pending === 0, "the call to be let go");
    },
  );

  test("tells its store, so that nobody waits for its lease", async () => {
    const redis = await redisForTest();
    const { gateway, taskId, logged } = await busy(redis);
    const [replica] = (await redis.command("KEYS", "taskgate:*replica:*")) as string[];
    await gateway.close();
    expect(logged.filter((line) => line.includes("not told"))).toEqual([]);
    expect(String(await redis.command("GET", replica ?? ""))).toContain('"hasLeft":true');
    // What another gateway makes of it does not wait for fifteen seconds.
    const next = await startGateway(
      configFor({ upstream: new URL("http://127.0.0.1:1"), store: redis.url }),
      {
        log: createLog("silent"),
      },
    );
    onTestFinished(() => next.close());
    const user = new ModernClient(new URL(next.routes[0]?.url ?? ""));
    expect(await user.task(taskId)).toMatchObject({ status: "failed" });
  });
});
