import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, onTestFinished } from "vitest";
import { openStore } from "../../src/store/open.ts";
import type { StoreOptions } from "../../src/store/options.ts";
import type { ReplicaId, TaskId, TaskStore } from "../../src/store/task-store.ts";
import type { RedisServer, RedisServerOptions } from "../support/redis.ts";
import { redisForTest } from "../support/redis-tests.ts";

/** One server for all tests of a file. It loses nothing, and is not asked to prove that with every write. */
export function sharedRedis(options: RedisServerOptions = {}): { readonly server: RedisServer } {
  let server: RedisServer | undefined;
  const cleanUps: (() => Promise<void>)[] = [];
  beforeAll(async () => {
    const settings = { appendfsync: "everysec", ...options.settings };
    server = await redisForTest({ ...options, settings, atEnd: (cleanUp) => cleanUps.push(cleanUp) });
  });
  afterAll(async () => {
    for (const cleanUp of cleanUps) await cleanUp();
  });
  return {
    get server() {
      if (server === undefined) throw new Error("the server has not been started yet");
      return server;
    },
  };
}

/** What keys begin with that nobody else uses: an empty store of a server that has others. */
export function newPrefix(): string {
  return `test-${randomBytes(6).toString("hex")}:`;
}

/** Opens a store that is closed when the test ends. */
export async function openRedis(url: string, options: StoreOptions = {}): Promise<TaskStore> {
  const store = await openStore(url, options);
  onTestFinished(() => store.close());
  return store;
}

/** Several replicas of one store. */
export async function replicas(url: string, count: number, options: StoreOptions = {}): Promise<TaskStore[]> {
  const shared = { prefix: newPrefix(), ...options };
  return Promise.all(Array.from({ length: count }, () => openRedis(url, shared)));
}

/** The tasks that dead replicas have left, with whose they were. */
export async function orphansOf(store: TaskStore): Promise<[TaskId, ReplicaId][]> {
  const found: [TaskId, ReplicaId][] = [];
  await store.orphans(async (id, owner) => {
    found.push([id, owner]);
    return false;
  });
  return found;
}
