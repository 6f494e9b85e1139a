import type { CallRecipe, NewTask, TaskStore } from "../stores/task-store.ts";
import type { Call } from "./call.ts";
import { progressMessage } from "./state.ts";
import { asSent, storable } from "./storable.ts";

/** What is known of a task apart from what its call says. */
export type CallTask = Omit<
  NewTask,
  "statusMessage" | "inputRequests" | "recipe" | "checkpoint" | "isUnsent"
>;

/** The task that a call becomes, as the call is now, for a store. */
export function asNewTask(
  call: Call,
  task: CallTask,
  recipe: CallRecipe | undefined,
  store: Pick<TaskStore, "isSealed">,
): NewTask {
  const begun = call.progress === undefined ? "running" : progressMessage(call.progress);
  const statusMessage = call.state === "queued" ? "queued" : begun;
  const { checkpoint, inputRequests } = call;
  return {
    ...task,
    statusMessage,
    inputRequests,
    ...(recipe !== undefined && checkpoint !== undefined ? { checkpoint: storable(checkpoint, store) } : {}),
    ...(isRecipeKept(call, recipe) ? { recipe: asSent(recipe) } : {}),
  };
}

/** Whether the recipe is of use from the start. */
export function isRecipeKept(call: Call, recipe: CallRecipe | undefined): recipe is CallRecipe {
  return recipe !== undefined && (recipe.mayRepeat === true || call.checkpoint !== undefined);
}
