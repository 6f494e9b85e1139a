/** A gateway that is killed with SIGKILL, at random moments and under load, and started again. */

import { expect } from "vitest";
import { Ledger, type Tool, type Work } from "./ledger.ts";
import { mixedWork, startLoad } from "./load.ts";
import { type Random, seeded } from "./seeded.ts";
import {
  ANSWERED_WITHIN_MS,
  contradictions,
  ENDED_WITHIN_MS,
  IS_FULL,
  type StageSettings,
  stage,
} from "./stage.ts";
import type { Kind } from "./witness.ts";

export interface Loop extends StageSettings {
  /** What is special about it. */
  readonly what: string;
  readonly kind: Kind;
  readonly speaks?: "2026-07-28" | "2025-11-25";
  readonly work?: (random: Random) => Work;
  /** The tool whose calls may be sent again when a gateway is killed; its tasks may not be lost, then. */
  readonly repeated?: Tool;
  /** How often a gateway is killed. */
  readonly rounds?: number;
}

const WIDTH = 8;
const ROUNDS = IS_FULL ? 20 : 3;

/** How long a loop may take: for `vitest`. */
export const patienceMs = (rounds = ROUNDS) => 240_000 + rounds * 20_000;

/** Whatever is killed when: no task is lost, no ending changes, no call is repeated that may not be, and everything ends. */
export async function crashAgainAndAgain(loop: Loop): Promise<void> {
  const {
    what,
    kind,
    speaks = "2026-07-28",
    work = mixedWork,
    repeated,
    rounds = ROUNDS,
    ...settings
  } = loop;
  const name = `crash loop: ${what}, ${settings.store}, events ${kind}`;
  const random = seeded(name);
  const { witness, replicas, speaking } = await stage(settings);
  const clients = await speaking(speaks, kind);
  const ledger = new Ledger({ deadlineMs: ANSWERED_WITHIN_MS });

  for (let round = 0; round < rounds; round += 1) {
    const load = startLoad({ ledger, clients, random, width: WIDTH, work, cancelled: 10 });
    await ledger.acknowledged(ledger.handles.length + random.between(WIDTH, 5 * WIDTH));
    // Anywhere between two of the steps that a call takes.
    await new Promise((resolve) => setTimeout(resolve, random.between(0, 30)));
    const victim = random.one(replicas);
    await victim.kill("SIGKILL");
    ledger.killed();
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
  expect(await contradictions(witness, ledger, repeated)).toEqual([]);
  expect(ledger.endings).toMatchObject({ completed: expect.any(Number) });
  expect(ledger.handles.filter(({ tool, status }) => tool === repeated && status === "failed")).toEqual([]);
  // Otherwise nobody noticed the kills.
  expect(ledger.retries.size).toBeGreaterThan(0);
}
