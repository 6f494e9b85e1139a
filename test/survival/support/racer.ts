// A process of its own: opens the store of its first argument and ends the tasks that it is told of, whoever else does.
// Sends `ready`, then how many it has ended so far, and at last what it was told of each: in a closed store nothing is lost.

import { setTimeout as sleep } from "node:timers/promises";
import { toJson } from "../../../src/protocol/jsonrpc.ts";
import { openStore } from "../../../src/store/open.ts";
import {
  type Outcome,
  StoreUnavailable,
  type TaskRecord,
  type TaskStore,
} from "../../../src/store/task-store.ts";
import { randomFrom } from "./seeded.ts";

/** What a racer is told to do. */
export interface Race {
  readonly name: string;
  readonly seed: number;
  readonly taskIds: readonly string[];
}

/** What it sends. */
export type Report =
  | { readonly kind: "ready" }
  | { readonly kind: "ended"; readonly count: number }
  | { readonly kind: "told"; readonly outcomes: Readonly<Record<string, string>>; readonly retries: number };

const AT_ONCE = 32;
const REPORT_EVERY = 10;

const store = await openStore(process.argv[2] ?? "");
process.once("message", (race: Race) => void run(race));
void report({ kind: "ready" });

async function run({ name, seed, taskIds }: Race): Promise<void> {
  const random = randomFrom(seed);
  const left = random.shuffled(taskIds);
  const outcomes: Record<string, string> = {};
  let count = 0;
  let retries = 0;
  const stubbornly = async <T>(work: () => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        retries += 1;
        await sleep(20);
      }
    }
  };
  const worker = async () => {
    for (let id = left.pop(); id !== undefined; id = left.pop()) {
      const task = await stubbornly(() => record(store, id));
      const mine = outcomeOf(name, random.between(0, 2));
      outcomes[id] = toJson(await stubbornly(() => store.end(task, mine)));
      count += 1;
      if (count % REPORT_EVERY === 0) void report({ kind: "ended", count });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  await report({ kind: "told", outcomes, retries });
  await store.close();
  process.disconnect();
}

async function record(from: TaskStore, id: string): Promise<TaskRecord> {
  const view = await from.read(id);
  if (view === undefined) throw new Error(`task ${id} is not known`);
  return view.task;
}

function outcomeOf(name: string, kind: number): Outcome {
  const endedAt = Date.now();
  if (kind === 0)
    return { kind: "completed", endedAt, result: toJson({ by: name, padding: "x".repeat(500) }) };
  if (kind === 1) return { kind: "cancelled", endedAt, reason: name };
  return { kind: "failed", endedAt, error: { code: -32603, message: name }, isOurs: true };
}

/** Settles when it has gone out: what has not is lost when the process disconnects. */
function report(said: Report): Promise<void> {
  return new Promise((resolve) => void process.send?.(said, () => resolve()));
}
