/** A Redis Cluster for tests. */

import type { RedisServer } from "./redis.ts";
import { joinNodes, nodeSettings } from "./redis-nodes.ts";
import { redisForTest } from "./redis-tests.ts";

export { clusterUrl, SLOTS } from "./redis-nodes.ts";

const NODES = 3;

/** Three nodes that share the slots and wait for no replica; they stop when the test ends. */
export async function redisCluster(): Promise<RedisServer[]> {
  const nodes = await Promise.all(
    Array.from({ length: NODES }, async () => redisForTest({ settings: await nodeSettings() })),
  );
  await joinNodes(nodes as [RedisServer, ...RedisServer[]]);
  return nodes;
}
