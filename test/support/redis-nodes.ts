/** The nodes of a Redis Cluster. Works without a test runner. */

import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../demo/programs.ts";
import type { RedisServer } from "./redis.ts";

/** Of every cluster. */
export const SLOTS = 16_384;

const PATIENCE_MS = 60_000;
const LOOK_EVERY_MS = 50;

/** Settings of one node that waits for no replica. */
export async function nodeSettings(): Promise<Readonly<Record<string, string>>> {
  return {
    "cluster-enabled": "yes",
    "cluster-port": String(await freePort()),
    "cluster-node-timeout": "1000",
    "cluster-require-full-coverage": "no",
    appendfsync: "everysec",
  };
}

/** Makes a cluster of nodes that were started with `nodeSettings`, and shares the slots out. Settles when each node says that it is well. */
export async function joinNodes(nodes: readonly [RedisServer, ...RedisServer[]]): Promise<void> {
  for (const [n, node] of nodes.entries()) {
    const [from, to] = [n, n + 1].map((edge) => Math.floor((edge * SLOTS) / nodes.length));
    await node.command("CLUSTER", "ADDSLOTSRANGE", String(from), String((to as number) - 1));
    await node.command("CLUSTER", "SET-CONFIG-EPOCH", String(n + 1));
  }
  const [first, ...others] = nodes;
  for (const node of others) {
    const busPort = String(await node.command("CONFIG", "GET", "cluster-port")).split(",")[1] as string;
    await first.command("CLUSTER", "MEET", "127.0.0.1", String(node.port), busPort);
  }
  for (const node of nodes) await untilWell(node);
}

/** As the setting `store.url` has it. */
export function clusterUrl(nodes: readonly RedisServer[]): string {
  return `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(",")}`;
}

async function untilWell(node: RedisServer): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const info = String(await node.command("CLUSTER", "INFO"));
    if (/cluster_state:ok[\s\S]*cluster_slots_ok:16384/.test(info)) return;
    if (performance.now() > deadline)
      throw new Error(`the cluster was not well after ${PATIENCE_MS / 1_000} s:\n${info}`);
    await sleep(LOOK_EVERY_MS);
  }
}
