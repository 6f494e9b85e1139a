import type { JsonObject, JsonRpcResponse } from "../protocol/jsonrpc.ts";
import type { Description } from "./facts.ts";
import type { Trial } from "./trial.ts";

/** A server that can be asked things, in whichever era and over whichever transport. */
export interface Speaker {
  readonly description: Description;
  /** @throws UpstreamFailure when no answer comes in time */
  ask(method: string, params?: JsonObject, timeoutMs?: number): Promise<JsonRpcResponse>;
  /** Never rejects. */
  close(): Promise<void>;
}

/** One that can be called with everything a call may bring. */
export interface Caller extends Speaker {
  /** Makes the call of a trial, and settles when that has ended. Never rejects. */
  call(trial: Trial): Promise<void>;
}
