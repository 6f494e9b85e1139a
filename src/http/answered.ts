import type { ServerResponse } from "node:http";
import { refusalIn } from "../observers/refusal.ts";
import type { RpcError } from "../protocol/errors.ts";
import { isObject } from "../protocol/jsonrpc.ts";
import type { Route } from "../requests/request.ts";
import type { Observer } from "../tasks/task-event.ts";

/** A request that the gateway is done with. */
export interface Answered {
  readonly route: Route;
  /** Undefined when the gateway refused it before it knew the caller. */
  readonly caller: string | undefined;
  readonly message: unknown;
  /** The error that the gateway threw; undefined when the answer is the server's. */
  readonly error: RpcError | undefined;
}

/** Clients may send any text as a method; only one that could be a method goes into a log. */
const METHOD = /^[\w/.$-]{1,100}$/;

/** Reports the request if it was refused, as soon as the status of the answer is known. */
export function reportRefusal(report: Observer, response: ServerResponse, answered: Answered): void {
  if (response.headersSent) reportNow(report, response, answered);
  else response.once("close", () => reportNow(report, response, answered));
}

function reportNow(report: Observer, response: ServerResponse, answered: Answered): void {
  const { route, caller, message, error } = answered;
  // On a stream that was open already, the response has another status.
  const status = error?.httpStatus ?? response.statusCode;
  const refusal = refusalIn(status, error);
  if (refusal === undefined) return;
  const method = isObject(message) ? message.method : undefined;
  report({
    kind: "refused",
    route: route.config.name,
    caller,
    ...(typeof method === "string" && METHOD.test(method) ? { method } : {}),
    status,
    ...(error === undefined ? {} : { code: error.code }),
    ...refusal,
  });
}
