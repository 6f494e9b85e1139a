import type { Checkpoint, StoredCall, TaskRecord, TaskStore } from "../store/task-store.ts";

/** What it takes to resume a call that has been sent, or to send it again if that is allowed. */
export function asSent(storedCall: StoredCall): StoredCall {
  if (storedCall.mayRepeat) return storedCall;
  const { params: _, answers: _answers, ...rest } = storedCall;
  return rest;
}

/** What the store keeps of a stored call beside this record: all of it for as long as something of the call is certainly unsent. */
export function keptBeside({ isUnsent, pause }: TaskRecord, storedCall: StoredCall): StoredCall {
  return isUnsent || pause !== undefined ? storedCall : asSent(storedCall);
}

/** A checkpoint as this store may keep it: cookies may be credentials, which only a sealed store may have. */
export function storable(checkpoint: Checkpoint, { isSealed }: Pick<TaskStore, "isSealed">): Checkpoint {
  if (isSealed || checkpoint.session.cookies === undefined) return checkpoint;
  const { cookies: _, ...session } = checkpoint.session;
  return { ...checkpoint, session };
}
