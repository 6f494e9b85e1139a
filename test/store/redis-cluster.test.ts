import { describe, expect, test } from "vitest";
import { openStore } from "../../src/store/open.ts";
import { StoreUnavailable, type TaskRecord } from "../../src/store/task-store.ts";
import type { RedisServer } from "../support/redis.ts";
import { clusterUrl, redisCluster, SLOTS } from "../support/redis-cluster.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { listedIds } from "./pages.ts";
import { openRedis, orphansOf } from "./redis-stores.ts";
import { completed, newTask } from "./samples.ts";

const missing = withoutRedis("Redis as a cluster, and with sentinels");
const patient = { timeoutMs: 5_000 };

describe.skipIf(missing)("a cluster of three nodes", () => {
  test("two replicas share tasks, whichever node they are on", async () => {
    const nodes = await redisCluster();
    const [a, b] = [
      await openRedis(clusterUrl(nodes), patient),
      await openRedis(clusterUrl(nodes.slice(1, 2)), patient),
    ];
    const heard: unknown[] = [];
    b.watch((nudge) => heard.push(nudge));

    const tasks = await Promise.all(Array.from({ length: 60 }, () => a.create(newTask({ isListed: true }))));
    const told = await Promise.all(
      tasks.map((task) => Promise.all([a, b].map((store) => store.end(task, completed(store.me))))),
    );

    const outcomes = await Promise.all(tasks.map(async ({ id }) => (await b.read(id))?.outcome));
    expect(told).toEqual(outcomes.map((outcome) => [outcome, outcome]));
    expect(new Set(await listedIds(b, newTask()))).toEqual(new Set(tasks.map(({ id }) => id)));
    const sizes = await Promise.all(nodes.map((node) => node.command("DBSIZE")));
    expect(sizes.filter((size) => Number(size) < 10)).toEqual([]);
    const task = await a.create(newTask());
    await expect.poll(() => JSON.stringify(heard)).toContain(tasks[0]?.id);
    const adopted = (await b.takeOver(task)) as TaskRecord;
    expect(await a.takeOver(task)).toBeUndefined();
    expect((await a.read(task.id))?.task).toEqual(adopted);
    await b.leave();
    expect(await orphansOf(a)).toEqual([[task.id, b.me]]);
  });

  test("a node that is away takes its own tasks along and no others, until it is back", async () => {
    const nodes = await redisCluster();
    const store = await openRedis(clusterUrl(nodes), patient);
    const tasks = await Promise.all(Array.from({ length: 60 }, () => store.create(newTask())));
    const outcomes = await Promise.all(tasks.map((task) => store.end(task, completed(task.id))));
    const readAll = () => Promise.all(tasks.map(({ id }) => store.read(id).catch((error: unknown) => error)));
    const isAway = (each: unknown) => each instanceof StoreUnavailable;

    // With `everysec` a write may stay in the process for two seconds when the disk is busy, and would end with it.
    await nodes[2]?.command("CONFIG", "SET", "appendfsync", "always");
    await nodes[2]?.kill();

    // Some are away, as long as it is; but never is one taken to be unknown.
    await expect
      .poll(async () => (await readAll()).filter(isAway).length, { timeout: 60_000 })
      .toBeLessThan(tasks.length / 2);
    const views = await readAll();
    expect(views.filter(isAway).length).toBeGreaterThan(0);
    expect(views.filter((view) => view === undefined)).toEqual([]);
    await nodes[2]?.restart();
    await expect.poll(async () => (await readAll()).filter(isAway).length, { timeout: 60_000 }).toBe(0);
    expect(await Promise.all(tasks.map(async ({ id }) => (await store.read(id))?.outcome))).toEqual(outcomes);
  });

  test("a task whose slot has moved is found where it is now", async () => {
    const nodes = await redisCluster();
    const [a, b] = [await openRedis(clusterUrl(nodes), patient), await openRedis(clusterUrl(nodes), patient)];
    const task = await a.create(newTask());
    expect(await b.read(task.id)).toEqual({ task });

    await moveSlot(nodes, `{${task.id}}`);

    await expect.poll(() => b.read(task.id).catch(() => undefined), { timeout: 60_000 }).toEqual({ task });
    const outcome = await a.end(task, completed("done"));
    expect((await b.read(task.id))?.outcome).toEqual(outcome);
  });

  test("a cluster that cannot be reached, and a server that is none", async () => {
    const server = await redisForTest();
    const url = `redis+cluster://127.0.0.1:${server.port}`;

    await expect(openStore(url, patient)).rejects.toThrow(
      /^store redis\+cluster:.*: could not be opened \(ERR This instance has cluster support disabled\)$/,
    );
    await server.kill();
    await expect(openStore(url.replace("//", "//u:secret@"), patient)).rejects.toThrow(
      new RegExp(`^store ${url.replace("+", "\\+")}: nobody listens there`),
    );
  });
});

describe.skipIf(missing)("a master with a replica and a sentinel", () => {
  test("when the master is killed the store goes on with the replica", async () => {
    const password = "hunter2";
    const master = await redisForTest({ password, settings: { masterauth: password } });
    const replica = await redisForTest({
      password,
      settings: { masterauth: password, replicaof: ["127.0.0.1", String(master.port)] },
    });
    const sentinel = await redisForTest({
      sentinel: [
        `sentinel monitor tasks 127.0.0.1 ${master.port} 1`,
        `sentinel auth-pass tasks ${password}`,
        "sentinel down-after-milliseconds tasks 500",
        "sentinel failover-timeout tasks 3000",
      ],
    });
    const hosts = `127.0.0.1:1,127.0.0.1:${sentinel.port}`;
    const [a, b] = [
      await openRedis(`redis+sentinel://:${password}@${hosts}/tasks?db=1`, patient),
      await openRedis(`redis+sentinel://:${password}@${hosts}/tasks?db=1`, patient),
    ];
    expect(a.url).toBe(`redis+sentinel://${hosts}/tasks?db=1`);
    const task = await a.create(newTask());
    const ended = await a.create(newTask());
    const outcome = await a.end(ended, completed("done"));
    await expect
      .poll(() => replica.command("INFO", "keyspace"), { timeout: 60_000 })
      .toMatch(/db1:keys=[89]/);
    // Until then the sentinel has nobody to put in the master's place.
    const known = () => sentinel.command("SENTINEL", "REPLICAS", "tasks");
    await expect.poll(async () => ((await known()) as unknown[]).length, { timeout: 60_000 }).toBe(1);

    await master.kill();

    const readable = () => b.read(ended.id).catch((error: Error) => error.message);
    await expect.poll(readable, { timeout: 25_000 }).toMatchObject({ outcome });
    await expect
      .poll(() => a.end(task, completed("after")).catch(() => undefined), { timeout: 25_000 })
      .toBeDefined();
    expect((await b.read(task.id))?.outcome?.kind).toBe("completed");
    expect(String(await replica.command("ROLE"))).toMatch(/^master/);
  });

  test("a name that the sentinels do not know", async () => {
    const master = await redisForTest();
    const sentinel = await redisForTest({ sentinel: [`sentinel monitor tasks 127.0.0.1 ${master.port} 1`] });

    await expect(openStore(`redis+sentinel://127.0.0.1:${sentinel.port}/other`, patient)).rejects.toThrow(
      /could not be opened \(the sentinels know no master called other\)$/,
    );
  });
});

/** Gives the slot of a key, with all that is in it, from its node to another. */
async function moveSlot(nodes: readonly RedisServer[], key: string): Promise<void> {
  const [first] = nodes as [RedisServer];
  const slot = String(await first.command("CLUSTER", "KEYSLOT", key));
  const index = Math.floor((Number(slot) * nodes.length) / SLOTS);
  const [source, target] = [nodes[index], nodes[(index + 1) % nodes.length]] as [RedisServer, RedisServer];
  const [from, to] = (await Promise.all([source, target].map((node) => node.command("CLUSTER", "MYID")))).map(
    String,
  );
  await target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", from as string);
  await source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", to as string);
  const keys = ((await source.command("CLUSTER", "GETKEYSINSLOT", slot, "100")) as unknown[]).map(String);
  expect(keys).not.toEqual([]);
  await source.command("MIGRATE", "127.0.0.1", String(target.port), "", "0", "5000", "KEYS", ...keys);
  for (const node of [target, source]) await node.command("CLUSTER", "SETSLOT", slot, "NODE", to as string);
}
