/** A model that does what it is told gets its result, whatever becomes of the gateway in the middle. */

import { describe, expect, onTestFinished, test } from "vitest";
import { follow, GENERATIONS, nextOf } from "../gateway/fallback/model.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { textOf } from "../support/story.ts";
import { Replica, type ReplicaSettings } from "./support/replica.ts";
import { startWitness } from "./support/witness.ts";
import { workOf } from "./support/work.ts";

const SIZE = 100;
const WORK_MS = 3_000;

async function replicas(count: number, store: ReplicaSettings["store"]) {
  const witness = await startWitness();
  onTestFinished(() => witness.stop());
  const started = Array.from({ length: count }, async () => {
    const replica = await Replica.open({
      upstreams: witness.urls,
      store,
      tasks: { mode: "auto", waitFor: "250ms", fallback: "tools", fallbackAfter: "500ms" },
    });
    onTestFinished(() => replica.close());
    return replica;
  });
  return { witness, gateways: await Promise.all(started) };
}

// What a signal does to the gateway has nothing to do with which of the older revisions a client speaks.
describe.each(GENERATIONS.slice(0, 2))("a client of %s", (version, connect) => {
  test.for(["SIGKILL", "SIGTERM"] as const)(
    "is told, the gateway ends with %s and starts again, and the result is there",
    { timeout: 120_000 },
    async (signal) => {
      const { witness, gateways } = await replicas(1, "level:");
      const [gateway] = gateways as [Replica];
      const client = await connect(gateway.url("kept"));
      const first = await client.call("work", { id: signal, ms: WORK_MS, size: SIZE });
      expect(nextOf(first), version).toBeDefined();
      await gateway.kill(signal);
      await gateway.start();
      expect(textOf(await follow(client, first))).toBe(workOf(signal, SIZE));
      expect(await witness.seen(signal)).toMatchObject({ calls: 1, returned: 1 });
    },
  );

  test("that waits when the gateway is told to stop is told to come back", { timeout: 120_000 }, async () => {
    const { witness, gateways } = await replicas(1, "level:");
    const [gateway] = gateways as [Replica];
    const client = await connect(gateway.url("kept"));
    const first = await client.call("work", { id: "stop", ms: WORK_MS * 3, size: SIZE });
    const waiting = client.call("taskgate_result", nextOf(first)?.args);
    await gateway.kill("SIGTERM");
    const told = await waiting;
    expect(nextOf(told)?.args).toEqual(nextOf(first)?.args);
    await gateway.start();
    expect(textOf(await follow(client, told))).toBe(workOf("stop", SIZE));
    expect(await witness.seen("stop")).toMatchObject({ calls: 1, returned: 1 });
  });
});

describe.skipIf(withoutRedis("the fallback over Redis"))("two gateways", () => {
  test.for(GENERATIONS.slice(0, 2))(
    "one dies, and a client of %s has its result from the other",
    { timeout: 120_000 },
    async ([, connect]) => {
      const { url } = await redisForTest();
      const { witness, gateways } = await replicas(2, { url, lease: "2s" });
      const [one, two] = gateways as [Replica, Replica];
      const id = "dies";
      const client = await connect(one.url("kept"));
      const first = await client.call("work", { id, ms: WORK_MS, size: SIZE });
      await one.kill("SIGKILL");
      const other = client.at(two.url("kept"));
      expect(textOf(await follow(other, first))).toBe(workOf(id, SIZE));
      expect(await witness.seen(id)).toMatchObject({ calls: 1, returned: 1 });
    },
  );
});
