import type { TaskId, TaskView } from "../stores/task-store.ts";
import type { Claimant, TaskEngine } from "./engine.ts";

/**
 * Looks at a task now, and again whenever it may have changed, until `look` gives something.
 * @returns what `look` gave; `undefined` once `over` is aborted
 * @throws -32602 when there is no such task, StoreUnavailable
 */
export async function follow<T>(
  engine: TaskEngine,
  id: TaskId,
  claimant: Claimant,
  over: AbortSignal,
  look: (view: TaskView) => T | undefined,
): Promise<T | undefined> {
  let wake = () => {};
  // Watched before it is read: nothing that happens in between is missed.
  const stop = engine.watch(id, () => wake());
  const onOver = () => wake();
  over.addEventListener("abort", onOver, { once: true });
  try {
    while (!over.aborted) {
      const changed = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const found = look(await engine.get(id, claimant));
      if (found !== undefined) return found;
      if (!over.aborted) await changed;
    }
    return undefined;
  } finally {
    stop();
    over.removeEventListener("abort", onOver);
  }
}
