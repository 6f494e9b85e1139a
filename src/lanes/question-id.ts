import type { TaskId } from "../stores/task-store.ts";

const PREFIX = "taskgate:";

/**
 * The id under which a legacy client is asked what a task's server wants to know. It says which task and which question, so
 * that any replica can take the answer.
 */
export function questionId(taskId: TaskId, key: string): string {
  return `${PREFIX}${taskId}:${key}`;
}

/** `undefined`: the id of something else. */
export function readQuestionId(id: unknown): { readonly taskId: TaskId; readonly key: string } | undefined {
  if (typeof id !== "string" || !id.startsWith(PREFIX)) return undefined;
  const end = id.indexOf(":", PREFIX.length);
  return end === -1 ? undefined : { taskId: id.slice(PREFIX.length, end), key: id.slice(end + 1) };
}
