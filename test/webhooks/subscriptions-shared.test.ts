/** Subscriptions of clients at several gateways on one Redis. */

import { createSecretKey } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { gatewayFor } from "../support/gateway.ts";
import { type Json, ModernClient, TASKS } from "../support/modern-client.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { textResult } from "../support/story.ts";
import { EVENTS, SECRET, secretOf, startCallback } from "./callback.ts";

const noRedis = withoutRedis("subscriptions on Redis");

test.skipIf(noRedis)(
  "what is granted at one gateway is told of what ends at another, sealed in the store",
  async () => {
    const redis = await redisForTest();
    const server = await startScriptedServer({ "tools/call": (call) => call.json(textResult("done")) });
    onTestFinished(server.close);
    const callback = await startCallback([SECRET, secretOf(2)]);
    const gateway = async () => {
      const started = await gatewayFor({
        upstream: server.url,
        store: redis.url,
        encryptionKeys: [createSecretKey(Buffer.alloc(32, 5))],
        callers: { identify: "header", header: "x-user", trustedProxies: ["127.0.0.1"] },
        policy: { mode: "always" },
        events: EVENTS,
      });
      const as = (name: string) =>
        new ModernClient(started.url, { capabilities: TASKS, headers: { "x-user": name } });
      return { ...started, ada: as("ada"), eve: as("eve") };
    };
    const [here, there] = [await gateway(), await gateway()];
    const { id } = await here.ada.result("events/subscribe", callback.wish());
    const told = () => new Set(callback.events.map(({ body }) => body.data.taskId));
    const run = async (client: ModernClient): Promise<string> => (await client.callTool("quick")).taskId;
    const tasks = [await run(there.ada), await run(here.ada), await run(there.ada)];
    await run(there.eve);
    await callback.until(() => told().size === 3);
    expect(told()).toEqual(new Set(tasks));
    for (const event of callback.events)
      expect(event).toMatchObject({ subscription: id, signedBy: [SECRET] });

    const { delivery } = callback.wish() as Json;
    const rotated = callback.wish({}, { delivery: { ...delivery, secret: secretOf(2) } });
    expect((await there.ada.result("events/subscribe", rotated)).id).toBe(id);
    const next = await run(here.ada);
    await callback.until(() => told().has(next));
    expect(callback.events.at(-1)?.signedBy).toEqual([SECRET, secretOf(2)]);

    // Every command that wrote something is in a file of the server's.
    const files = (await readdir(redis.folder, { recursive: true, withFileTypes: true })).filter((one) =>
      one.isFile(),
    );
    const stored = await Promise.all(files.map((one) => readFile(join(one.parentPath, one.name), "latin1")));
    const written = stored.join("");
    expect(written).toContain(id);
    for (const secret of ["whsec_", "/callback", "user:ada"]) expect(written).not.toContain(secret);

    await here.gateway.close();
    const last = await run(there.ada);
    await callback.until(() => told().has(last));
    await there.ada.result("events/unsubscribe", rotated);
    const count = callback.events.length;
    await there.ada.settled(await run(there.ada));
    expect(callback.events.length).toBe(count);
  },
);
