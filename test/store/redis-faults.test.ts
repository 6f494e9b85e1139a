import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { openStore } from "../../src/store/open.ts";
import type { StoreOptions } from "../../src/store/options.ts";
import { connectRedis } from "../../src/store/redis/connection.ts";
import { type Nudge, StoreUnavailable, type TaskStore } from "../../src/store/task-store.ts";
import { parseStoreUrl, type RedisAddress } from "../../src/store-url.ts";
import type { RedisServer, RedisServerOptions } from "../support/redis.ts";
import { redisForTest, withoutRedis } from "../support/redis-tests.ts";
import { openRedis } from "./redis-stores.ts";
import { completed, newTask } from "./samples.ts";

const missing = withoutRedis("faults of Redis");
// Short, but not so short that a busy machine would take it for a fault.
const TIMEOUT_MS = 3_000;
const options: StoreOptions = { timeoutMs: TIMEOUT_MS };

describe.skipIf(missing)("a Redis that is away", () => {
  test.each<[string, (server: RedisServer) => Promise<void>, (server: RedisServer) => Promise<void>]>([
    ["killed", (server) => server.kill(), (server) => server.restart()],
    ["hung", (server) => server.pause(), async (server) => server.resume()],
  ])(
    "%s: everything is refused in time and nothing is unknown, until it is back",
    async (_, goAway, comeBack) => {
      const server = await redisForTest();
      const store = await openRedis(server.url, options);
      const task = await store.create(newTask({ isListed: true }));
      const ended = await store.create(newTask());
      const other = await openRedis(server.url, options);
      const heard: Nudge[] = [];
      other.watch((nudge) => heard.push(nudge));
      const outcome = await store.end(ended, completed("done"));

      await goAway(server);
      const begunAt = performance.now();
      const calls = everything(store, task.id);
      const errors = await Promise.all(calls.map((call) => call.catch((error: unknown) => error)));

      // Not a measure of speed: without a deadline of ours it would be for ever.
      expect(performance.now() - begunAt).toBeLessThan(10 * TIMEOUT_MS);
      expect(errors.map((error) => error instanceof StoreUnavailable)).toEqual(calls.map(() => true));
      const [, , message] = errors.map((error) => (error as Error).message);
      expect(message).toMatch(new RegExp(`^store ${server.url}: could not (read|write): `));
      expect(message).not.toContain(task.id);
      await comeBack(server);
      await expect
        .poll(() => store.read(task.id), { timeout: 60_000 })
        .toMatchObject({ task: { id: task.id } });
      expect((await store.read(ended.id))?.outcome).toEqual(outcome);
      // What was under way on a connection that is replaced may be refused once more.
      const again = <T>(work: () => Promise<T>) => vi.waitFor(work, { timeout: 60_000 });
      expect((await again(() => store.end(ended, completed("late")))).kind).toBe("completed");
      await again(() => store.end(task, completed("after all")));
      // Nudges come through again as well, sooner or later.
      const late = await again(() => store.create(newTask()));
      const tell = async () => {
        await store.update(late, { statusMessage: "again" });
        return heard;
      };
      const changed = { kind: "changed", id: late.id };
      await expect.poll(tell, { timeout: 60_000, interval: 200 }).toContainEqual(changed);
    },
  );

  test("a connection that takes the place of another has the server forget what that one has sent", async () => {
    const server = await redisForTest();
    const redis = { address: parseStoreUrl(server.url) as RedisAddress, timeoutMs: TIMEOUT_MS };
    const { signal } = new AbortController();
    const old = await connectRedis(redis, signal);
    const bystander = await connectRedis(redis, signal);
    onTestFinished(() => [old, bystander].forEach((each) => void each.destroy()));

    const next = await connectRedis(redis, signal, old);
    onTestFinished(() => next.destroy());

    expect(await old.lost).toBeInstanceOf(Error);
    await expect(old.ask("SET", "key", "late")).rejects.toThrow();
    expect(await bystander.ask("PING")).toBe("PONG");
    expect(await next.ask("EXISTS", "key")).toBe(0);
  });

  test("what was cut off while it was under way is refused at once", async () => {
    const server = await redisForTest();
    const store = await openRedis(server.url, { timeoutMs: 60_000 });
    const task = await store.create(newTask());
    await server.pause();
    const reads = Array.from({ length: 50 }, () => store.read(task.id).catch((error: unknown) => error));

    await server.kill();

    const errors = await Promise.all(reads);
    expect(errors.filter((error) => !(error instanceof StoreUnavailable))).toEqual([]);
  });

  test.each(["kill", "pause"] as const)("%s: a store is closed all the same", async (how) => {
    const server = await redisForTest();
    const store = await openStore(server.url, options);
    const watched: unknown[] = [];
    store.watch((nudge) => watched.push(nudge));
    await server[how]();
    const late = store.create(newTask()).catch((error: unknown) => error);

    await store.close();

    expect(await late).toBeInstanceOf(StoreUnavailable);
    await expect(store.create(newTask())).rejects.toThrow("closed");
  });

  test("with its memory full, no task is created that is not there", async () => {
    const server = await redisForTest({ settings: { maxmemory: "3mb" } });
    const store = await openRedis(server.url, options);
    const big = {
      kind: "completed",
      endedAt: Date.now(),
      result: JSON.stringify("x".repeat(300_000)),
    } as never;

    const error = await (async () => {
      for (let n = 0; n < 20; n++) await store.end(await store.create(newTask()), big);
    })().catch((error: unknown) => error);

    expect(error).toBeInstanceOf(StoreUnavailable);
    expect(String(error)).toContain("could not write: OOM");
  });

  test("a replica that takes no writes is refused, and so is every task when a master becomes one", async () => {
    const server = await redisForTest();
    const store = await openRedis(server.url, options);
    await server.command("REPLICAOF", "127.0.0.1", "1");

    await expect(store.create(newTask())).rejects.toBeInstanceOf(StoreUnavailable);
    await expect(openStore(server.url, options)).rejects.toThrow(/could not write: READONLY You can't write/);

    await server.command("REPLICAOF", "NO", "ONE");
    await expect
      .poll(() => store.create(newTask()).catch(() => undefined), { timeout: 60_000 })
      .toBeDefined();
  });
});

describe.skipIf(missing)("a store that cannot be opened says why, and no password", () => {
  test("nobody listens", async () => {
    const server = await redisForTest();
    await server.kill();

    expect(await reasonOf(withPassword(server.url))).toBe(
      `store ${server.url}: nobody listens there (connect ECONNREFUSED 127.0.0.1:${server.port})`,
    );
  });

  test("no such host", async () => {
    expect(await reasonOf("redis://u:secret@host.invalid")).toMatch(
      /^store redis:\/\/host.invalid: no such host/,
    );
  });

  test("a wrong password, and none at all", async () => {
    const server = await redisForTest({ password: "right" });
    const shown = `redis://127.0.0.1:${server.port}`;

    expect(await reasonOf(server.url.replace("right", "hunter2"))).toMatch(
      new RegExp(`^store ${shown}: it does not take the credentials \\(WRONGPASS`),
    );
    expect(await reasonOf(shown)).toBe(
      `store ${shown}: it does not take the credentials (NOAUTH Authentication required.)`,
    );
    const store = await openRedis(server.url, options);
    expect(store.url).toBe(shown);
    await store.create(newTask());
  });

  test("something that is no Redis, and something that says nothing", async () => {
    const web = await tcp((socket) =>
      socket.once("data", () => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n")),
    );
    const silent = await tcp(() => {});
    const hangsUp = await tcp((socket) => socket.once("data", () => socket.end()));

    expect(await reasonOf(web)).toMatch(/: it does not speak the protocol of Redis \(/);
    expect(await reasonOf(silent)).toMatch(/: could not be opened \(no answer within 3000 ms\)$/);
    expect(await reasonOf(hangsUp)).toMatch(/: it hangs up \(.*\); it may want TLS, which is rediss:$/);
    expect(await reasonOf(web.replace("redis", "rediss"))).toMatch(/: it does not speak TLS like us \(/);
  });

  test("a Redis that hangs", async () => {
    const server = await redisForTest();
    await server.pause();

    expect(await reasonOf(server.url)).toBe(
      `store ${server.url}: could not be opened (no answer within ${TIMEOUT_MS} ms)`,
    );
  });
});

describe.skipIf(missing)("settings of a server that can cost tasks", () => {
  test.each<[string, RedisServerOptions["settings"], readonly RegExp[]]>([
    ["a careful one", {}, []],
    ["one that evicts", { "maxmemory-policy": "allkeys-lru" }, [/: maxmemory-policy is allkeys-lru: /]],
    ["one without a log", { appendonly: "no" }, [/: appendonly is no: /]],
    ["one that does not sync", { appendfsync: "no" }, [/: appendfsync is no: /]],
    [
      "one that says nothing",
      { "maxmemory-policy": "allkeys-lru", "rename-command": ["CONFIG", "NOPE"] },
      [],
    ],
  ])("%s", async (_, settings, expected) => {
    const server = await redisForTest(settings === undefined ? {} : { settings });
    const warned: string[] = [];

    await openRedis(server.url, { ...options, warn: (message) => warned.push(message) });

    expect(warned).toEqual(expected.map((pattern) => expect.stringMatching(pattern)));
    expect(warned.filter((message) => !message.startsWith(`store ${server.url}: `))).toEqual([]);
  });
});

function everything(store: TaskStore, id: string): Promise<unknown>[] {
  const task = { ...newTask(), id, owner: store.me, createdAt: 1, updatedAt: 1, inputRequests: {} };
  return [
    store.create(newTask()),
    store.create(newTask({ isListed: true })),
    store.read(id),
    store.update(task, { statusMessage: "late" }),
    store.end(task, completed("late")),
    store.answer(task, "name", { result: {} }),
    store.answers(id, ["name"]),
    store.list(task, { limit: 10 }),
    store.takeOver(task),
    store.isAlive("somebody"),
    store.orphans(async () => true),
  ];
}

/** Why a store could not be opened; one that could is closed again. */
async function reasonOf(url: string, more: StoreOptions = {}): Promise<string> {
  const opened = openStore(url, { ...options, ...more });
  const error = await opened.then(
    (store) => store.close(),
    (error: Error) => error,
  );
  const message = error instanceof Error ? error.message : "it could be opened";
  expect(message).not.toMatch(/secret|hunter2/);
  return message;
}

function withPassword(url: string): string {
  return url.replace("//", "//joe:secret@");
}

async function tcp(onConnection: (socket: Socket) => unknown): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  return `redis://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
}
