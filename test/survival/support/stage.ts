/** What every story of survival begins with. */

import { onTestFailed, onTestFinished } from "vitest";
import type { ModernClient } from "../../support/modern-client.ts";
import type { RedisServer } from "../../support/redis.ts";
import { clusterUrl, redisCluster } from "../../support/redis-cluster.ts";
import { redisForTest } from "../../support/redis-tests.ts";
import { clientOf, type TaskClient } from "./clients.ts";
import type { Ledger, Tool } from "./ledger.ts";
import { LegacyTaskClient } from "./legacy-client.ts";
import { lastingPort } from "./ports.ts";
import { Replica, type ReplicaSettings } from "./replica.ts";
import { KINDS, type Kind, startWitness, type Witness } from "./witness.ts";

export type Clients = readonly [ModernClient, ...ModernClient[]];

export interface Stage {
  readonly witness: Witness;
  readonly replicas: readonly [Replica, ...Replica[]];
  /** The Redis that the replicas share. */
  readonly redis: RedisServer | undefined;
  /** Clients of one of the servers, one for each replica, in their order. */
  clients(kind: Kind): Clients;
  /** The same for gateways on standard input and output, and in sessions of clients of 2025-11-25. */
  speaking(how: "2026-07-28" | "2025-11-25", kind: Kind): Promise<readonly [TaskClient, ...TaskClient[]]>;
}

export interface StageSettings
  extends Pick<ReplicaSettings, "tasks" | "limits" | "encryptionKeys" | "front"> {
  readonly store: "level" | "redis" | "cluster";
  /** How many; 1 unless given. */
  readonly replicas?: number;
  /** `store.lease`, in milliseconds, where replicas share a store; `LEASE_MS` unless given. */
  readonly leaseMs?: number;
  /** One that is there already, and is not stopped at the end. */
  readonly witness?: Witness;
  /** Where to register the clean-up: the running test unless given; a suite collects it for `afterAll`. */
  readonly atEnd?: AtEnd;
}

export type AtEnd = (cleanUp: () => Promise<void>) => void;

/** How long a gateway that died may be taken to be alive. */
export const LEASE_MS = 3_000;
/** After the lease, so long until every task has an ending; on a quiet machine it takes less than a second. */
export const ENDED_WITHIN_MS = LEASE_MS + 60_000;
/** How long a gateway waits for the store before it says that it is away. */
const STORE_TIMEOUT_MS = 2_000;
/** Any request is answered within it, whatever is the matter with the store: generous, because the machine is shared. */
export const ANSWERED_WITHIN_MS = STORE_TIMEOUT_MS + 60_000;

/** As much of what a gateway had to say as is worth showing when a test fails. */
const MAX_SAID = 4_000;

/** Whether the numbers are to be those of the long runs (`SURVIVAL=full`), not those of CI. */
export const IS_FULL = process.env.SURVIVAL === "full";

/** A witness, and gateways in front of it. All of it is gone at the end. */
export async function stage({
  store,
  replicas: count = 1,
  leaseMs = LEASE_MS,
  witness: present,
  atEnd = onTestFinished,
  ...settings
}: StageSettings): Promise<Stage> {
  const [witness, redis, cluster] = await Promise.all([
    present ?? startWitness(),
    store === "redis" ? redisForTest({ atEnd, port: await lastingPort() }) : undefined,
    store === "cluster" ? redisCluster() : undefined,
  ]);
  if (present === undefined) atEnd(() => witness.stop());
  const url = cluster === undefined ? redis?.url : clusterUrl(cluster);
  const shared = { url: url ?? "", lease: `${leaseMs}ms`, timeout: `${STORE_TIMEOUT_MS}ms` };
  const open = async () => {
    const where = url === undefined ? "level:" : shared;
    const replica = await Replica.open({ upstreams: witness.urls, store: where, ...settings });
    atEnd(() => replica.close());
    return replica;
  };
  const replicas = (await Promise.all(Array.from({ length: count }, open))) as [Replica, ...Replica[]];
  // A suite that shares a stage has nobody to ask.
  if (atEnd === onTestFinished) onTestFailed(() => replicas.forEach(sayWhy));
  const clients = Object.fromEntries(
    KINDS.map((kind) => [kind, replicas.map((replica) => clientOf(replica.url(kind)))]),
  );
  return {
    witness,
    replicas,
    redis,
    clients: (kind) => clients[kind] as unknown as Clients,
    speaking: async (how, kind) => {
      const connect = (replica: Replica, at: number) => {
        if (replica.stdio !== undefined) return replica.stdio;
        return how === "2025-11-25" ? LegacyTaskClient.connect(replica.url(kind)) : clients[kind]?.[at];
      };
      return (await Promise.all(replicas.map(connect))) as unknown as readonly [TaskClient, ...TaskClient[]];
    },
  };
}

function sayWhy({ port, stderr }: Replica): void {
  console.log(`the gateway on port ${port} said:\n${stderr.slice(-MAX_SAID)}`);
}

/** What the witness saw of the calls in a ledger that cannot be right, a line each. Calls of `repeated` may run once more for each kill. */
export async function contradictions(witness: Witness, ledger: Ledger, repeated?: Tool): Promise<string[]> {
  const seen = await witness.all();
  const most = (id: string) => (repeated && id.startsWith(repeated) ? 1 + ledger.killsDuring(id) : 1);
  const tooOften = Object.entries(seen).filter(([id, { calls, answers }]) => calls > most(id) || answers > 1);
  const unmade = ledger.handles.filter(({ status, id }) => status === "completed" && !seen[id]?.returned);
  return [
    ...tooOften.map(
      ([id, { calls, answers }]) => `${id} ran ${calls} times, and was answered ${answers} times`,
    ),
    ...unmade.map(({ id }) => `${id} has a result that the server never gave`),
  ];
}
