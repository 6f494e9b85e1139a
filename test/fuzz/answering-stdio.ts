/** The same over stdio: `<seed> <percent> <file that counts the answers with something wrong with them>`. */

import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { randomFrom } from "../survival/support/seeded.ts";
import { mutatedBytes } from "./mutations.ts";
import { type Asked, isSlow, legacyReply, mistaken } from "./replies.ts";

const [seed = "1", percent = "0", counter = ""] = process.argv.slice(2);
// Every process says something else, or one that dies of its first answer would die of it again and again.
let counted = process.pid;

for await (const line of createInterface({ input: process.stdin })) void answer(line);

async function answer(line: string): Promise<void> {
  counted += 1;
  const random = randomFrom(Number(seed) + counted);
  const asked: Asked = JSON.parse(line);
  if (isSlow(asked)) await sleep(random.between(60, 160));
  const reply = legacyReply(asked);
  const share = asked.method === "initialize" ? Number(percent) / 5 : Number(percent);
  if (random.between(1, 100) > share) {
    for (const message of reply) process.stdout.write(rightLine(message));
    return;
  }
  if (asked.method !== undefined) appendFileSync(counter, ".");
  const said = mistaken(asked, reply, random);
  const lines = Buffer.from(said.map((message) => `${JSON.stringify(message)}\n`).join(""));
  process.stdout.write(random.between(0, 2) === 0 ? mutatedBytes(lines, random) : lines);
  if (random.between(0, 9) === 0) process.stderr.write(mutatedBytes(lines, random));
  // Seldom, because beginning again is what costs most of all.
  if (random.between(0, 299) === 0) process.exit(random.between(0, 3));
  // One that never comes is waited for as long as the gateway waits for anything, which is no news.
  await sleep(random.between(0, 80));
  for (const message of reply) process.stdout.write(rightLine(message));
}

/** Behind an end for whatever was said before, to somebody else as well: nobody could find the answer in it. */
function rightLine(message: unknown): string {
  return `\n${JSON.stringify(message)}\n`;
}
