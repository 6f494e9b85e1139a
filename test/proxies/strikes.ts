/** What becomes of tasks and calls behind proxies when one of two gateways stops, or is killed. */

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { FOLLOWERS, type Follower, type FollowerName } from "../blips/followers.ts";
import { ModernClient } from "../support/modern-client.ts";
import type { Witness } from "../survival/support/witness.ts";
import { workOf } from "../survival/support/work.ts";
import type { Place } from "./place.ts";

export interface Strike {
  readonly name: string;
  /** How long the tasks take that are followed meanwhile. */
  readonly taskMs: number;
  readonly on: (pair: Place["pair"]) => Promise<void>;
}

/** A proxy before both gateways. */
export interface Struck {
  readonly name: string;
  readonly origin: URL;
  /** Whether clients that are programs follow tasks behind it, too. */
  readonly hasPrograms: boolean;
}

/** What became of what was under way behind one proxy. */
export interface Damage {
  /** Stock clients that followed a task, and those among them that did not get its result, each with the reason. */
  readonly followed: number;
  readonly lost: readonly string[];
  /** Calls that somebody waited for: with a result, refused by a gateway that stops, and those that were answered in no such way. */
  readonly answered: number;
  readonly refused: number;
  readonly broken: readonly string[];
  /** Calls that reached the server more often than once. */
  readonly ranTwice: number;
}

/** As long as a supervisor takes to start one again. */
const GAP_MS = 1_000;
/** Until every proxy has seen that a gateway is there again. */
const SEEN_MS = 6_000;
/** Until the gateway has heard of each call what it takes to pick it up. */
const SETTLED_MS = 3_000;

export const STRIKES: readonly Strike[] = [
  {
    name: "rolling restart of two gateways",
    taskMs: 45_000,
    on: async (pair) => {
      for (const gateway of pair) {
        await gateway.kill("SIGTERM");
        await sleep(GAP_MS);
        await gateway.start();
        await sleep(SEEN_MS);
      }
    },
  },
  {
    name: "SIGKILL of one of two gateways",
    taskMs: 25_000,
    on: async ([gateway]) => {
      await gateway.kill("SIGKILL");
      await sleep(GAP_MS);
      await gateway.start();
      await sleep(SEEN_MS);
    },
  },
];

/** They need no program of their own. */
const CLIENTS: readonly FollowerName[] = [
  "ext-tasks 0.2.2, 2026-07-28",
  "ext-tasks 0.2.2, 2025-11-25",
  "sdk 1.32.2 callToolStream",
];
/** Behind some proxies only, because each takes a processor for a while. */
const PROGRAMS: readonly FollowerName[] = ["inspector 2.12.0", "mcp-remote 0.15.1, sdk 1.32.2"];
const PATIENCE_MS = 180_000;
const SIZE = 1_000;
const QUICK = { ms: 20, everyMs: 250 };
/** Calls of this length, shorter than a gateway waits for them, are under way when it goes. */
const SLOW = { ms: 2_000, everyMs: 1_000 };

/** Has clients follow tasks and wait for calls behind each of the proxies, by name, and strikes the gateways behind them all. */
export async function through(
  strike: Strike,
  { witness, pair }: Place,
  proxies: readonly Struck[],
): Promise<ReadonlyMap<string, Damage>> {
  const crowds = await Promise.all(
    proxies.map(async (proxy) => ({
      name: proxy.name,
      crowd: await Crowd.gather(proxy, witness, strike.taskMs),
    })),
  );
  try {
    await sleep(SETTLED_MS);
    await strike.on(pair);
    return new Map(
      await Promise.all(crowds.map(async ({ name, crowd }) => [name, await crowd.damage()] as const)),
    );
  } finally {
    await Promise.all(crowds.map(({ crowd }) => crowd.leave()));
  }
}

/** Those who use one proxy. */
class Crowd {
  readonly #url: URL;
  readonly #witness: Witness;
  readonly #ids: string[] = [];
  readonly #followers: Follower[] = [];
  readonly #lost: string[] = [];
  readonly #broken: string[] = [];
  readonly #followed: Promise<void>[] = [];
  readonly #waiting: Promise<void>[] = [];
  readonly #enough = new AbortController();
  #answered = 0;
  #refused = 0;

  /** Settles when all tasks are followed, and calls go on. */
  static async gather({ origin, hasPrograms }: Struck, witness: Witness, taskMs: number): Promise<Crowd> {
    const crowd = new Crowd(origin, witness);
    const clients = hasPrograms ? [...PROGRAMS, ...CLIENTS] : CLIENTS;
    await Promise.all(clients.map((name) => crowd.#follow(name, taskMs)));
    for (const { ms, everyMs } of [QUICK, SLOW]) crowd.#waiting.push(crowd.#call(ms, everyMs));
    return crowd;
  }

  private constructor(origin: URL, witness: Witness) {
    this.#url = new URL("/kept/mcp", origin);
    this.#witness = witness;
  }

  /** Waits for the ends of all tasks and calls. */
  async damage(): Promise<Damage> {
    this.#enough.abort();
    await Promise.all([...this.#waiting, ...this.#followed]);
    const seen = await this.#witness.all();
    return {
      followed: this.#followed.length,
      lost: this.#lost,
      answered: this.#answered,
      refused: this.#refused,
      broken: this.#broken,
      ranTwice: this.#ids.filter((id) => (seen[id]?.calls ?? 0) > 1).length,
    };
  }

  async leave(): Promise<void> {
    this.#enough.abort();
    await Promise.all(this.#followers.map((follower) => follower.close().catch(() => undefined)));
  }

  async #follow(name: FollowerName, taskMs: number): Promise<void> {
    const follower = await FOLLOWERS[name](this.#url);
    this.#followers.push(follower);
    const id = this.#newId();
    const late = new AbortController();
    const followed = Promise.race([
      follower.follow({ id, ms: taskMs, size: SIZE }),
      sleep(PATIENCE_MS, undefined, { signal: late.signal }).then(() => "nothing in time"),
    ])
      .then(
        (text) => {
          if (text !== workOf(id, SIZE)) this.#lost.push(`${name}: ${text.slice(0, 100)}`);
        },
        (error: unknown) => void this.#lost.push(`${name}: ${reasonOf(error)}`),
      )
      .finally(() => late.abort());
    this.#followed.push(followed);
    const isThere = this.#witness.until(id, ({ calls }) => calls > 0);
    // What became of one that does not come in time is told with the others.
    await Promise.race([isThere.catch(() => undefined), followed]);
  }

  /** Sends calls and waits for each, as clients do that know no tasks. */
  async #call(ms: number, everyMs: number): Promise<void> {
    const client = new ModernClient(this.#url, { capabilities: {} });
    const { signal } = this.#enough;
    const calls: Promise<void>[] = [];
    while (!signal.aborted) {
      calls.push(this.#callOnce(client, ms));
      await sleep(everyMs, undefined, { signal }).catch(() => undefined);
    }
    await Promise.all(calls);
  }

  async #callOnce(client: ModernClient, ms: number): Promise<void> {
    const id = this.#newId();
    try {
      const { status, message, text } = await client.send("tools/call", {
        name: "work",
        arguments: { id, ms, size: SIZE },
      });
      if (message?.result?.content?.[0]?.text === workOf(id, SIZE)) this.#answered += 1;
      else if (status === 503 && message?.error?.data?.retryable === true) this.#refused += 1;
      else this.#broken.push(`HTTP ${status}: ${text.slice(0, 80)}`);
    } catch (error) {
      this.#broken.push(reasonOf(error));
    }
  }

  #newId(): string {
    const id = randomUUID();
    this.#ids.push(id);
    return id;
  }
}

/** What failed first, in a line. */
export function reasonOf(error: unknown): string {
  const { cause, message } = error instanceof Error ? error : { cause: undefined, message: String(error) };
  const own = message.replace(/\s+/g, " ").slice(0, 200);
  return cause === undefined ? own : `${own} (${reasonOf(cause)})`;
}
