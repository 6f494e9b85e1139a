import type { Call } from "../calls/call.ts";
import type { CallRecipe, NewTask, TaskId, TaskStore } from "../store/task-store.ts";
import { progressMessage } from "./state.ts";
import { asSent, storable } from "./storable.ts";

/** What the gateway knows of a task apart from its call. */
export type CallTask = Omit<
  NewTask,
  "statusMessage" | "inputRequests" | "recipe" | "checkpoint" | "isUnsent"
>;

/** What is decided about a task before the first try to write it. */
export interface TaskDraft {
  /** The same for every try: an earlier one may have succeeded unheard, and must not leave a second task. */
  readonly id: TaskId;
  /**
   * Whether the record says from the start that the call is unsent. Only for a call that does not start unless its record exists:
   * for any other, the gateway may send the call and answer the client in another way after a creation that seemed to fail.
   */
  readonly isUnsent: boolean;
}

/** The task that a call becomes, with the call's present state, for a store. */
export function asNewTask(
  call: Call,
  task: CallTask,
  recipe: CallRecipe | undefined,
  { isUnsent, isSealed }: Pick<TaskDraft, "isUnsent"> & Pick<TaskStore, "isSealed">,
): NewTask {
  const begun = call.progress === undefined ? "running" : progressMessage(call.progress);
  const statusMessage = call.state === "queued" ? "queued" : begun;
  const { checkpoint, inputRequests } = call;
  return {
    ...task,
    statusMessage,
    inputRequests,
    ...(recipe !== undefined && checkpoint !== undefined
      ? { checkpoint: storable(checkpoint, { isSealed }) }
      : {}),
    ...(isUnsent && recipe !== undefined ? { recipe, isUnsent } : {}),
    ...(!isUnsent && isRecipeKept(call, recipe) ? { recipe: asSent(recipe) } : {}),
  };
}

/** Whether the recipe is of use from the start. */
export function isRecipeKept(call: Call, recipe: CallRecipe | undefined): recipe is CallRecipe {
  return recipe !== undefined && (recipe.mayRepeat === true || call.checkpoint !== undefined);
}
