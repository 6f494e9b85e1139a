import type { Logger } from "pino";
import { throttled } from "../log/throttled.ts";
import { RpcError, rpc, toRpcError } from "../protocol/errors.ts";
import { isObject } from "../protocol/jsonrpc.ts";
import { StoreUnavailable } from "../store/task-store.ts";

/** Makes the client's answer from any caught value. An unforeseen error tells the client nothing, so the operator gets it in the log. */
export function toAnswer(caught: unknown, log: Logger, message: unknown): RpcError {
  if (caught instanceof RpcError) return caught;
  const method = isObject(message) ? message.method : undefined;
  if (caught instanceof StoreUnavailable) {
    // Every request meets this error for as long as it lasts.
    throttled(log).say("error", { err: caught, method }, "the store is not available");
    return rpc.storeUnavailable();
  }
  log.error({ err: caught, method }, "a request failed");
  return toRpcError(caught);
}
