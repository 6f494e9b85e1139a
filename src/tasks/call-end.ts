import { type RpcError, rpc, toRpcError } from "../protocol/errors.ts";
import type { JsonObject, JsonRpcError, JsonRpcResponse } from "../protocol/jsonrpc.ts";
import { ofNoType } from "../protocol/legacy.ts";
import { UpstreamFailure } from "../upstreams/failure.ts";

/**
 * How a call ended: a closed list. `ours` is an error that the gateway made, which is not the server's word; `isModern` an
 * error of a server that speaks 2026-07-28 itself, whose code needs no translation. `left` is an end in this process only: the call
 * may go on, and somebody else is going to know how it ends.
 */
export type CallEnd =
  | { readonly kind: "result"; readonly result: JsonObject }
  | { readonly kind: "error"; readonly error: JsonRpcError; readonly isModern?: true }
  | { readonly kind: "ours"; readonly error: RpcError; readonly failure?: UpstreamFailure }
  | { readonly kind: "cancelled"; readonly reason: string }
  | { readonly kind: "left" };

/** The end that the server's answer is. `isBridged`: the client speaks 2026-07-28, and the server does not. */
export function toEnd(response: JsonRpcResponse, isModern: boolean, isBridged = false): CallEnd {
  if (!("error" in response))
    return { kind: "result", result: isBridged ? ofNoType(response.result) : response.result };
  return { kind: "error", error: response.error, ...(isModern ? { isModern } : {}) };
}

/** The end that a fault is; what the server refused with is told as the server put it. */
export function toErrorEnd(caught: unknown): CallEnd {
  if (!(caught instanceof UpstreamFailure)) return { kind: "ours", error: toRpcError(caught) };
  return { kind: "ours", error: rpc.upstreamFailed(caught.message, caught.facts), failure: caught };
}

/** The end of a call that took longer than it may. @param maxRuntimeMs absent where it is only what is left of it */
export function overdue(isSent: boolean, maxRuntimeMs: number | undefined): CallEnd {
  const [what, ending] = isSent ? ["ran", "was cancelled"] : ["waited", "was never sent"];
  const limit = maxRuntimeMs === undefined ? "maxRuntime" : `maxRuntime (${maxRuntimeMs} ms)`;
  return { kind: "ours", error: rpc.internal(`The call ${what} longer than ${limit} and ${ending}`) };
}
