/** What stands behind the proxies: a slow server, and gateways on a Redis of their own. */

import { type RedisServer, startRedis } from "../support/redis.ts";
import { lastingPort } from "../survival/support/ports.ts";
import { Replica } from "../survival/support/replica.ts";
import { startWitness, type Witness } from "../survival/support/witness.ts";

export interface Place {
  readonly witness: Witness;
  /** Alone, and there until the end. */
  readonly single: Replica;
  /** Share what they know; each may be stopped and started again. */
  readonly pair: readonly [Replica, Replica];
}

/** Shorter than the tasks that are followed: a gateway that stops leaves them to the other one. */
const DRAIN_TIMEOUT = "4s";
/** Longer than proxies take to look whether a gateway is ready. */
const SHUTDOWN_DELAY = "3s";

/** @param atEnd takes what ends it again, to be called in the opposite order */
export async function openPlace(atEnd: (end: () => Promise<unknown>) => void): Promise<Place> {
  const witness = await startWitness();
  atEnd(() => witness.stop());
  const redis = await startRedis({ port: await lastingPort() });
  atEnd(() => redis.stop());
  const opened = async (prefix: string) => {
    const replica = await openReplica(witness, redis, prefix);
    atEnd(() => replica.close());
    return replica;
  };
  return {
    witness,
    single: await opened("single:"),
    pair: [await opened("pair:"), await opened("pair:")],
  };
}

function openReplica(witness: Witness, redis: RedisServer, prefix: string): Promise<Replica> {
  return Replica.open({
    upstreams: witness.urls,
    store: { url: redis.url, lease: "5s", prefix },
    tasks: { pollInterval: "500ms", maxPollInterval: "1s" },
    limits: { shutdownDelay: SHUTDOWN_DELAY, drainTimeout: DRAIN_TIMEOUT },
  });
}
