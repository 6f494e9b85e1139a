import type { Checkpoint, StoredCall, TaskStore } from "../store/task-store.ts";

/** What it takes to resume a call that has been sent, or to send it again if that is allowed. */
export function asSent(storedCall: StoredCall): StoredCall {
  if (storedCall.mayRepeat) return storedCall;
  const { params: _, answers: _answers, ...rest } = storedCall;
  return rest;
}

/** A checkpoint as this store may keep it: cookies may be credentials, which only a sealed store may have. */
export function storable(checkpoint: Checkpoint, { isSealed }: Pick<TaskStore, "isSealed">): Checkpoint {
  if (isSealed || checkpoint.session.cookies === undefined) return checkpoint;
  const { cookies: _, ...session } = checkpoint.session;
  return { ...checkpoint, session };
}
