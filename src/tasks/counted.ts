import type { HeldBytes } from "../quotas/bytes.ts";
import type { Party } from "../quotas/counter.ts";
import type { Quotas } from "../quotas/quotas.ts";
import { recipeBytes } from "../stores/recipe-cell.ts";
import type { CallRecipe, TaskRecord } from "../stores/task-store.ts";

/** What of tasks is counted, and where. */
export type TaskQuotas = Pick<Quotas, "add" | "noteStored"> & Partial<Pick<Quotas, "bytes">>;

/** Counts what becomes of tasks; without quotas, nothing. */
export function counting(quotas: TaskQuotas | undefined) {
  return {
    /** Bytes were stored, for as long as the result stays unless it is said otherwise. */
    onStored: (task: TaskRecord, bytes: number, keptForMs = task.terms.ttlMs) =>
      quotas?.noteStored(ownerOf(task), bytes, keptForMs),
    /** A task is taken over. Gives what to call when it has ended here. */
    onAdopted: (task: TaskRecord) => quotas?.add("tasks", ownerOf(task)),
    /** An outcome waits to be stored. Gives what to call when it does not any more. */
    onWaiting: (task: TaskRecord, bytes: number) => quotas?.bytes?.add(ownerOf(task), bytes),
    /** Whether the arguments of one more call may be read from the store. */
    hasRoom: (task: TaskRecord): boolean => {
      try {
        quotas?.bytes?.check(ownerOf(task));
        return true;
      } catch {
        return false;
      }
    },
    /** Counts what was read of a call's arguments. `"full"`: there is no room for it. */
    hold: (task: TaskRecord, recipe: CallRecipe | undefined): HeldBytes | "full" | undefined => {
      const held = quotas?.bytes?.hold(ownerOf(task));
      try {
        held?.grow(recipe === undefined ? 0 : recipeBytes(recipe));
        return held;
      } catch {
        return "full";
      }
    },
  };
}

export type Counting = ReturnType<typeof counting>;

/** Tasks of callers that are told apart can be listed. */
function ownerOf({ caller, isListed = false }: TaskRecord): Party {
  return { caller, isIdentified: isListed };
}
