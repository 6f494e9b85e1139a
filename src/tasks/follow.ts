import type { TaskId, TaskOwner, TaskView } from "../store/task-store.ts";
import type { TaskEngine } from "./engine.ts";
import type { WaiterOf } from "./store-wait.ts";

/**
 * Reads a task now, and again whenever it may have changed, until `look` returns something. After the first read it waits for a
 * store that is away, however long.
 * @param waiter who waits for the first read
 * @returns what `look` returned; `undefined` once `over` aborts
 * @throws -32602 when there is no such task, StoreUnavailable
 */
export async function follow<T>(
  engine: TaskEngine,
  id: TaskId,
  owner: TaskOwner,
  over: AbortSignal,
  look: (view: TaskView) => T | undefined,
  waiter?: WaiterOf,
): Promise<T | undefined> {
  const stays: WaiterOf = () => ({ caller: owner.caller, gone: over, bytes: 0, isEndless: true });
  let turn = waiter;
  let wake = () => {};
  // Watch before reading, so that no change in between is missed.
  const stop = engine.watch(id, () => wake());
  const onOver = () => wake();
  over.addEventListener("abort", onOver, { once: true });
  try {
    while (!over.aborted) {
      const changed = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const view = await engine.get(id, owner, turn).catch((error: unknown) => {
        if (over.aborted) return undefined;
        throw error;
      });
      if (view === undefined) return undefined;
      turn = stays;
      const found = look(view);
      if (found !== undefined) return found;
      if (!over.aborted) await changed;
    }
    return undefined;
  } finally {
    stop();
    over.removeEventListener("abort", onOver);
  }
}
