import { toModernError } from "../protocol/errors.ts";
import { type JsonObject, type JsonText, toJson } from "../protocol/jsonrpc.ts";
import type { Outcome, TaskRecord, TaskView } from "../stores/task-store.ts";

/** A task as 2026-07-28 shows it: `Task` (Tasks §Tasks), without what only some states have. */
export function modernTask({ task, outcome }: TaskView, now: number): JsonObject {
  const at = outcome?.endedAt ?? now;
  const statusMessage = messageOf(task, outcome);
  return {
    taskId: task.id,
    status: statusOf(task, outcome),
    ...(statusMessage === undefined ? {} : { statusMessage }),
    createdAt: new Date(task.createdAt).toISOString(),
    lastUpdatedAt: new Date(Math.max(outcome?.endedAt ?? task.updatedAt, task.createdAt)).toISOString(),
    ttlMs: ttlMs(task, at),
    pollIntervalMs: pollIntervalMs(task, at),
  };
}

/**
 * A task with what its state brings along: `DetailedTask` (Tasks §Task Status). As text, so that a result goes out as it
 * was kept, however large. `fields` come first; they are the result's own or the notification's.
 */
export function modernDetailedTask(view: TaskView, now: number, fields: JsonObject): JsonText {
  const { task, outcome } = view;
  const common = { ...fields, ...modernTask(view, now) };
  if (outcome?.kind === "completed")
    return withMember(toJson(common), "result", completeResult(outcome.result));
  if (outcome === undefined)
    return toJson(isAsking(task) ? { ...common, inputRequests: task.inputRequests } : common);
  const error = errorOf(outcome);
  return toJson(error === undefined ? common : { ...common, error });
}

type Status = "working" | "input_required" | "completed" | "failed" | "cancelled";

function statusOf(task: TaskRecord, outcome: Outcome | undefined): Status {
  if (outcome === undefined) return isAsking(task) ? "input_required" : "working";
  return outcome.kind === "lost" ? "failed" : outcome.kind;
}

function messageOf(task: TaskRecord, outcome: Outcome | undefined): string | undefined {
  switch (outcome?.kind) {
    case undefined:
      return isAsking(task) ? "waiting for the client's input" : task.statusMessage;
    case "completed":
      return undefined;
    case "failed":
      return outcome.error.message;
    case "cancelled":
    case "lost":
      return outcome.reason;
  }
}

function errorOf(outcome: Outcome): JsonObject | undefined {
  if (outcome.kind === "lost") return { code: -32603, message: outcome.reason };
  if (outcome.kind !== "failed") return undefined;
  return { ...(outcome.isOurs ? outcome.error : toModernError(outcome.error)) };
}

/** Counts from the creation, though a task is kept from its end on: so it grows while the task runs (Tasks §Tasks). */
function ttlMs(task: TaskRecord, at: number): number {
  return Math.max(0, at - task.createdAt) + task.terms.ttlMs;
}

/** A task that has been running for an hour need not be asked after every half second. */
function pollIntervalMs({ terms, createdAt }: TaskRecord, at: number): number {
  const grown = Math.round((at - createdAt) / 20);
  return Math.min(
    Math.max(terms.pollIntervalMs, grown),
    Math.max(terms.pollIntervalMs, terms.maxPollIntervalMs),
  );
}

function isAsking(task: TaskRecord): boolean {
  return Object.keys(task.inputRequests).length > 0;
}

/** A legacy result has no `resultType`, and a modern client takes one without for an error. */
function completeResult(result: JsonText): JsonText {
  if (result.startsWith('{"resultType":')) return result;
  return withFirstMember(result, '"resultType":"complete"');
}

function withFirstMember(object: JsonText, member: string): JsonText {
  return (object === "{}" ? `{${member}}` : `{${member},${object.slice(1)}`) as JsonText;
}

function withMember(object: JsonText, name: string, value: JsonText): JsonText {
  return `${object.slice(0, -1)},"${name}":${value}}` as JsonText;
}
