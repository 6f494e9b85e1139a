/**
 * Fills a `level:` store, lets all free file descriptors of this process be taken, and gives them back: `node --import tsx descriptor-writer.ts PATH`.
 * Says in a line of JSON what became of reads and writes at each step. To be run with a low `ulimit -n`.
 */

import { closeSync, openSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { ClassicLevel } from "classic-level";
import { toJson } from "../../src/protocol/jsonrpc.ts";
import { openStore } from "../../src/store/open.ts";
import { StoreUnavailable } from "../../src/store/task-store.ts";
import { newTask } from "./samples.ts";

const [path = ""] = process.argv.slice(2);
const RESULTS = 40;
const url = `level:${path}`;
const warnings: string[] = [];
const options = { warn: (message: string) => warnings.push(message) };
const ids: string[] = [];
const taken: number[] = [];
let store = await openStore(url, options);

/** Nothing that can be compressed: a table is full after a few of them. */
const text = () => Array.from({ length: 20_000 }, () => Math.random().toString(36).slice(2)).join("");

async function write(): Promise<void> {
  const task = await store.create(newTask());
  await store.end(task, { kind: "completed", endedAt: Date.now(), result: toJson(text()) });
  ids.push(task.id);
}

/** How many results can be read, and how many are said to be away. */
async function reads() {
  const found = { there: 0, away: 0, lost: 0 };
  for (const id of ids) {
    const what = await store.read(id).then(
      (view) => (view?.outcome?.kind === "completed" ? "there" : "lost"),
      (error: unknown) => (error instanceof StoreUnavailable ? "away" : "lost"),
    );
    found[what] += 1;
  }
  return found;
}

function takeAll(): void {
  try {
    for (;;) taken.push(openSync("/dev/null", "r"));
  } catch {
    // None is left.
  }
}

function giveBack(count = taken.length): void {
  for (const descriptor of taken.splice(0, count)) closeSync(descriptor);
}

const say = (step: string, what: object) => console.log(JSON.stringify({ step, ...what }));

for (let n = 0; n < RESULTS; n += 1) await write();
await store.close();
// So that nothing but reading opens a table.
const db = new ClassicLevel(path);
await db.open();
await db.compactRange("a", "z");
await db.close();
store = await openStore(url, options);

takeAll();
say("no descriptor", { ...(await reads()), isWritable: store.isWritable });
giveBack();
say("descriptors", await reads());

// A log that is full needs another one.
takeAll();
let refused: unknown;
for (let n = 0; n < 200 && refused === undefined; n += 1)
  await write().catch((error: unknown) => {
    refused = error;
  });
say("no log", { isAway: refused instanceof StoreUnavailable, isWritable: store.isWritable });

// The few that it needs to be opened again are taken by others as soon as it has closed.
giveBack(1);
const hog = setInterval(takeAll, 1);
await sleep(1_500);
clearInterval(hog);
giveBack();
while (!store.isWritable) await sleep(20);
await write();
say("again", { ...(await reads()), expected: ids.length, warnings: warnings.length });
await store.close();
