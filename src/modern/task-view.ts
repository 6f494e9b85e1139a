import { isModernInput, modernInputRequests } from "../calls/input.ts";
import { toModernError } from "../protocol/errors.ts";
import { type JsonObject, type JsonText, toJson, withFirstMembers } from "../protocol/jsonrpc.ts";
import type { Outcome, TaskRecord, TaskView } from "../store/task-store.ts";
import { isoTime, lastUpdatedAt, messageOf, pollIntervalMs, type Status, ttlMs } from "../tasks/state.ts";

/**
 * A task as 2026-07-28 shows it: `Task` (Tasks §Tasks), without the members that only some states have. As text; `fields`, those
 * of the result or the notification, come first.
 */
export function modernTask(view: TaskView, now: number, fields: JsonObject): JsonText {
  return `${opened(fields)}${taskMembers(view, now)}}` as JsonText;
}

/** A task with the members of its state: `DetailedTask` (Tasks §Task Status). A result goes out as stored, however large. */
export function modernDetailedTask(view: TaskView, now: number, fields: JsonObject): JsonText {
  const { task, outcome } = view;
  return `${opened(fields)}${taskMembers(view, now)}${stateMembers(task, outcome)}}` as JsonText;
}

/** The beginning of an object that gets more members. */
function opened(fields: JsonObject): string {
  const text = toJson(fields);
  return text === "{}" ? "{" : `${text.slice(0, -1)},`;
}

/** Built by hand, because every poll needs it: in half the time of spreading and serialising an object. */
function taskMembers({ task, outcome }: TaskView, now: number): string {
  const at = outcome?.endedAt ?? now;
  const status = statusOf(task, outcome);
  const message = messageOf(task, outcome, status === "input_required");
  return (
    `"taskId":"${task.id}","status":"${status}",` +
    (message === undefined ? "" : `"statusMessage":${JSON.stringify(message)},`) +
    `"createdAt":"${isoTime(task.createdAt)}","lastUpdatedAt":"${lastUpdatedAt(task, outcome)}",` +
    `"ttlMs":${ttlMs(task, at)},"pollIntervalMs":${pollIntervalMs(task, at)}`
  );
}

function stateMembers(task: TaskRecord, outcome: Outcome | undefined): string {
  if (outcome === undefined) {
    const asked = toJson(modernInputRequests(task.inputRequests));
    return asked === "{}" ? "" : `,"inputRequests":${asked}`;
  }
  if (outcome.kind === "completed") return `,"result":${completeResult(outcome.result)}`;
  const error = errorOf(outcome);
  return error === undefined ? "" : `,"error":${toJson(error)}`;
}

function statusOf(task: TaskRecord, outcome: Outcome | undefined): Status {
  if (outcome === undefined) return isAsking(task) ? "input_required" : "working";
  return outcome.kind === "lost" ? "failed" : outcome.kind;
}

function errorOf(outcome: Outcome): JsonObject | undefined {
  if (outcome.kind === "lost") return { code: -32603, message: outcome.reason };
  if (outcome.kind !== "failed") return undefined;
  return { ...(outcome.isOurs || outcome.isModern ? outcome.error : toModernError(outcome.error)) };
}

/** The server may ask a legacy client more than a modern one has an answer for. */
function isAsking({ inputRequests }: TaskRecord): boolean {
  return Object.values(inputRequests).some(isModernInput);
}

/** A legacy result has no `resultType`, and a modern client takes a result without one for an error. */
function completeResult(result: JsonText): JsonText {
  if (result.startsWith('{"resultType":')) return result;
  return withFirstMembers(result, ['"resultType":"complete"']);
}
