// A process of its own, to be killed: opens the store of its first argument and creates and ends tasks without end.
// Prints `open`, or why it cannot be opened; then a line of JSON for every write, once the store has acknowledged it.
import { writeSync } from "node:fs";
import { openStore } from "../../src/store/open.ts";
import { completed, newTask } from "./samples.ts";

const store = await openStore(process.argv[2] ?? "").catch((error: Error) => {
  say(error.message);
  process.exit(1);
});
say("open");

for (let writer = 0; writer < 32; writer++) void write(writer);

async function write(writer: number): Promise<void> {
  for (let n = 0; ; n++) {
    // Every other one is listed.
    const task = await store.create(newTask({ statusMessage: `${writer}/${n}`, isListed: n % 2 === 0 }));
    say(JSON.stringify({ task }));
    // Some are left unfinished.
    if (n % 5 === 0) continue;
    const outcome = await store.end(task, completed({ writer, n, text: "→ö".repeat(n % 400) }));
    say(JSON.stringify({ task, outcome }));
  }
}

/** At once and whole, so that what was acknowledged before the kill has been said before the kill. */
function say(line: string): void {
  let rest = Buffer.from(`${line}\n`);
  while (rest.length > 0) rest = rest.subarray(writtenOf(rest));
}

/** How much of it went out; none when the reader has fallen behind: then nothing else may happen before it has caught up. */
function writtenOf(bytes: Buffer): number {
  try {
    return writeSync(1, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return 0;
    throw error;
  }
}
