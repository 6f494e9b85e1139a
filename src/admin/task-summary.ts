import { taskName } from "../log/task-name.ts";
import { reasonOf } from "../observers/lines.ts";
import { type Outcome, type StoryLine, type TaskRecord, type TaskView, WAITS } from "../store/task-store.ts";
import { isoTime, messageOf, ttlMs } from "../tasks/state.ts";

/** How it stands with a task. `queued`: its call waits for its turn; `tool_error`: the result has `isError`. */
export const STATUSES = [
  "queued",
  "working",
  "input_required",
  "completed",
  "tool_error",
  "failed",
  "cancelled",
  "lost",
] as const;
export type Status = (typeof STATUSES)[number];

/** A task as an operator sees it. It has no id, which is a key to the task, and nothing that server and client tell each other. */
export interface TaskSummary {
  readonly name: string;
  readonly server: string;
  readonly tool: string;
  readonly caller: string;
  readonly status: Status;
  /** In whose words its client asked for it; absent: an older gateway made it. */
  readonly generation?: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly endedAt?: string;
  /** From its creation to its end, or until now. Milliseconds. */
  readonly durationMs: number;
  /** The gateway where its call is or was. */
  readonly replica: string;
  /** How many questions wait for the client. */
  readonly questions: number;
  /** The code of the JSON-RPC error that it failed with. */
  readonly errorCode?: number;
  /** Why it ended without a good result, as the log says it: in the gateway's words, not those of servers and clients. */
  readonly reason?: string;
}

/** The same with what happened when, and with its contents where `admin.payloads` says so. */
export interface TaskStory extends TaskSummary {
  /** When it will be gone, counted from its end. Absent: it has not ended. */
  readonly expiresAt?: string;
  readonly story: readonly StoryEntry[];
  readonly payloads?: Payloads;
}

export interface StoryEntry {
  readonly at: string;
  readonly what: "created" | "ended" | StoryLine["what"];
  readonly count?: number;
  readonly replica?: string;
}

export interface Payloads {
  /** Progress as the server tells it, or why the task failed. */
  readonly message?: string;
  /** What the server asks, by key. */
  readonly questions: TaskRecord["inputRequests"];
  readonly outcome?: Outcome;
}

export interface SummaryOptions {
  readonly now: number;
  readonly nameOf: (caller: string) => string;
}

export function summaryOf({ task, outcome }: TaskView, { now, nameOf }: SummaryOptions): TaskSummary {
  const reason = outcome && reasonOf(outcome);
  const endedAt = outcome && Math.max(outcome.endedAt, task.createdAt);
  return {
    name: taskName(task.id),
    server: task.route,
    tool: task.tool,
    caller: nameOf(task.caller),
    status: statusOf(task, outcome),
    ...(task.generation === undefined ? {} : { generation: task.generation }),
    createdAt: isoTime(task.createdAt),
    updatedAt: isoTime(endedAt ?? Math.max(task.updatedAt, task.createdAt)),
    ...(endedAt === undefined ? {} : { endedAt: isoTime(endedAt) }),
    durationMs: Math.max(0, (endedAt ?? now) - task.createdAt),
    replica: task.owner,
    questions: outcome === undefined ? Object.keys(task.inputRequests).length : 0,
    ...(outcome?.kind === "failed" ? { errorCode: outcome.error.code } : {}),
    ...(reason === undefined ? {} : { reason }),
  };
}

export function storyOf(view: TaskView, options: SummaryOptions, withPayloads: boolean): TaskStory {
  const { task, outcome } = view;
  const summary = summaryOf(view, options);
  const lines = (task.story ?? []).map(
    ({ at, ...line }): StoryEntry => ({ at: isoTime(Math.max(at, task.createdAt)), ...line }),
  );
  const created: StoryEntry = { at: summary.createdAt, what: "created" };
  const ended: readonly StoryEntry[] =
    summary.endedAt === undefined ? [] : [{ at: summary.endedAt, what: "ended" }];
  return {
    ...summary,
    ...(outcome === undefined ? {} : { expiresAt: isoTime(task.createdAt + ttlMs(task, outcome.endedAt)) }),
    story: [created, ...lines, ...ended],
    ...(withPayloads ? { payloads: payloadsOf(view) } : {}),
  };
}

function payloadsOf({ task, outcome }: TaskView): Payloads {
  const isAsking = Object.keys(task.inputRequests).length > 0;
  const message = messageOf(task, outcome, isAsking);
  return {
    ...(message === undefined ? {} : { message }),
    questions: task.inputRequests,
    ...(outcome === undefined ? {} : { outcome }),
  };
}

export function statusOf(task: TaskRecord, outcome: Outcome | undefined): Status {
  switch (outcome?.kind) {
    case "completed":
      return outcome.failure === undefined ? "completed" : "tool_error";
    case "failed":
    case "cancelled":
    case "lost":
      return outcome.kind;
    case undefined:
      if (Object.keys(task.inputRequests).length > 0) return "input_required";
      return task.statusMessage === WAITS ? "queued" : "working";
  }
}
