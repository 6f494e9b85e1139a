/** What can happen for a moment to a gateway or its store, and what became of the tasks that clients followed meanwhile. */

import { setTimeout as sleep } from "node:timers/promises";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { startBalancer } from "../survival/support/balancer.ts";
import { lastingPort } from "../survival/support/ports.ts";
import { Replica } from "../survival/support/replica.ts";
import { type Random, randomFrom } from "../survival/support/seeded.ts";
import { startWitness, type Witness } from "../survival/support/witness.ts";
import { workOf } from "../survival/support/work.ts";
import { FOLLOWERS, type Follower, type FollowerName } from "./followers.ts";

interface Place {
  readonly replicas: readonly [Replica, ...Replica[]];
  readonly redis: RedisServer;
}

interface Blip {
  readonly store: "level" | "redis";
  /** 1 unless given; several stand behind a balancer. */
  readonly replicas?: number;
  /** Nobody listens for so long, beside what the machine takes to start a process. */
  readonly gapMs?: number;
  readonly strike: (place: Place) => Promise<void>;
}

/** Calls outlast it, so that their clients meet the closed door. */
const DRAIN_TIMEOUT = "2s";
/** What a busy machine takes to start a gateway; the interval that clients are told has to cover it. */
const STARTING_MS = 15_000;

export const BLIPS = {
  "level:, SIGTERM, started after 2 s": restarted("level", 2_000),
  "level:, SIGTERM, started after 5 s": restarted("level", 5_000),
  "one gateway on Redis, SIGTERM, started after 2 s": restarted("redis", 2_000),
  "Redis stopped for 1 s": away(1_000),
  "Redis stopped for 4 s": away(4_000),
  "Redis frozen for 3.5 s": {
    store: "redis",
    strike: async ({ redis }) => {
      await redis.pause();
      await sleep(3_500);
      redis.resume();
    },
  },
  "one of two replicas killed": {
    store: "redis",
    replicas: 2,
    strike: async ({ replicas }) => void (await replicas[0].kill("SIGKILL")),
  },
  "one of two replicas, SIGTERM": {
    store: "redis",
    replicas: 2,
    strike: async ({ replicas }) => void (await replicas[0].kill("SIGTERM")),
  },
} as const satisfies Readonly<Record<string, Blip>>;

export type BlipName = keyof typeof BLIPS;

export const BLIP_NAMES = Object.keys(BLIPS) as readonly BlipName[];

/** What became of one task. */
export interface Outcome {
  readonly blip: BlipName;
  readonly client: FollowerName;
  readonly seed: number;
  /** Why the client did not get its result. Absent: it got it. */
  readonly lost?: string;
}

/** Beside the blip, so long until a task that no client has given up is taken for lost. */
const PATIENCE_MS = 120_000;
/** After the server has a call, so long until the blip: the client follows the task by then, on a machine that is not too busy. */
const FOLLOWED_MS = [1_000, 2_000] as const;

/** Has each client follow a task of its own through a blip, all at once. Rejects when a call ran twice, or never. */
export async function through(
  blip: BlipName,
  clients: readonly FollowerName[],
  seed: number,
): Promise<readonly Outcome[]> {
  const cleanUps: (() => Promise<unknown>)[] = [];
  try {
    const random = randomFrom(seed);
    const { witness, url, place } = await open(BLIPS[blip], (cleanUp) => void cleanUps.unshift(cleanUp));
    const followers: { readonly client: FollowerName; readonly follower: Follower }[] = [];
    // One after the other, because some start programs that have only so much time for it.
    for (const client of clients) {
      const follower = await FOLLOWERS[client](url);
      cleanUps.unshift(() => follower.close());
      followers.push({ client, follower });
    }
    const ended: Promise<Outcome>[] = [];
    const ids: string[] = [];
    for (const { client, follower } of followers) {
      const id = `${seed}-${ids.length}`;
      const outcome = lossOf(follower, id, random.apart()).then((lost) => ({
        blip,
        client,
        seed,
        ...(lost === undefined ? {} : { lost }),
      }));
      ids.push(id);
      ended.push(outcome);
      // One that starts a program takes its time. A client that fails before its call is there ends the waiting for it.
      await Promise.race([witness.until(id, ({ calls }) => calls > 0), outcome]);
    }
    await sleep(random.between(...FOLLOWED_MS));
    await BLIPS[blip].strike(place);
    const outcomes = await Promise.all(ended);
    for (const id of ids) {
      const calls = (await witness.seen(id))?.calls;
      if (calls !== 1)
        throw new Error(`${blip}, seed ${seed}: call ${id} reached the server ${calls ?? 0} times`);
    }
    return outcomes;
  } finally {
    for (const cleanUp of cleanUps) await cleanUp().catch(() => {});
  }
}

async function lossOf(follower: Follower, id: string, random: Random): Promise<string | undefined> {
  const size = random.between(10, 20_000);
  // Longer than it takes until the last client follows, and some longer than the blip lasts.
  const ms = random.between(10_000, 16_000);
  const late = new AbortController();
  try {
    const text = await Promise.race([
      follower.follow({ id, ms, size }),
      sleep(PATIENCE_MS, undefined, { signal: late.signal }).then(() => {
        throw new Error(`nothing within ${PATIENCE_MS / 1_000} s`);
      }),
    ]);
    return text === workOf(id, size) ? undefined : `another result: ${text.slice(0, 100)}`;
  } catch (error) {
    return error instanceof Error ? error.message : JSON.stringify(error);
  } finally {
    late.abort();
  }
}

async function open(
  { store, replicas: count = 1, gapMs = 0 }: Blip,
  atEnd: (cleanUp: () => Promise<unknown>) => void,
): Promise<{ readonly witness: Witness; readonly url: URL; readonly place: Place }> {
  const witness = await startWitness();
  atEnd(() => witness.stop());
  const redis = await startRedis({ port: await lastingPort() });
  atEnd(() => redis.stop());
  const replicas: Replica[] = [];
  for (let at = 0; at < count; at += 1) {
    const replica = await Replica.open({
      upstreams: witness.urls,
      store: store === "level" ? "level:" : { url: redis.url, lease: "5s" },
      tasks: { pollInterval: "500ms", maxPollInterval: "1s" },
      limits: {
        drainTimeout: DRAIN_TIMEOUT,
        ...(gapMs > 0 ? { restartGap: `${gapMs + STARTING_MS}ms` } : {}),
      },
    });
    atEnd(() => replica.close());
    replicas.push(replica);
  }
  const [first, ...others] = replicas as [Replica, ...Replica[]];
  const place: Place = { redis, replicas: [first, ...others] };
  // The one that keeps its events: a call can be picked up by whoever comes next.
  if (others.length === 0) return { witness, place, url: first.url("kept") };
  const balancer = await startBalancer(replicas.map(({ port }) => port));
  atEnd(() => balancer.close());
  return { witness, place, url: balancer.url(first.url("kept").pathname) };
}

function restarted(store: Blip["store"], gapMs: number): Blip {
  return {
    store,
    gapMs,
    strike: async ({ replicas: [gateway] }) => {
      await gateway.kill("SIGTERM");
      await sleep(gapMs);
      await gateway.start();
    },
  };
}

function away(ms: number): Blip {
  return {
    store: "redis",
    strike: async ({ redis }) => {
      await redis.kill();
      await sleep(ms);
      await redis.restart();
    },
  };
}
