import { rpc } from "../protocol/errors.ts";
import { type JsonText, toJson } from "../protocol/jsonrpc.ts";
import { readInputResponses } from "../tasks/input.ts";
import { modernDetailedTask } from "../tasks/view.ts";
import { type Lane, type Route, serverMeta, taskIdOf, waiterOf } from "./lane.ts";
import { polled } from "./share.ts";

/** `tasks/get` (Tasks §Task Polling). */
export const getTask: Lane = async (exchange) => {
  const { route, reply } = exchange;
  const view = await polled(exchange);
  route.engine.audit?.read(view.task, "tasks/get");
  const fields = { resultType: "complete", _meta: serverMeta(route) };
  reply.result(modernDetailedTask(view, route.engine.now(), fields));
  if (view.outcome !== undefined) route.drain.fetched(view.task.id);
};

/** `tasks/update` (Tasks §Task Update Requests). */
export const updateTask: Lane = async (exchange) => {
  const { route, reply, params } = exchange;
  const taskId = taskIdOf(exchange);
  if (params.inputResponses === undefined) throw rpc.invalidParams("inputResponses must be an object");
  const answers = readInputResponses(params);
  await route.engine.update(taskId, exchange.owner, answers, waiterOf(exchange));
  reply.result(acknowledgement(route));
};

/** `tasks/cancel` (Tasks §Task Cancellation). */
export const cancelTask: Lane = async (exchange) => {
  const { route, reply } = exchange;
  await route.engine.cancel(taskIdOf(exchange), exchange.owner, waiterOf(exchange));
  reply.result(acknowledgement(route));
};

function acknowledgement(route: Route): JsonText {
  return toJson({ resultType: "complete", _meta: serverMeta(route) });
}
