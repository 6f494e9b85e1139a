import { toJson } from "../../src/protocol/jsonrpc.ts";
import type { NewTask, Outcome } from "../../src/store/task-store.ts";

const HOUR_MS = 3_600_000;

export function newTask(more: Partial<NewTask> = {}): NewTask {
  const terms = { ttlMs: HOUR_MS, pollIntervalMs: 500, maxPollIntervalMs: 10_000, maxRuntimeMs: HOUR_MS };
  return { route: "reports", caller: "anonymous", tool: "render", terms, ...more };
}

export function completed(value: unknown): Outcome {
  return { kind: "completed", endedAt: Date.now(), result: toJson(value) };
}
