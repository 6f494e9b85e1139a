import type { Outcome } from "../store/task-store.ts";

/** How tasks end. A tool's result with `isError` is an outcome of its own here: the call worked and the tool did not. */
export const OUTCOMES = ["completed", "tool_error", "failed", "cancelled", "lost"] as const;
export type OutcomeLabel = (typeof OUTCOMES)[number];

export function outcomeOf(outcome: Outcome): OutcomeLabel {
  return outcome.kind === "completed" && outcome.failure !== undefined ? "tool_error" : outcome.kind;
}
