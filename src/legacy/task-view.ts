import { isObject, type JsonObject, type JsonText, toJson, withFirstMembers } from "../protocol/jsonrpc.ts";
import { META } from "../protocol/modern.ts";
import type { InputRequest, Outcome, TaskRecord, TaskView } from "../store/task-store.ts";
import { isoTime, lastUpdatedAt, messageOf, pollIntervalMs, type Status, ttlMs } from "../tasks/state.ts";

/** A task as 2025-11-25 shows it: `Task` (Tasks §Data Types). `now` in milliseconds since the epoch. */
export function legacyTask({ task, outcome }: TaskView, now: number): JsonObject {
  const at = outcome?.endedAt ?? now;
  const status = statusOf(task, outcome);
  const statusMessage = failureOf(outcome) ?? messageOf(task, outcome, status === "input_required");
  return {
    taskId: task.id,
    status,
    ...(statusMessage === undefined ? {} : { statusMessage }),
    createdAt: isoTime(task.createdAt),
    lastUpdatedAt: lastUpdatedAt(task, outcome),
    ttl: ttlMs(task, at),
    pollInterval: pollIntervalMs(task, at),
  };
}

/** The stored result, related to its task (Tasks §Related Task Metadata). */
export function legacyResult(taskId: string, result: JsonText): JsonText {
  const related = `"${META.relatedTask}":${toJson({ taskId })}`;
  // A stored result almost always begins like this: it goes out without being parsed, however large.
  if (result.startsWith('{"_meta":{"')) return `{"_meta":{${related},${result.slice(10)}` as JsonText;
  if (/^\{"(?:_meta|resultType)":/.test(result)) return toJson(relatedTo(taskId, JSON.parse(result)));
  return withFirstMembers(result, [`"_meta":{${related}}`]);
}

/** A server's question during a task, as the client gets it (Tasks §Input Required Status). */
export function legacyQuestion({ params = {}, ...asked }: InputRequest, taskId: string): JsonObject {
  return { ...asked, params: relatedTo(taskId, params) };
}

/** Params, or a result, that say which task they belong to (Tasks §Associating Task-Related Messages). */
export function relatedTo(taskId: string, { _meta, ...rest }: JsonObject): JsonObject {
  return { ...rest, _meta: { ...(isObject(_meta) ? _meta : {}), [META.relatedTask]: { taskId } } };
}

function statusOf({ inputRequests }: TaskRecord, outcome: Outcome | undefined): Status {
  switch (outcome?.kind) {
    case undefined:
      return Object.keys(inputRequests).length > 0 ? "input_required" : "working";
    case "lost":
      return "failed";
    case "completed":
      // A tool that reports an error has failed in this revision (Tasks §Task Execution Errors).
      return outcome.failure === undefined ? "completed" : "failed";
    case "failed":
    case "cancelled":
      return outcome.kind;
  }
}

function failureOf(outcome: Outcome | undefined): string | undefined {
  return outcome?.kind === "completed" ? outcome.failure : undefined;
}
