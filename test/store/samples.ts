import { toJson } from "../../src/protocol/jsonrpc.ts";
import type { NewTask, Outcome, TaskRecord, TaskStore } from "../../src/store/task-store.ts";

const HOUR_MS = 3_600_000;

export function newTask(more: Partial<NewTask> = {}): NewTask {
  const terms = { ttlMs: HOUR_MS, pollIntervalMs: 500, maxPollIntervalMs: 10_000, maxRuntimeMs: HOUR_MS };
  return { route: "reports", caller: "anonymous", tool: "render", terms, ...more };
}

export function completed(value: unknown): Outcome {
  return { kind: "completed", endedAt: Date.now(), result: toJson(value) };
}

export const BORN = Date.UTC(2026, 6, 28);
export const MINUTE_MS = 60_000;

/** The record of a task that runs, to be viewed. */
export const TASK: TaskRecord = {
  id: "id",
  owner: "replica",
  route: "route",
  caller: "caller",
  tool: "tool",
  statusMessage: "running",
  terms: { ttlMs: 10 * MINUTE_MS, pollIntervalMs: 500, maxPollIntervalMs: 10_000, maxRuntimeMs: HOUR_MS },
  createdAt: BORN,
  updatedAt: BORN + 5,
  inputRequests: {},
};

/** One request of each kind that a store answers about tasks. */
export function everyRequest(store: TaskStore, task: TaskRecord): readonly Promise<unknown>[] {
  return [
    store.create(newTask()),
    store.read(task.id),
    store.update(task, { statusMessage: "late" }),
    store.end(task, completed("late")),
    store.answer(task, "name", { result: {} }),
    store.answers(task.id, ["name"]),
    store.create(newTask({ isListed: true })),
    store.list(task, { limit: 10 }),
  ];
}
