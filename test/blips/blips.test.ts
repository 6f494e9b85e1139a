import { randomInt } from "node:crypto";
import { expect, test } from "vitest";
import { withoutRedis } from "../support/redis-tests.ts";
import type { FollowerName } from "./followers.ts";
import { type BlipName, through } from "./matrix.ts";

const CLIENTS: readonly FollowerName[] = ["ext-tasks 0.2.2, 2026-07-28", "ext-tasks 0.2.2, 2025-11-25"];
const BLIPS: readonly BlipName[] = [
  "level:, SIGTERM, started after 2 s",
  "Redis stopped for 1 s",
  "one of two replicas, SIGTERM",
];

// npm run blips has all clients and blips, and as many seeds as one likes.
test.skipIf(withoutRedis("stock clients through blips")).for(BLIPS)(
  "stock clients that follow a task get its result: %s",
  async (blip) => {
    const seed = process.env.SEED === undefined ? randomInt(1, 2 ** 31) : Number(process.env.SEED);
    const outcomes = await through(blip, CLIENTS, seed);
    expect(outcomes).toEqual(CLIENTS.map((client) => ({ blip, client, seed })));
  },
);
