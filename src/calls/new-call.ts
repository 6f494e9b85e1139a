import type { TaskRecord } from "../store/task-store.ts";
import { Call, type CallOptions } from "./call.ts";

/**
 * Makes a call at the server of this name.
 * @param task with whose call this one goes on; absent: it is the call of the request that is being answered
 */
export type NewCall = (server: string, options: CallOptions, task?: Pick<TaskRecord, "trace">) => Call;

/** Makes a call in no trace. */
export const plainCall: NewCall = (_server, options) => new Call(options);
