import type { Logger } from "pino";
import { RpcError, rpc, toRpcError } from "../protocol/errors.ts";
import { isObject } from "../protocol/jsonrpc.ts";
import { StoreUnavailable } from "../stores/task-store.ts";

/** What the client is told; of what was not foreseen that is nothing, so the operator has to be told. */
export function toAnswer(caught: unknown, log: Logger, message: unknown): RpcError {
  if (caught instanceof RpcError) return caught;
  const method = isObject(message) ? message.method : undefined;
  const isStore = caught instanceof StoreUnavailable;
  log.error({ err: caught, method }, isStore ? "the store is not available" : "a request failed");
  return isStore ? rpc.storeUnavailable() : toRpcError(caught);
}
