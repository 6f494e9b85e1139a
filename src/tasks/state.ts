import type { Outcome, TaskRecord } from "../stores/task-store.ts";
import type { Progress } from "../upstreams/session.ts";

/** What both generations say of a task in the same way. Times are in milliseconds. */

export type Status = "working" | "input_required" | "completed" | "failed" | "cancelled";

export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** Never before the creation, should the clock have been set back. */
export function lastUpdatedAt({ createdAt, updatedAt }: TaskRecord, outcome: Outcome | undefined): string {
  return isoTime(Math.max(outcome?.endedAt ?? updatedAt, createdAt));
}

/** Counts from the creation, though a task is kept from its end on: so it grows while the task runs (Tasks §Tasks). */
export function ttlMs(task: TaskRecord, at: number): number {
  return Math.max(0, at - task.createdAt) + task.terms.ttlMs;
}

/** A task that has been running for an hour need not be asked after every half second. */
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

/** It is written down again and again, and read by a person. */
const MAX_PROGRESS_LENGTH = 1_000;

/** Progress as a person reads it. */
export function progressMessage({ progress, total, message }: Progress): string {
  const measure = typeof total === "number" ? `${progress} of ${total}` : `${progress}`;
  return typeof message === "string" ? `${message.slice(0, MAX_PROGRESS_LENGTH)} (${measure})` : measure;
}
