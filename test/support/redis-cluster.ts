/** A Redis Cluster for tests. */

import { expect } from "vitest";
import { freePort } from "../demo/programs.ts";
import type { RedisServer } from "./redis.ts";
import { redisForTest } from "./redis-tests.ts";

/** Of every cluster. */
export const SLOTS = 16_384;

/** Three nodes that share the slots and wait for no replica; they stop when the test ends. */
export async function redisCluster(): Promise<RedisServer[]> {
  const nodes = await Promise.all(
    Array.from({ length: 3 }, async () =>
      redisForTest({
        settings: {
          "cluster-enabled": "yes",
          "cluster-port": String(await freePort()),
          "cluster-node-timeout": "1000",
          "cluster-require-full-coverage": "no",
          appendfsync: "everysec",
        },
      }),
    ),
  );
  const [first] = nodes as [RedisServer];
  for (const [n, node] of nodes.entries()) {
    const [from, to] = [n, n + 1].map((edge) => Math.floor((edge * SLOTS) / nodes.length));
    await node.command("CLUSTER", "ADDSLOTSRANGE", String(from), String((to as number) - 1));
    await node.command("CLUSTER", "SET-CONFIG-EPOCH", String(n + 1));
  }
  for (const node of nodes.slice(1)) {
    const busPort = String(await node.command("CONFIG", "GET", "cluster-port")).split(",")[1] as string;
    await first.command("CLUSTER", "MEET", "127.0.0.1", String(node.port), busPort);
  }
  for (const node of nodes) {
    const info = () => node.command("CLUSTER", "INFO");
    await expect.poll(info, { timeout: 60_000 }).toMatch(/cluster_state:ok[\s\S]*cluster_slots_ok:16384/);
  }
  return nodes;
}

/** As the setting `store.url` has it. */
export function clusterUrl(nodes: readonly RedisServer[]): string {
  return `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(",")}`;
}
