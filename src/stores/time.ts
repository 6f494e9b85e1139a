import { steadyNow } from "../ops/clock.ts";
import type { TaskStore } from "./task-store.ts";

/** The clock by which the tasks of a store end, in milliseconds since the epoch. */
export function timeOf(store: Pick<TaskStore, "now">): () => number {
  return () => store.now?.() ?? steadyNow();
}
