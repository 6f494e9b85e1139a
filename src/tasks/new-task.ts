import type { Call } from "../calls/call.ts";
import {
  type Idempotency,
  type NewTask,
  RUNS,
  type StoredCall,
  type TaskId,
  type TaskStore,
  WAITS,
} from "../store/task-store.ts";
import { progressMessage } from "./state.ts";
import { asSent, storable } from "./storable.ts";

/** What the gateway knows of a task apart from its call. */
export interface CallTask
  extends Omit<
    NewTask,
    | "statusMessage"
    | "inputRequests"
    | "storedCall"
    | "checkpoint"
    | "pause"
    | "isUnsent"
    | "idempotency"
    | "trace"
  > {
  /** The id that the task has to have, which must be as hard to guess as one of the store's. Absent: the store chooses one. */
  readonly id?: TaskId;
  /** As in `Idempotency`, if the id comes from an idempotency key: others may create a task with it at the same time. Absent: it does not. */
  readonly fingerprint?: string;
}

/** What is decided about a task before the first try to write it. */
export interface TaskDraft {
  /** The same for every try: an earlier one may have succeeded unheard, and must not leave a second task. */
  readonly id: TaskId;
  /**
   * Whether the record says from the start that the call is unsent. Only for a call that does not start unless its record exists:
   * for any other, the gateway may send the call and answer the client in another way after a creation that seemed to fail.
   */
  readonly isUnsent: boolean;
  /** Present if others may create a task with the same id. */
  readonly idempotency?: Idempotency;
}

/** The task that a call becomes, with the call's present state, for a store. */
export function asNewTask(
  call: Call,
  { id: _, fingerprint: __, ...task }: CallTask,
  storedCall: StoredCall | undefined,
  {
    isUnsent,
    idempotency,
    isSealed,
    now,
  }: Omit<TaskDraft, "id"> & Pick<TaskStore, "isSealed"> & { readonly now: number },
): NewTask {
  const begun = call.progress === undefined ? RUNS : progressMessage(call.progress);
  // A call that need not wait is sent as soon as the record is written.
  const statusMessage = call.isWaiting ? WAITS : begun;
  const { checkpoint, inputRequests, trace } = call;
  return {
    statusMessage,
    inputRequests,
    ...storyOf(call, now),
    ...task,
    ...(idempotency === undefined ? {} : { idempotency }),
    ...(trace === undefined ? {} : { trace }),
    ...(storedCall !== undefined && checkpoint !== undefined
      ? { checkpoint: storable(checkpoint, { isSealed }) }
      : {}),
    ...(isUnsent && storedCall !== undefined ? { storedCall, isUnsent } : {}),
    ...(!isUnsent && isCallKept(call, storedCall) ? { storedCall: asSent(storedCall) } : {}),
  };
}

/** A call that is sent was sent before it became a task. */
function storyOf({ queueMs, madeAt }: Call, now: number): Pick<NewTask, "story"> {
  if (queueMs === undefined) return {};
  const agoMs = performance.now() - (madeAt + queueMs);
  return { story: [{ at: Math.floor(now - agoMs), what: "sent" }] };
}

/** Whether the stored call is of use from the start. */
export function isCallKept(call: Call, storedCall: StoredCall | undefined): storedCall is StoredCall {
  return storedCall !== undefined && (storedCall.mayRepeat === true || call.checkpoint !== undefined);
}
