import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { ModernClient } from "../support/modern-client.ts";
import type { Handle, Ledger, Work } from "../survival/support/ledger.ts";
import type { Random } from "../survival/support/seeded.ts";

export interface TrafficOptions {
  readonly ledger: Ledger;
  /** For each server, clients of every replica. A task is asked for at any replica, but of its own server. */
  readonly servers: readonly [readonly ModernClient[], ...(readonly ModernClient[])[]];
  readonly random: Random;
  /** How many clients there are at a time, each with one task. */
  readonly width: number;
}

const POLL_EVERY_MS = 100;
const LISTEN_FOR_MS = 1_000;
/** A task of this traffic that has not ended by then never will. */
const STUCK_AFTER_MS = 120_000;

/** Clients that go on until they are stopped: each makes a task, follows it in one way or another, and forgets it. */
export function startTraffic({ ledger, servers, random, width }: TrafficOptions) {
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);

  async function callOn(choices: Random): Promise<void> {
    while (!stopping.signal.aborted) {
      const replicas = choices.one(servers) as readonly [ModernClient, ...ModernClient[]];
      const handle = await ledger.create(choices.one(replicas), workOf(choices));
      if (handle === undefined) {
        await sleep(POLL_EVERY_MS);
        continue;
      }
      const fate = choices.between(1, 100);
      if (fate <= 10) await ledger.cancel(choices.one(replicas), handle);
      else if (fate <= 20) await listen(choices.one(replicas), handle);
      await follow(handle, replicas, choices);
    }
  }

  async function follow(
    handle: Handle,
    replicas: readonly [ModernClient, ...ModernClient[]],
    choices: Random,
  ): Promise<void> {
    const deadline = performance.now() + STUCK_AFTER_MS;
    while (!(await ledger.tend(choices.one(replicas), handle))) {
      if (performance.now() > deadline) {
        ledger.problems.push(`${handle.id} was still ${handle.status} after ${STUCK_AFTER_MS} ms`);
        break;
      }
      await sleep(POLL_EVERY_MS);
    }
    // It has to be the same everywhere.
    await ledger.tend(choices.one(replicas), handle);
    ledger.forget(handle);
  }

  const calling = Promise.all(Array.from({ length: width }, () => callOn(random.apart())));
  return {
    /** No new tasks; settles when those that there are have ended. */
    stop: async () => {
      stopping.abort();
      await calling;
    },
  };
}

/** Listens to a task for a while, and leaves. What a restart cuts off is no harm: there is polling beside it. */
async function listen(client: ModernClient, { taskId }: Handle): Promise<void> {
  const leaving = AbortSignal.timeout(LISTEN_FOR_MS);
  const notifications = { taskIds: [taskId] };
  try {
    for await (const { params } of client.stream(
      "subscriptions/listen",
      { notifications },
      { signal: leaving },
    ))
      if (params?.status === "completed") return;
  } catch {
    // See above.
  }
}

function workOf(random: Random): Work {
  const tool = random.one<Work["tool"]>(["work", "work", "work", "read", "ask"]);
  return { tool, ms: random.between(0, 300), size: random.one([100, 1_000, 1_000, 5_000]), on: "call" };
}
