import type { ServerResponse } from "node:http";
import type { Route } from "../lanes/lane.ts";
import type { Audit, RefusalReason } from "../ops/audit.ts";
import type { RpcError } from "../protocol/errors.ts";
import { isObject } from "../protocol/jsonrpc.ts";

/** What is known of a request once it has been answered. */
export interface Attempt {
  /** Undefined when it was refused before it was known who is calling. */
  readonly caller: string | undefined;
  readonly message: unknown;
  /** What the gateway threw; undefined when the answer is the server's. */
  readonly error: RpcError | undefined;
}

/** Statuses that say that somebody may not, whoever has said so: the gateway, or the server on a forwarded request. */
const REFUSALS: Readonly<Record<number, RefusalReason>> = {
  401: "no valid credential",
  403: "forbidden",
  429: "limit",
};
/** What a client calls a method may be anything; only what could be one goes into a log. */
const METHOD = /^[\w/.$-]{1,100}$/;

/** Has it written down when a request is refused. Costs nothing where nobody wants to know. */
export function auditRefusal(
  audit: Audit | undefined,
  route: Route,
  response: ServerResponse,
  attempt: () => Attempt,
): void {
  if (audit === undefined) return;
  response.once("close", () => {
    const { caller, message, error } = attempt();
    // On a stream that was open already the status has been another.
    const status = error?.httpStatus ?? response.statusCode;
    const limit = error !== undefined && isObject(error.data) ? error.data.limit : undefined;
    const reason = typeof limit === "string" ? "limit" : REFUSALS[status];
    if (reason === undefined) return;
    const method = isObject(message) ? message.method : undefined;
    audit.refused({
      route: route.config.name,
      caller,
      ...(typeof method === "string" && METHOD.test(method) ? { method } : {}),
      status,
      ...(error === undefined ? {} : { code: error.code }),
      reason,
      ...(typeof limit === "string" ? { limit } : {}),
    });
  });
}
