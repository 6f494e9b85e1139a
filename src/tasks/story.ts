import type { StoryLine, TaskRecord } from "../store/task-store.ts";

/** The story is in the record, which every poll reads. */
const MAX_LINES = 40;

/** A story with one more line; of a long one the middle is left out. */
export function withLine(story: readonly StoryLine[], line: StoryLine): readonly StoryLine[] {
  if (story.length < MAX_LINES) return [...story, line];
  const kept = MAX_LINES / 2;
  return [...story.slice(0, kept), ...story.slice(story.length - kept + 1), line];
}

/**
 * When a task's call was sent: before the task was made, or after, when its turn had come; if it was made again, the last time. Milliseconds
 * since the epoch.
 */
export function sentAt({ createdAt, story = [] }: Pick<TaskRecord, "createdAt" | "story">): number {
  return story.findLast(({ what }) => what === "sent")?.at ?? createdAt;
}
