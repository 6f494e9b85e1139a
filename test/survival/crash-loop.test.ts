import { expect, test } from "vitest";
import { withoutRedis } from "../support/redis-tests.ts";
import { Ledger } from "./support/ledger.ts";
import { mixedWork, startLoad } from "./support/load.ts";
import { seeded } from "./support/seeded.ts";
import {
  ANSWERED_WITHIN_MS,
  contradictions,
  ENDED_WITHIN_MS,
  IS_FULL,
  type StageSettings,
  stage,
} from "./support/stage.ts";
import type { Kind } from "./support/witness.ts";

const ROUNDS = IS_FULL ? 20 : 3;
const PATIENCE_MS = 30_000 + ROUNDS * 20_000;
const WIDTH = 8;

const KINDS: readonly Kind[] = ["kept", "unkept"];

test.for(IS_FULL ? KINDS : ["unkept" as const])(
  "a gateway on a directory that is killed again and again loses no task, changes no ending and repeats no call (events %s)",
  { timeout: PATIENCE_MS },
  (kind) => crashAgainAndAgain(kind, { store: "level" }),
);

test.skipIf(withoutRedis("the crash loop over Redis")).for(IS_FULL ? KINDS : ["kept" as const])(
  "of two gateways on a Redis one is killed again and again: no task is lost, no ending changes and no call is repeated (events %s)",
  { timeout: PATIENCE_MS },
  (kind) => crashAgainAndAgain(kind, { store: "redis", replicas: 2 }),
);

async function crashAgainAndAgain(kind: Kind, settings: StageSettings): Promise<void> {
  const name = `crash loop over ${settings.store}, events ${kind}`;
  const random = seeded(name);
  const { witness, replicas, ...begun } = await stage(settings);
  const clients = begun.clients(kind);
  const ledger = new Ledger({ deadlineMs: ANSWERED_WITHIN_MS });

  for (let round = 0; round < ROUNDS; round += 1) {
    const load = startLoad({ ledger, clients, random, width: WIDTH, work: mixedWork, cancelled: 10 });
    await ledger.acknowledged(ledger.handles.length + random.between(WIDTH, 5 * WIDTH));
    // Anywhere between two of the steps that a call takes.
    await new Promise((resolve) => setTimeout(resolve, random.between(0, 30)));
    const victim = random.one(replicas);
    await victim.kill("SIGKILL");
    // The load goes on at the other one, where there is one.
    const before = [...ledger.handles];
    const starting = victim.start();
    // The time counts from the kill, unless nobody is there to end anything.
    if (replicas.length === 1) await starting;
    await Promise.all([starting, ledger.settle(clients, ENDED_WITHIN_MS, before)]);
    await load.stop();
  }
  await ledger.settle(clients, ENDED_WITHIN_MS);
  await ledger.lookAgain(clients);

  console.log(`${name}: ${ledger}`);
  expect(ledger.problems).toEqual([]);
  expect(await contradictions(witness, ledger)).toEqual([]);
  expect(ledger.endings).toMatchObject({ completed: expect.any(Number) });
  // Otherwise nobody noticed the kills.
  expect(ledger.retries.size).toBeGreaterThan(0);
}
