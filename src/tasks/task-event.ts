import type { Outcome, TaskId, TaskOwner, TaskRecord } from "../store/task-store.ts";
import type { Progress } from "../upstream/sessions/session.ts";

/**
 * What happens to tasks, as the parts say it that make it happen. `src/observers` hears it: the audit log, the metrics, the lines for people.
 * `ended` comes from the one gateway whose outcome counts, all others from the gateway where they happen.
 */
export type TaskEvent =
  /** The record is durable. `isHeld`: the client may never learn of the task. `handleMs`: since the call was made. */
  | {
      readonly kind: "created";
      readonly task: TaskRecord;
      readonly isHeld: boolean;
      readonly handleMs: number;
    }
  /** The server has the call. `queueMs`: for how long the call waited for its turn, for a session, or for the server to start. */
  | { readonly kind: "sent"; readonly task: TaskRecord; readonly queueMs: number }
  | { readonly kind: "progress"; readonly task: TaskRecord; readonly progress: Progress }
  /** The server has asked so many questions more. */
  | { readonly kind: "asked"; readonly task: TaskRecord; readonly questions: number }
  /** A client has answered so many questions. */
  | { readonly kind: "answered"; readonly task: TaskRecord; readonly answers: number }
  /** A client that knows no tasks was told that its call has become one (`fallback: tools`). */
  | { readonly kind: "detached"; readonly task: TaskRecord }
  /** A client got the task's state or result. `method`: of the specification. */
  | { readonly kind: "read"; readonly task: TaskRecord; readonly method: string }
  | { readonly kind: "listed"; readonly owner: TaskOwner; readonly ids: readonly TaskId[] }
  | { readonly kind: "cancelled"; readonly task: TaskRecord; readonly by: Canceller }
  /** This gateway has taken it over from one that stopped. */
  | { readonly kind: "adopted"; readonly task: TaskRecord }
  /** This gateway stops, and leaves the task to others. */
  | { readonly kind: "left"; readonly task: TaskRecord }
  /** The outcome is durable. */
  | { readonly kind: "ended"; readonly task: TaskRecord; readonly outcome: Outcome }
  | ({ readonly kind: "refused" } & Refused);

export type Canceller = "client" | "operator";

/** Hears of every event. Must not throw, and must not keep the caller waiting. */
export type Observer = (event: TaskEvent) => void;

/** A request that the gateway refused. Fields that the gateway does not know are absent. */
export interface Refused {
  readonly route: string;
  readonly caller?: string | undefined;
  readonly method?: string | undefined;
  /** The id in the request, whether or not such a task exists and the caller owns it. */
  readonly task?: TaskId | undefined;
  /** Of the answer: the HTTP status, and the code of the JSON-RPC error. */
  readonly status?: number | undefined;
  readonly code?: number | undefined;
  readonly reason: RefusalReason;
  /** The limit that was reached, as the configuration names it. */
  readonly limit?: string | undefined;
}

export type RefusalReason =
  /** The task does not exist, or has gone. */
  | "unknown task"
  /** The task belongs to another caller; the answer does not say so. */
  | "foreign task"
  /** A `requestState` that the gateway did not make for this caller and this request. */
  | "foreign state"
  | "no valid credential"
  | "forbidden"
  | "limit";

/** One observer for several; nobody hears anything where there are none. */
export function observers(all: readonly Observer[]): Observer {
  return (event) => {
    for (const observe of all) observe(event);
  };
}
