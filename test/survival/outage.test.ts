import { expect, test } from "vitest";
import type { RedisServer } from "../support/redis.ts";
import { withoutRedis } from "../support/redis-tests.ts";
import { Ledger } from "./support/ledger.ts";
import { startLoad } from "./support/load.ts";
import { seeded } from "./support/seeded.ts";
import {
  ANSWERED_WITHIN_MS,
  contradictions,
  ENDED_WITHIN_MS,
  IS_FULL,
  LEASE_MS,
  stage,
} from "./support/stage.ts";

/** Longer than the lease: nobody may be taken for dead because nobody was heard. */
const AWAY_MS = IS_FULL ? [5_000, 60_000] : [LEASE_MS + 2_000];
const CALLS = 30;
const UNSENT = 10;

interface Outage {
  readonly what: string;
  readonly begin: (redis: RedisServer) => Promise<void>;
  readonly end: (redis: RedisServer) => Promise<void>;
}

const OUTAGES: readonly Outage[] = [
  { what: "killed", begin: (redis) => redis.kill(), end: (redis) => redis.restart() },
  { what: "hung", begin: (redis) => redis.pause(), end: async (redis) => redis.resume() },
];

const cases = OUTAGES.flatMap((outage) => AWAY_MS.map((awayMs) => ({ ...outage, awayMs })));

test.skipIf(withoutRedis("the outage of Redis")).for(cases)(
  `${CALLS} calls are in flight when Redis goes ($what, $awayMs ms): every result arrives, and nobody is refused anything`,
  { timeout: 240_000 },
  async ({ what, awayMs, begin, end }) => {
    const random = seeded(`outage, Redis ${what} for ${awayMs} ms`);
    const limits = { maxWait: "2m" };
    const { witness, redis, ...begun } = await stage({ store: "redis", replicas: 2, limits });
    const clients = begun.clients("unkept");
    const ledger = new Ledger({ deadlineMs: awayMs + ANSWERED_WITHIN_MS });
    const create = (count: number) =>
      Promise.all(
        Array.from({ length: count }, (_, call) =>
          ledger.create(clients[call % 2] ?? clients[0], {
            tool: "work",
            // Some end before it is back and some after.
            ms: random.between(500, awayMs + LEASE_MS),
            size: random.one([100, 10_000]),
          }),
        ),
      );
    const sent = await create(CALLS - UNSENT);
    for (const handle of sent) await witness.until(handle?.id ?? "", ({ calls }) => calls === 1);
    // These may be anywhere on their way to the server.
    await create(UNSENT);
    expect(ledger.handles).toHaveLength(CALLS);
    const polling = startPolling(ledger, clients);

    await begin(redis as RedisServer);
    // Whoever wants a new task meanwhile waits for it.
    const before = ledger.handles.length;
    const load = startLoad({
      ledger,
      clients,
      random,
      width: 4,
      work: () => ({ tool: "work", ms: 100, size: 100 }),
    });
    await new Promise((resolve) => setTimeout(resolve, awayMs));
    expect(ledger.handles).toHaveLength(before);
    await end(redis as RedisServer);
    await ledger.acknowledged(before + 4);
    await load.stop();
    await polling.stop();
    await ledger.settle(clients, ENDED_WITHIN_MS + 2 * LEASE_MS);
    await ledger.lookAgain(clients);

    console.log(`outage, Redis ${what} for ${awayMs} ms: ${ledger}`);
    expect(ledger.problems).toEqual([]);
    expect(ledger.handles.filter(({ status }) => status !== "completed")).toEqual([]);
    expect(await contradictions(witness, ledger)).toEqual([]);
    expect(ledger.retries).toEqual(new Map());
  },
);

/** Asks for every task in turn, at every replica, until it is stopped. */
function startPolling(ledger: Ledger, clients: readonly Parameters<Ledger["tend"]>[0][]) {
  let isStopped = false;
  const poll = async () => {
    while (!isStopped) {
      await ledger.lookAgain(clients);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const polling = poll();
  return {
    stop: async () => {
      isStopped = true;
      await polling;
    },
  };
}
