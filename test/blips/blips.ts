/**
 * Stock clients that follow tasks, while a gateway is restarted, a replica is killed, or Redis is stopped or frozen for a moment. Prints
 * how many tasks each client kept through each blip, and why it lost the others; a line for each blip and seed goes to standard
 * error meanwhile. Exits with 1 when one was lost.
 *
 *   npm run blips -- [--seeds 3] [--first 1] [--clients inspector,sdk] [--blips frozen,killed]
 *
 * Clients and blips are chosen by a part of their names, as the table has them.
 */

import { parseArgs } from "node:util";
import { installFolder } from "../peers/npm-ci.ts";
import { FOLLOWER_NAMES } from "./followers.ts";
import { BLIP_NAMES, type Outcome, through } from "./matrix.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "3" },
    first: { type: "string", default: "1" },
    clients: { type: "string", default: "" },
    blips: { type: "string", default: "" },
  },
});
if (!installFolder(import.meta.dirname)) process.exit(1);
const seeds = positive("seeds", values.seeds);
const first = positive("first", values.first);
const clients = chosen("clients", FOLLOWER_NAMES, values.clients);
const blips = chosen("blips", BLIP_NAMES, values.blips);

const outcomes: Outcome[] = [];
const faults: string[] = [];
for (const blip of blips) {
  for (let seed = first; seed < first + seeds; seed += 1) {
    try {
      const these = await through(blip, clients, seed);
      outcomes.push(...these);
      const kept = these.filter(({ lost }) => lost === undefined).length;
      console.error(`${blip}, seed ${seed}: ${kept} of ${these.length} kept`);
    } catch (error) {
      faults.push(`${blip}, seed ${seed}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

console.log(["kept/all", ...clients].join(" | "));
for (const blip of blips) {
  const counts = clients.map((client) => {
    const all = outcomes.filter((outcome) => outcome.blip === blip && outcome.client === client);
    return `${all.filter(({ lost }) => lost === undefined).length}/${all.length}`;
  });
  console.log([blip, ...counts].join(" | "));
}
const lost = outcomes.filter((outcome) => outcome.lost !== undefined);
for (const outcome of lost)
  console.log(`LOST ${outcome.client} | ${outcome.blip} | seed ${outcome.seed}: ${outcome.lost}`);
for (const fault of faults) console.log(`FAULT ${fault}`);
process.exit(lost.length + faults.length === 0 ? 0 : 1);

function positive(name: string, value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 1)
    throw new Error(`--${name}: expected a positive integer, got ${JSON.stringify(value)}`);
  return number;
}

function chosen<N extends string>(name: string, all: readonly N[], parts: string): readonly N[] {
  if (parts === "") return all;
  return parts.split(",").flatMap((part) => {
    const found = all.filter((each) => each.toLowerCase().includes(part.trim().toLowerCase()));
    if (found.length === 0)
      throw new Error(`--${name}: nothing like ${JSON.stringify(part)} among ${all.join("; ")}`);
    return found;
  });
}
