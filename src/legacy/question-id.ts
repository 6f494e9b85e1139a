import type { TaskId } from "../store/task-store.ts";

const PREFIX = "taskgate:";

/**
 * The id of the request that asks a legacy client a question of a task's server. It names the task and the question, so that any replica
 * can take the answer.
 */
export function questionId(taskId: TaskId, key: string): string {
  return `${PREFIX}${taskId}:${key}`;
}

/** `undefined` for the id of anything else. */
export function readQuestionId(id: unknown): { readonly taskId: TaskId; readonly key: string } | undefined {
  if (typeof id !== "string" || !id.startsWith(PREFIX)) return undefined;
  const end = id.indexOf(":", PREFIX.length);
  return end === -1 ? undefined : { taskId: id.slice(PREFIX.length, end), key: id.slice(end + 1) };
}
