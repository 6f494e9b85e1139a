import { createClient } from "@keyv/redis";
import { describe, expect, onTestFinished, test } from "vitest";
import type { StoreOptions } from "../../src/store/options.ts";
import type { TaskStore } from "../../src/store/task-store.ts";
import { withoutRedis } from "../support/redis-tests.ts";
import { newPrefix, openRedis, orphansOf, sharedRedis } from "./redis-stores.ts";
import { completed, newTask } from "./samples.ts";

const HOUR_MS = 3_600_000;
const terms = { ...newTask().terms, ttlMs: 10_000, maxRuntimeMs: 5_000 };
const brief = newTask({ terms, isListed: true });

describe.skipIf(withoutRedis("lists in Redis"))("lists in Redis", () => {
  const redis = sharedRedis();

  test("a list that has been emptied and is added to again has an end all the same", async () => {
    const { store, lists, ttls } = await opened();
    for (let round = 0; round < 3; round += 1) {
      const task = await store.create(brief);
      await store.end(task, completed("done"));
    }
    await expect.poll(() => ownTasks(lists, store)).toEqual([]);

    const task = await store.create(brief);

    expect(await ownTasks(lists, store)).toEqual([task.id]);
    for (const ttl of await ttls()) expect(ttl).toBeGreaterThan(HOUR_MS);
  });

  test("a list stays as long as the longest of its members, whoever comes first", async () => {
    const { store, ttls } = await opened();
    const long = { ...terms, ttlMs: 50 * HOUR_MS };

    await store.create(brief);
    await store.create(newTask({ terms: long, isListed: true }));
    await store.create(brief);

    for (const ttl of await ttls()) expect(ttl).toBeGreaterThan(50 * HOUR_MS);
  });

  test("what one replica knows of a list holds for no other server than that of its connection", async () => {
    const { store, client, prefix, ttls } = await opened();
    await store.create(brief);
    const all = await client.keys(`${prefix}*`);
    await client.del(all);
    // As a server that has forgotten: the connection goes as well.
    await client.sendCommand(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    await expect.poll(() => store.read("x").then(() => "answered"), { timeout: 60_000 }).toBe("answered");

    await store.create(brief);

    const after = await ttls();
    expect(after).toHaveLength(4);
    for (const ttl of after) expect(ttl).toBeGreaterThan(HOUR_MS);
  });

  test("what keeps a list from being empty is shown to nobody", async () => {
    const prefix = newPrefix();
    const [dead, store] = [await openStoreAt(prefix), await openStoreAt(prefix)];
    const task = await dead.create(brief);
    await dead.leave();

    expect(await orphansOf(store)).toEqual([[task.id, dead.me]]);
    expect(await store.list(task, { limit: 10 })).toMatchObject({ tasks: [{ task: { id: task.id } }] });
    await store.orphans(async () => true);
    expect(await orphansOf(store)).toEqual([]);
  });

  const openStoreAt = (prefix: string, options: StoreOptions = {}) =>
    openRedis(redis.server.url, { prefix, ...options });

  /** A store of its own, with a look at the keys of its lists other than that of the gateways. */
  async function opened() {
    const prefix = newPrefix();
    const store = await openStoreAt(prefix);
    const client = createClient({ url: redis.server.url });
    client.on("error", () => {});
    await client.connect();
    onTestFinished(() => client.destroy());
    const keys = async () =>
      [...(await client.keys(`${prefix}list:*`)), ...(await client.keys(`${prefix}ends:*`))].filter(
        (key) => !key.endsWith("{replicas}"),
      );
    return {
      store,
      client,
      prefix,
      ttls: async () => Promise.all((await keys()).map((key) => client.pTTL(key))),
      lists: (name: string) => client.zRange(`${prefix}list:{${name}}`, 0, -1),
    };
  }
});

/** The members that there are in the list of a replica's tasks, but for the anchor. */
async function ownTasks(lists: (name: string) => Promise<string[]>, store: TaskStore): Promise<string[]> {
  return (await lists(`tasks-${store.me}`)).filter((member) => member !== "");
}
