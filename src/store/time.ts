import { steadyNow } from "../lib/clock.ts";
import type { TaskStore } from "./task-store.ts";

/** The clock by which a store's tasks expire. Milliseconds since the epoch. */
export function timeOf(store: Pick<TaskStore, "now">): () => number {
  return () => store.now?.() ?? steadyNow();
}

/** How long ago a time of the store was, without the steps of a clock that somebody set. Milliseconds. */
export function agoOf(store: Pick<TaskStore, "now" | "jumpedSince">): (at: number) => number {
  const now = timeOf(store);
  return (at) => now() - at - (store.jumpedSince?.(at) ?? 0);
}
