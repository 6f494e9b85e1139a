/** A call that is sent again because its answer got lost, by its client or by a proxy: the server gets it once. */

import { randomUUID } from "node:crypto";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Json, ModernClient } from "../support/modern-client.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { textOf } from "../support/story.ts";
import { nginxMissing, startNginx } from "./support/nginx.ts";
import { Replica, type ReplicaSettings } from "./support/replica.ts";
import { startWitness } from "./support/witness.ts";
import { workOf } from "./support/work.ts";

const SIZE = 100;
const CALLS = 30;

async function replicas(count: number, store: ReplicaSettings["store"]) {
  const witness = await startWitness();
  onTestFinished(() => witness.stop());
  const tasks = { mode: "auto", waitFor: "60s" };
  const opened = async () => {
    const replica = await Replica.open({ upstreams: witness.urls, store, tasks });
    onTestFinished(() => replica.close());
    return replica;
  };
  return { witness, gateways: await Promise.all(Array.from({ length: count }, opened)) };
}

const work = (id: string, ms: number) => ({ name: "work", arguments: { id, ms, size: SIZE } });

test("after a kill between the record and the answer, each call has one ending, and ran once at most", {
  timeout: 120_000,
}, async () => {
  const { witness, gateways } = await replicas(1, "level:");
  const [gateway] = gateways as [Replica];
  const keys = Array.from({ length: CALLS }, () => randomUUID());
  const user = new ModernClient(gateway.url("unkept"));
  const send = (key: string) =>
    user.send("tools/call", work(key, 20), { headers: { "idempotency-key": key } });
  // The first call is through when the gateway dies; where the others are is for the machine to say.
  const sent = keys.map((key) => send(key).catch(() => undefined));
  await Promise.race(sent);
  await gateway.kill("SIGKILL");
  const before = await Promise.all(sent);
  await gateway.start();
  const after = await Promise.all(keys.map(send));
  const again = await Promise.all(keys.map(send));
  for (const [nth, key] of keys.entries()) {
    const [first, second, third] = [before[nth], after[nth], again[nth]].map((answer) => answer?.message);
    expect(second?.result ?? second?.error).toBeDefined();
    expect(saidBy(third)).toEqual(saidBy(second));
    if (first?.result !== undefined) expect(saidBy(second)).toEqual(saidBy(first));
    if (second?.result !== undefined) expect(textOf(second.result)).toBe(workOf(key, SIZE));
    else expect(second?.error.message).toMatch(/not known/);
    expect((await witness.seen(key))?.calls ?? 0).toBeLessThanOrEqual(1);
  }
});

function saidBy(message: Json): unknown {
  return message?.result ?? message?.error;
}

const noNginx = nginxMissing();
if (noNginx !== undefined && process.env.CI) throw new Error(`idempotency keys behind nginx: ${noNginx}`);
if (noNginx !== undefined) console.warn(`idempotency keys behind nginx: not run, because ${noNginx}`);

describe.skipIf(noNginx !== undefined || withoutRedis("idempotency keys behind nginx"))(
  "behind nginx",
  () => {
    test("a call that nginx sends again, because its gateway died, runs once", {
      timeout: 120_000,
    }, async () => {
      const { url } = await redisForTest();
      const { witness, gateways } = await replicas(2, { url, lease: "2s" });
      const [one, two] = gateways as [Replica, Replica];
      const nginx = await startNginx([one.port, two.port]);
      onTestFinished(() => nginx.stop());
      const user = new ModernClient(new URL("/kept/mcp", nginx.url));
      const key = randomUUID();
      const send = () => user.send("tools/call", work(key, 3_000), { headers: { "idempotency-key": key } });
      const answer = send();
      await witness.until(key, ({ calls }) => calls === 1);
      await one.kill("SIGKILL");
      const { message } = await answer;
      // Whether the other gateway can pick the call up depends on what the first one had heard of it.
      if (message.result !== undefined) expect(textOf(message.result)).toBe(workOf(key, SIZE));
      else expect(message.error.message).toMatch(/not known/);
      expect(saidBy((await send()).message)).toEqual(saidBy(message));
      expect(await witness.seen(key)).toMatchObject({ calls: 1 });
    });
  },
);
