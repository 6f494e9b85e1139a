import { toModernError } from "../protocol/errors.ts";
import { type JsonObject, type JsonText, toJson } from "../protocol/jsonrpc.ts";
import type { Outcome, TaskRecord, TaskView } from "../stores/task-store.ts";

/**
 * A task as 2026-07-28 shows it: `Task` (Tasks §Tasks), without what only some states have. As text; `fields` come first,
 * they are those of the result or of the notification.
 */
export function modernTask(view: TaskView, now: number, fields: JsonObject): JsonText {
  return `${opened(fields)}${taskMembers(view, now)}}` as JsonText;
}

/**
 * A task with what its state brings along: `DetailedTask` (Tasks §Task Status). A result goes out as it was kept, however
 * large.
 */
export function modernDetailedTask(view: TaskView, now: number, fields: JsonObject): JsonText {
  const { task, outcome } = view;
  return `${opened(fields)}${taskMembers(view, now)}${stateMembers(task, outcome)}}` as JsonText;
}

/** An object that is to have more members. */
function opened(fields: JsonObject): string {
  const text = toJson(fields);
  return text === "{}" ? "{" : `${text.slice(0, -1)},`;
}

/** Written by hand, because every poll asks for it: half the time of an object that is spread and serialised. */
function taskMembers({ task, outcome }: TaskView, now: number): string {
  const at = outcome?.endedAt ?? now;
  const message = messageOf(task, outcome);
  const updatedAt = Math.max(outcome?.endedAt ?? task.updatedAt, task.createdAt);
  return (
    `"taskId":"${task.id}","status":"${statusOf(task, outcome)}",` +
    (message === undefined ? "" : `"statusMessage":${JSON.stringify(message)},`) +
    `"createdAt":"${isoTime(task.createdAt)}","lastUpdatedAt":"${isoTime(updatedAt)}",` +
    `"ttlMs":${ttlMs(task, at)},"pollIntervalMs":${pollIntervalMs(task, at)}`
  );
}

function stateMembers(task: TaskRecord, outcome: Outcome | undefined): string {
  if (outcome === undefined) return isAsking(task) ? `,"inputRequests":${toJson(task.inputRequests)}` : "";
  if (outcome.kind === "completed") return `,"result":${completeResult(outcome.result)}`;
  const error = errorOf(outcome);
  return error === undefined ? "" : `,"error":${toJson(error)}`;
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
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
