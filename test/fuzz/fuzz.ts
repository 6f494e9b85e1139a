/**
 * Requests and answers with something wrong with them, against the built gateway: it has to stay, to answer everything within
 * bounds and in JSON-RPC where that is due, to be busy with no message for more than 50 ms, to hold no more and more, and to serve a
 * client that does nothing wrong all the time. What is found is kept in `found/`, and comes first the next time.
 * Exits with 1 when it did not.
 *
 *   npm run fuzz -- [--seed N] [--requests 20000] [--answers 20000]
 *   npm run fuzz -- --seed N --only 1234 [--odd]     one case again: its request, and what came back
 */

import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { fuzz } from "./run.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    requests: { type: "string", default: "20000" },
    answers: { type: "string", default: "20000" },
    only: { type: "string" },
    odd: { type: "boolean", default: false },
  },
});
const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed);
const [requests, answers] = [Number(values.requests), Number(values.answers)];
if (![seed, requests, answers].every((number) => Number.isInteger(number) && number >= 0))
  throw new Error("--seed, --requests and --answers have to be numbers");

process.once("SIGINT", () => process.exit(130)).once("SIGTERM", () => process.exit(143));

const startedAt = performance.now();
console.log(`fuzz: --seed ${seed}`);
const only = values.only === undefined ? undefined : { n: Number(values.only), isToOdd: values.odd };
const report = await fuzz({
  seed,
  requests,
  answers,
  say: console.log,
  ...(only === undefined ? {} : { only }),
});
const seconds = Math.round((performance.now() - startedAt) / 1_000);
for (const { what, from, to } of report.growth)
  console.log(`GREW ${what}: ${Math.round(from)} → ${Math.round(to)}`);
const statuses = Object.entries(report.statuses).map(([status, count]) => `${status}: ${count}`);
console.log(
  `${report.requests} requests, ${report.answers} answers in ${seconds} s; the honest client was served ${report.served} times`,
);
console.log(`statuses: ${statuses.join(", ")}`);
console.log(
  `${report.faults.length} faults; ${report.growth.length === 0 ? "memory flat" : "MEMORY NOT FLAT"}`,
);
process.exit(report.faults.length === 0 && report.growth.length === 0 ? 0 : 1);
