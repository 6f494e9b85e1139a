import type { CallRecipe, NewTask, TaskId, TaskStore } from "../stores/task-store.ts";
import type { Call } from "./call.ts";
import { progressMessage } from "./state.ts";
import { asSent, storable } from "./storable.ts";

/** What is known of a task apart from what its call says. */
export type CallTask = Omit<
  NewTask,
  "statusMessage" | "inputRequests" | "recipe" | "checkpoint" | "isUnsent"
>;

/** What is decided of a task before it is first tried to be written. */
export interface TaskDraft {
  /** Under which it is tried: one try may have succeeded unheard, and there are not to be two tasks. */
  readonly id: TaskId;
  /**
   * Whether the record says from the start that the call has not been sent. Only of a call that is not started unless its record is there:
   * of any other whose creation seemed to fail the client may be answered in another way, with the call sent.
   */
  readonly isUnsent: boolean;
}

/** The task that a call becomes, as the call is now, for a store. */
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
