import type { Outcome, TaskRecord } from "../store/task-store.ts";
import type { Progress } from "../upstream/sessions/session.ts";

/** What both generations of clients see of a task in the same way. Times are in milliseconds. */

export type Status = "working" | "input_required" | "completed" | "failed" | "cancelled";

export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** Never before the creation, even if the clock was set back. */
export function lastUpdatedAt({ createdAt, updatedAt }: TaskRecord, outcome: Outcome | undefined): string {
  return isoTime(Math.max(outcome?.endedAt ?? updatedAt, createdAt));
}

/** Counts from the creation, while the store counts from the task's end: so it grows while the task runs (Tasks §Tasks). */
export function ttlMs(task: TaskRecord, at: number): number {
  return Math.max(0, at - task.createdAt) + task.terms.ttlMs;
}

/** A client need not poll a task that has run for an hour every half second. */
export function pollIntervalMs({ terms, createdAt }: TaskRecord, at: number): number {
  const grown = Math.round((at - createdAt) / 20);
  return Math.min(
    Math.max(terms.pollIntervalMs, grown),
    Math.max(terms.pollIntervalMs, terms.maxPollIntervalMs),
  );
}

export function messageOf(
  task: TaskRecord,
  outcome: Outcome | undefined,
  isAsking: boolean,
): string | undefined {
  switch (outcome?.kind) {
    case undefined:
      return isAsking ? "waiting for the client's input" : task.statusMessage;
    case "completed":
      return undefined;
    case "failed":
      return outcome.error.message;
    case "cancelled":
    case "lost":
      return outcome.reason;
  }
}

/** A task writes such a message again and again, and a person reads it. */
const MAX_PROGRESS_LENGTH = 1_000;

/** Progress as text for a person. */
export function progressMessage({ progress, total, message }: Progress): string {
  const measure = typeof total === "number" ? `${progress} of ${total}` : `${progress}`;
  return typeof message === "string" ? `${message.slice(0, MAX_PROGRESS_LENGTH)} (${measure})` : measure;
}
