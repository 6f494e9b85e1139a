import type { HeldBytes } from "../limits/bytes.ts";
import type { QuotaKey } from "../limits/counter.ts";
import type { Quotas } from "../limits/quotas.ts";
import { storedCallBytes } from "../store/stored-call-cell.ts";
import type { StoredCall, TaskRecord } from "../store/task-store.ts";

/** The quotas that count tasks and their bytes. */
export type TaskQuotas = Pick<Quotas, "add" | "noteStored"> & Partial<Pick<Quotas, "bytes" | "reads">>;

/** Counts tasks and their bytes; without quotas, nothing. */
export function counting(quotas: TaskQuotas | undefined) {
  return {
    /** The store took bytes, and keeps them for as long as the result unless `keptForMs` says otherwise. */
    onStored: (task: TaskRecord, bytes: number, keptForMs = task.terms.ttlMs) =>
      quotas?.noteStored(ownerOf(task), bytes, keptForMs),
    /** This replica takes over a task. Returns the function to call when the task has ended here. */
    onAdopted: (task: TaskRecord) => quotas?.add("tasks", ownerOf(task)),
    /** An outcome waits for the store. Returns the function to call when it no longer waits. */
    onWaiting: (task: TaskRecord, bytes: number) => quotas?.bytes?.add(ownerOf(task), bytes),
    /** Whether the gateway may read the arguments of one more call from the store. */
    hasRoom: (task: TaskRecord): boolean => {
      try {
        quotas?.bytes?.check(ownerOf(task));
        return true;
      } catch {
        return false;
      }
    },
    /** Counts a call's arguments that the gateway has read. `"full"`: there is no room for them. */
    hold: (task: TaskRecord, storedCall: StoredCall | undefined): HeldBytes | "full" | undefined => {
      const held = quotas?.bytes?.hold(ownerOf(task));
      try {
        held?.grow(storedCall === undefined ? 0 : storedCallBytes(storedCall));
        return held;
      } catch {
        return "full";
      }
    },
  };
}

export type Counting = ReturnType<typeof counting>;

/** The store lists exactly the tasks of identified callers. */
function ownerOf({ caller, isListed = false }: TaskRecord): QuotaKey {
  return { caller, isIdentified: isListed };
}
