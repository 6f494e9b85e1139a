import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { TaskClient } from "./clients.ts";
import type { Ledger, Work } from "./ledger.ts";
import type { Random } from "./seeded.ts";

export interface LoadOptions {
  readonly ledger: Ledger;
  /** Each request goes to one of them. */
  readonly clients: readonly [TaskClient, ...TaskClient[]];
  readonly random: Random;
  /** How many clients there are at a time, each with one task. */
  readonly width: number;
  readonly work: (random: Random) => Work;
  /** How many of a hundred tasks are cancelled; 0 unless given. */
  readonly cancelled?: number;
}

export interface Load {
  /** No new tasks; settles when nobody waits for an answer any more. Tasks may be left unfinished. */
  stop(): Promise<void>;
}

const POLL_EVERY_MS = 100;

/** Clients that make a task, tend it to its end, and make the next. */
export function startLoad({ ledger, clients, random, width, work, cancelled = 0 }: LoadOptions): Load {
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  const pause = () => sleep(POLL_EVERY_MS, undefined, { signal: stopping.signal }).catch(() => {});

  async function callOn(choices: Random): Promise<void> {
    while (!stopping.signal.aborted) {
      const handle = await ledger.create(choices.one(clients), work(choices));
      if (handle === undefined) {
        await pause();
        continue;
      }
      if (choices.between(1, 100) <= cancelled) {
        await pause();
        await ledger.cancel(choices.one(clients), handle);
      }
      while (!stopping.signal.aborted && !(await ledger.tend(choices.one(clients), handle))) await pause();
    }
  }

  const calling = Promise.all(Array.from({ length: width }, () => callOn(random.apart())));
  return {
    stop: async () => {
      stopping.abort();
      await calling;
    },
  };
}

/**
 * Short calls of all kinds: some ask a question, and some results are large. They ask on their own stream, of which every event can be had
 * later: nobody ever hears what is asked on the session's stream while no gateway listens.
 */
export function mixedWork(random: Random): Work {
  const tool = random.one<Work["tool"]>(["work", "work", "work", "read", "ask"]);
  return { tool, ms: random.between(0, 300), size: random.one([100, 1_000, 1_000, 50_000]), on: "call" };
}
