import type { Call } from "../calls/call.ts";
import type { NewTask, StoredCall, TaskId, TaskStore } from "../store/task-store.ts";
import { progressMessage } from "./state.ts";
import { asSent, storable } from "./storable.ts";

/** What the gateway knows of a task apart from its call. */
export interface CallTask
  extends Omit<
    NewTask,
    "statusMessage" | "inputRequests" | "storedCall" | "checkpoint" | "pause" | "isUnsent"
  > {
  /** The id that the task has to have, which must be as hard to guess as one of the store's. Absent: the store chooses one. */
  readonly id?: TaskId;
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
}

/** The task that a call becomes, with the call's present state, for a store. */
export function asNewTask(
  call: Call,
  task: CallTask,
  storedCall: StoredCall | undefined,
  { isUnsent, isSealed }: Pick<TaskDraft, "isUnsent"> & Pick<TaskStore, "isSealed">,
): NewTask {
  const begun = call.progress === undefined ? "running" : progressMessage(call.progress);
  const statusMessage = call.state === "queued" ? "queued" : begun;
  const { checkpoint, inputRequests } = call;
  return {
    ...task,
    statusMessage,
    inputRequests,
    ...(storedCall !== undefined && checkpoint !== undefined
      ? { checkpoint: storable(checkpoint, { isSealed }) }
      : {}),
    ...(isUnsent && storedCall !== undefined ? { storedCall, isUnsent } : {}),
    ...(!isUnsent && isCallKept(call, storedCall) ? { storedCall: asSent(storedCall) } : {}),
  };
}

/** Whether the stored call is of use from the start. */
export function isCallKept(call: Call, storedCall: StoredCall | undefined): storedCall is StoredCall {
  return storedCall !== undefined && (storedCall.mayRepeat === true || call.checkpoint !== undefined);
}
