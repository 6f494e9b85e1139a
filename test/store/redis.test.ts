import { createClient } from "@keyv/redis";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { openStore } from "../../src/store/open.ts";
import { redisKey } from "../../src/store/redis/keys.ts";
import { type Nudge, type TaskRecord, type TaskStore, UnreadableValue } from "../../src/store/task-store.ts";
import { taskStoreContract } from "../contracts/task-store.ts";
import { Conditions } from "../support/conditions.ts";
import { withoutRedis } from "../support/redis-tests.ts";
import { newPrefix, openRedis, orphansOf, replicas, sharedRedis } from "./redis-stores.ts";
import { completed, newTask } from "./samples.ts";

const missing = withoutRedis("stores in Redis");

describe.skipIf(missing)("over Redis", () => {
  const redis = sharedRedis();
  // Long enough for a machine that is busy with other tests.
  const patient = { timeoutMs: 20_000 };
  const many = (count: number, options = {}) => replicas(redis.server.url, count, { ...patient, ...options });

  taskStoreContract(
    "redis",
    (options) => openStore(redis.server.url, { ...patient, prefix: newPrefix(), ...options }),
    { isShared: true },
  );

  test("what one replica writes another reads: a record, its answers, its end, its place in the list", async () => {
    const [a, b] = (await many(2)) as [TaskStore, TaskStore];
    const inputRequests = { name: { method: "elicitation/create" }, age: { method: "elicitation/create" } };
    const task = await a.create(newTask({ inputRequests, isListed: true }));
    await b.answer(task, "name", { result: { action: "accept" } });

    expect((await a.read(task.id))?.task.inputRequests).toEqual({ age: inputRequests.age });
    expect([...(await a.answers(task.id, ["name", "age"]))]).toEqual([
      ["name", { result: { action: "accept" } }],
    ]);
    const outcome = await b.end(task, completed("done"));
    expect(await a.end(task, completed("late"))).toEqual(outcome);
    expect((await a.list(task, { limit: 10 }))?.tasks.map((view) => view.outcome)).toEqual([outcome]);
  });

  test("what a task leaves behind is removed once its end stands", async () => {
    const prefix = newPrefix();
    const store = await openRedis(redis.server.url, { ...patient, prefix });
    const client = createClient({ url: redis.server.url });
    await client.connect();
    onTestFinished(() => client.destroy());
    const storedCall = { method: "tools/call", headers: {} };
    const task = await store.create(newTask({ storedCall }));
    const [record = "", call = "", end = ""] = ["task", "recipe", "end"].map((kind) =>
      redisKey(prefix, `${kind}:${task.id}`),
    );
    expect(await client.exists([record, call])).toBe(2);
    await store.end(task, completed("done"));
    await vi.waitUntil(async () => (await client.exists([record, call])) === 0, { timeout: 60_000 });
    expect(await client.exists(end)).toBe(1);
    expect(await client.zScore(`${prefix}list:{tasks-${store.me}}`, task.id)).toBeNull();
    expect(await store.read(task.id)).toMatchObject({ outcome: { kind: "completed" } });
  });

  test("a damaged value is an error at once, in reads and claims, and keeps nothing else from working", async () => {
    const prefix = newPrefix();
    const store = await openRedis(redis.server.url, { ...patient, prefix });
    const [torn, typed, sound] = [
      await store.create(newTask()),
      await store.create(newTask()),
      await store.create(newTask()),
    ];
    const client = createClient({ url: redis.server.url });
    await client.connect();
    onTestFinished(() => client.destroy());
    const [record = "", claim = ""] = [`task:${torn.id}`, `end:${typed.id}`].map((key) =>
      redisKey(prefix, key),
    );
    expect(await client.set(record, "{ torn", { condition: "XX" })).toBe("OK");
    await client.set(claim, "[1]");

    await expect(store.read(torn.id)).rejects.toThrow(UnreadableValue);
    await expect(store.end(typed, completed("done"))).rejects.toThrow(UnreadableValue);
    expect(await store.end(sound, completed("done"))).toMatchObject({ kind: "completed" });
  });

  test("three hundred tasks ended by four replicas at once have one outcome each", async () => {
    const stores = await many(4);
    const [first] = stores as [TaskStore];
    const tasks = await Promise.all(Array.from({ length: 300 }, () => first.create(newTask())));

    const told = await Promise.all(
      tasks.map((task) =>
        Promise.all(stores.map((store) => store.end(task, completed({ by: store.me, of: task.id })))),
      ),
    );

    const stands = await Promise.all(tasks.map(async ({ id }) => (await first.read(id))?.outcome));
    expect(told).toEqual(stands.map((outcome) => stores.map(() => outcome)));
    const winners = new Set(stands.map((outcome) => outcome?.kind === "completed" && outcome.result));
    expect(winners.size).toBe(300);
  });

  test("of replicas that adopt a task at once one does, and its former owner's writes are not seen", async () => {
    const [owner, ...others] = (await many(4)) as [TaskStore, ...TaskStore[]];
    const task = await owner.create(newTask({ statusMessage: "begun", isUnsent: true }));

    const adopted = await Promise.all(others.map((store) => store.takeOver(task)));

    const [mine] = adopted.filter((record) => record !== undefined) as [TaskRecord];
    expect(adopted.filter((record) => record === undefined)).toHaveLength(2);
    const winner = others.find(({ me }) => me === mine.owner) as TaskStore;
    await owner.update(task, { statusMessage: "by its former owner" });
    expect((await owner.read(task.id))?.task).toEqual(mine);
    expect(mine).toMatchObject({ turn: 1, owner: winner.me, statusMessage: "begun" });
    expect(mine.isUnsent).toBeUndefined();
    const again = await owner.takeOver(mine, true);
    expect(again).toMatchObject({ turn: 2, owner: owner.me, isUnsent: true });
    expect((await winner.read(task.id))?.task).toEqual(again);
  });

  test("a replica that has left is dead at once, and its tasks are shown until somebody has looked after them", async () => {
    const [a, b] = (await many(2)) as [TaskStore, TaskStore];
    const [open, ended] = [await a.create(newTask()), await a.create(newTask())];
    await a.end(ended, completed("done"));
    const heard = listening(b);
    expect([await b.isAlive(a.me), await orphansOf(b)]).toEqual([true, []]);

    await a.leave();

    await heard.nudge({ kind: "left", replica: a.me });
    expect(await orphansOf(b)).toEqual([[open.id, a.me]]);
    // Who has just been seen alive is not looked for again at once.
    await expect.poll(() => b.isAlive(a.me)).toBe(false);
    await b.orphans(async () => true);
    expect(await orphansOf(b)).toEqual([]);
  });

  test("a replica that is not heard for a lease is dead", async () => {
    const [a, b] = (await many(2, { leaseMs: 600 })) as [TaskStore, TaskStore];
    const task = await a.create(newTask());
    expect(await b.isAlive(a.me)).toBe(true);

    // As a process ends that is killed: nothing is said any more.
    await a.close();

    await expect.poll(() => b.isAlive(a.me), { timeout: 60_000, interval: 50 }).toBe(false);
    expect(await b.isAlive(b.me)).toBe(true);
    expect(await orphansOf(b)).toEqual([[task.id, a.me]]);
  });

  test("nudges reach other replicas once, and this one once", async () => {
    const [a, b] = (await many(2)) as [TaskStore, TaskStore];
    const [atA, atB] = [listening(a), listening(b)];
    const task = await a.create(newTask());

    const changed: Nudge = { kind: "changed", id: task.id };
    const ended: Nudge = { kind: "ended", id: task.id };

    await a.update(task, { statusMessage: "half way" });
    await atB.nudge(changed);
    await b.end(task, completed("done"));
    await atA.nudge(ended);

    // What came after it on the same way is here, and so would be what came twice.
    await b.leave();
    await atA.nudge({ kind: "left", replica: b.me });
    await a.leave();
    await atB.nudge({ kind: "left", replica: a.me });
    const about = (nudge: Nudge) => "id" in nudge;
    expect([atA.heard.filter(about), atB.heard.filter(about)]).toEqual([
      [changed, ended],
      [changed, ended],
    ]);
  });

  test("what is in the channel and is no nudge is nobody's business", async () => {
    const prefix = newPrefix();
    const store = await openRedis(redis.server.url, { prefix });
    const listener = listening(store);
    const foreign = ["", "x", "[]", "null", "7", "{}", '{"kind":"changed"}', '{"kind":"missed"}'];
    foreign.push('{"kind":"ended","id":7}', '{"kind":"left"}', "x".repeat(1_000_000), '{"kind":"toString"}');

    for (const message of foreign) await redis.server.command("PUBLISH", `${prefix}nudges`, message);
    await redis.server.command("PUBLISH", `${prefix}nudges`, '{"kind":"ended","id":"a"}');

    await listener.nudge({ kind: "ended", id: "a" });
    expect(listener.heard).toEqual([{ kind: "ended", id: "a" }]);
  });

  test("every third of a lease those who watch are told that they may have missed something", async () => {
    const store = await openRedis(redis.server.url, { prefix: newPrefix(), leaseMs: 600 });
    const listener = listening(store);

    await listener.found(
      () => listener.heard.filter(({ kind }) => kind === "missed").length >= 3 || undefined,
    );
  });

  test("a subscription that was cut is made anew, and what may have been missed is told", async () => {
    const [a, b] = (await many(2)) as [TaskStore, TaskStore];
    const task = await a.create(newTask());
    const listener = listening(b);

    expect(await redis.server.command("CLIENT", "KILL", "TYPE", "pubsub")).toBeGreaterThan(0);

    await listener.nudge({ kind: "missed" });
    // It is told by the sender's own third connection, so that nobody has to try more than once.
    await a.update(task, { statusMessage: "again" });
    await listener.nudge({ kind: "changed", id: task.id });
  });

  test("a value is kept no longer than it has to be, by the clock of Redis and no other", async () => {
    const prefix = newPrefix();
    const clock = () => 4_000_000_000_000;
    const store = await openRedis(redis.server.url, { prefix, clock, ...patient });
    const terms = { ...newTask().terms, ttlMs: 10_000, maxRuntimeMs: 5_000 };

    const task = await store.create(newTask({ terms, isListed: true }));

    const client = await connected(redis.server.url);
    const keys = (await client.keys(`${prefix}*`)).toSorted();
    const text = await client.get(`${prefix}task:{${task.id}}`);
    expect(JSON.parse(text ?? "")).toEqual({ value: task });
    expect(await client.pTTL(`${prefix}task:{${task.id}}`)).toBeGreaterThan(70_000);
    expect(await client.pTTL(`${prefix}task:{${task.id}}`)).toBeLessThanOrEqual(75_000);
    expect((await Promise.all(keys.map((key) => client.pTTL(key)))).filter((ms) => ms < 0)).toEqual([]);
  });

  test("members whose time is over leave their list when others come", async () => {
    const prefix = newPrefix();
    const time = { now: 1_000_000 };
    const store = await openRedis(redis.server.url, { prefix, clock: () => time.now, ...patient });
    const terms = { ...newTask().terms, ttlMs: 10_000, maxRuntimeMs: 5_000 };
    const task = newTask({ terms, isListed: true });
    await Promise.all(Array.from({ length: 20 }, () => store.create(task)));
    const client = await connected(redis.server.url);
    const lists = [...(await client.keys(`${prefix}list:*`)), ...(await client.keys(`${prefix}ends:*`))];
    const sizes = () => Promise.all(lists.map((key) => client.zCard(key)));

    time.now += 10 * 3_600_000;
    for (let added = 0; added < 8; added += 1) await store.create(task);

    // Of the gateway's own list as well as the caller's; the list of gateways has one that stays. And each has its anchor.
    await expect.poll(async () => (await sizes()).toSorted()).toEqual([2, 2, 9, 9, 9, 9]);
  });
});

/** What a replica hears, and a way to wait for it. */
function listening(store: TaskStore) {
  const heard: Nudge[] = [];
  const conditions = new Conditions(() => `heard ${JSON.stringify(heard)}`, 15_000);
  const stop = store.watch((nudge) => {
    heard.push(nudge);
    conditions.check();
  });
  onTestFinished(() => stop());
  return {
    heard,
    found: <T>(find: () => T | undefined) => conditions.found(find, "what is to be heard"),
    nudge: (wanted: Nudge) =>
      conditions.found(
        () => heard.find((nudge) => JSON.stringify(nudge) === JSON.stringify(wanted)),
        JSON.stringify(wanted),
      ),
  };
}

async function connected(url: string) {
  const client = createClient({ url });
  await client.connect();
  onTestFinished(() => client.destroy());
  return client;
}
