import type { RpcError } from "../protocol/errors.ts";
import { isObject } from "../protocol/jsonrpc.ts";
import type { RefusalReason } from "../tasks/task-event.ts";

export interface Refusal {
  readonly reason: RefusalReason;
  /** The setting, if a limit is the reason and the gateway said which. */
  readonly limit?: string;
}

/** Statuses of a refusal, by the gateway, or by the server on a forwarded request. */
const REASONS: Readonly<Record<number, RefusalReason>> = {
  401: "no valid credential",
  403: "forbidden",
  429: "limit",
};

/** Why a request was refused. `undefined`: it was not. @param error the gateway's own, if there is one */
export function refusalIn(status: number, error: RpcError | undefined): Refusal | undefined {
  const limit = error !== undefined && isObject(error.data) ? error.data.limit : undefined;
  if (typeof limit === "string") return { reason: "limit", limit };
  const reason = REASONS[status];
  return reason && { reason };
}
