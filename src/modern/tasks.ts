import { readInputResponses } from "../calls/input.ts";
import { within } from "../lib/within.ts";
import { rpc } from "../protocol/errors.ts";
import { type JsonText, toJson } from "../protocol/jsonrpc.ts";
import type { Admission } from "../requests/admission.ts";
import {
  type Handle,
  type Route,
  type Services,
  serverMeta,
  taskIdOf,
  waiterOf,
} from "../requests/request.ts";
import { modernDetailedTask } from "./task-view.ts";

/** How long other clients' answers wait for one that its client does not read. */
const UNREAD_MS = 5_000;

/** The methods of the Tasks extension. */
export function taskMethods({ engine, drain }: Pick<Services, "engine" | "drain">, admission: Admission) {
  /** `tasks/get` (Tasks §Task Polling). */
  const getTask: Handle = async (exchange) => {
    const { route, reply } = exchange;
    const view = await admission.polled(exchange);
    await admission.roomToTell(view, reply);
    engine.report({ kind: "read", task: view.task, method: "tasks/get" });
    const fields = { resultType: "complete", _meta: serverMeta(route) };
    reply.result(modernDetailedTask(view, engine.now(), fields));
    if (view.outcome !== undefined) drain.fetched(view.task.id);
    // Other answers wait while this one is on its way, but not for a client that does not read.
    const drained = reply.drained();
    if (drained !== undefined) await within(UNREAD_MS, drained);
  };

  /** `tasks/update` (Tasks §Task Update Requests). */
  const updateTask: Handle = async (exchange) => {
    const { route, owner, reply, params } = exchange;
    const taskId = taskIdOf(exchange);
    if (params.inputResponses === undefined) throw rpc.invalidParams("inputResponses must be an object");
    await engine.update(taskId, owner, readInputResponses(params), waiterOf(exchange));
    reply.result(acknowledgement(route));
  };

  /** `tasks/cancel` (Tasks §Task Cancellation). */
  const cancelTask: Handle = async (exchange) => {
    const { route, owner, reply } = exchange;
    await engine.cancel(taskIdOf(exchange), owner, waiterOf(exchange));
    reply.result(acknowledgement(route));
  };

  return { getTask, updateTask, cancelTask };
}

function acknowledgement(route: Route): JsonText {
  return toJson({ resultType: "complete", _meta: serverMeta(route) });
}
