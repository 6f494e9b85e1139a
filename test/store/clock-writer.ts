/**
 * A process that uses a `level:` store, on a machine whose clock is so far off: `node --import tsx clock-writer.ts URL OFFSET_MS`. Does what a line on
 * its standard input says, in JSON, and answers each with a line; what it was warned of comes with the first answer.
 */

import { createInterface } from "node:readline";
import { toJson } from "../../src/protocol/jsonrpc.ts";
import type { Outcome, TaskRecord } from "../../src/store/task-store.ts";

const [url = "", offset = "0"] = process.argv.slice(2);
const now = Date.now;
let offsetMs = Number(offset);
// Before anything looks at it.
Date.now = () => now() + offsetMs;
const { openStore } = await import("../../src/store/open.ts");
const said: string[] = [];
const store = await openStore(url, { warn: (message) => said.push(message) });

type Command =
  | { readonly do: "create"; readonly ttlMs: number; readonly maxRuntimeMs: number }
  | { readonly do: "end"; readonly task: TaskRecord }
  | { readonly do: "read"; readonly id: string }
  | { readonly do: "step"; readonly ms: number }
  | { readonly do: "said" }
  | { readonly do: "close" };

async function run(command: Command): Promise<unknown> {
  switch (command.do) {
    case "create": {
      const { ttlMs, maxRuntimeMs } = command;
      const terms = { ttlMs, maxRuntimeMs, pollIntervalMs: 500, maxPollIntervalMs: 10_000 };
      return store.create({ route: "r", caller: "ada", tool: "t", terms });
    }
    case "end": {
      const outcome: Outcome = {
        kind: "completed",
        endedAt: store.now?.() ?? Date.now(),
        result: toJson({ content: [] }),
      };
      return store.end(command.task, outcome);
    }
    case "read":
      return (await store.read(command.id)) ?? null;
    case "step":
      offsetMs += command.ms;
      return null;
    case "said":
      return said;
    case "close":
      await store.close();
      process.exitCode = 0;
      return null;
  }
}

console.log(JSON.stringify("open"));
for await (const line of createInterface(process.stdin))
  console.log(JSON.stringify(await run(JSON.parse(line))));
