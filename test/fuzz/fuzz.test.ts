import { randomInt } from "node:crypto";
import { expect, test } from "vitest";
import { fuzz } from "./run.ts";

test("the gateway stays, whatever it is sent or answered", async () => {
  const seed = process.env.SEED === undefined ? randomInt(2 ** 31) : Number(process.env.SEED);
  // npm run fuzz -- --seed N repeats it, with more of both.
  const report = await fuzz({ seed, requests: 2_000, answers: 200, isBrief: true });
  expect(report.faults, `--seed ${seed}`).toEqual([]);
  expect(report.served).toBeGreaterThan(0);
  expect(report.requests).toBe(2_000);
  expect(report.answers).toBeGreaterThanOrEqual(200);
}, 900_000);
