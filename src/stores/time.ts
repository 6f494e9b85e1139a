import { steadyNow } from "../ops/clock.ts";
import type { TaskStore } from "./task-store.ts";

/** The clock by which the tasks of a store end, in milliseconds since the epoch. */
export function timeOf(store: Pick<TaskStore, "now">): () => number {
  return () => store.now?.() ?? steadyNow();
}

/** How long ago a time of the store was, clocks that were set left out. Milliseconds. */
export function agoOf(store: Pick<TaskStore, "now" | "jumpedSince">): (at: number) => number {
  const now = timeOf(store);
  return (at) => now() - at - (store.jumpedSince?.(at) ?? 0);
}
