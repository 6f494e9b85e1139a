import { expect, onTestFinished, test } from "vitest";
import { withoutRedis } from "../support/redis-tests.ts";
import { startBalancer } from "./support/balancer.ts";
import { clientOf } from "./support/clients.ts";
import { Ledger } from "./support/ledger.ts";
import { mixedWork, startLoad } from "./support/load.ts";
import { seeded } from "./support/seeded.ts";
import { ANSWERED_WITHIN_MS, contradictions, ENDED_WITHIN_MS, IS_FULL, stage } from "./support/stage.ts";

const ROUNDS = IS_FULL ? 5 : 1;
const WIDTH = 8;
/** Longer than a gateway that stops waits for its calls: such a call is handed over. */
const LONG_MS = 3_000;

test.skipIf(withoutRedis("the rolling restart"))(
  "three gateways behind a balancer are restarted one by one: clients see nothing but what they may try again, and no task is lost",
  { timeout: ROUNDS * 240_000 },
  async () => {
    const random = seeded("rolling restart");
    const { witness, replicas, clients } = await stage({
      store: "redis",
      replicas: 3,
      limits: { drainTimeout: "1s" },
    });
    const balancer = await startBalancer(replicas.map(({ port }) => port));
    onTestFinished(() => balancer.close());
    const client = clientOf(balancer.url("/kept/mcp"));
    const ledger = new Ledger({ deadlineMs: ANSWERED_WITHIN_MS });
    const load = startLoad({
      ledger,
      clients: [client],
      random,
      width: WIDTH,
      work: (choices) =>
        choices.between(1, 10) === 1 ? { tool: "work", ms: LONG_MS, size: 1_000 } : mixedWork(choices),
      cancelled: 5,
    });

    const exits: unknown[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const replica of replicas) {
        await ledger.acknowledged(ledger.handles.length + 2 * WIDTH);
        exits.push(await replica.kill("SIGTERM"));
        await replica.start();
      }
    }
    await ledger.acknowledged(ledger.handles.length + WIDTH);
    await load.stop();
    await ledger.settle([client], LONG_MS + ENDED_WITHIN_MS);
    await ledger.lookAgain(clients("kept"));

    const { shares, untaken, cuts } = balancer;
    console.log(`rolling restart: ${ledger}, shares ${shares}, untaken ${untaken}`);
    expect(exits).toEqual(exits.map(() => ({ code: 0, signal: null })));
    expect(ledger.problems).toEqual([]);
    // Neither failed nor open.
    expect(Object.keys(ledger.endings).sort()).toEqual(["cancelled", "completed"]);
    expect(await contradictions(witness, ledger)).toEqual([]);
    // A gateway that stops in order breaks no connection that it has taken. The system may break one that comes in the very moment
    // in which the listener closes.
    expect(cuts).toEqual([]);
    const lost = [...ledger.retries].filter(([why]) => !/try again/.test(why));
    expect(lost.reduce((sum, [, count]) => sum + count, 0)).toBe(untaken);
    expect(untaken).toBeLessThanOrEqual(exits.length);
    for (const share of shares) expect(share).toBeGreaterThan(0);
  },
);
