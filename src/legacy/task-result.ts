import { onAbort } from "../lib/signal.ts";
import { RpcError, rpc } from "../protocol/errors.ts";
import type { Admission } from "../requests/admission.ts";
import { streamOf } from "../requests/client-stream.ts";
import { type Handler, type Services, taskIdOf, waiterOf } from "../requests/request.ts";
import type { TaskView } from "../store/task-store.ts";
import { follow } from "../tasks/follow.ts";
import type { LegacyServices } from "./client-streams.ts";
import { legacyResult } from "./task-view.ts";
import type { SessionRequest } from "./tasks.ts";

/**
 * `tasks/result`: waits for the task to end, and meanwhile passes its server's questions to the client (Tasks §Retrieving Task Results).
 * The client may leave and come back, and several requests may wait.
 */
export function resultGetter(
  services: Pick<LegacyServices, "engine" | "drain" | "clientStreams" | "quotas" | "stopping">,
  admission: Pick<Admission, "roomToTell">,
): Handler<SessionRequest>["handle"] {
  const { engine, drain, clientStreams, quotas, stopping } = services;
  return async (request) => {
    const { reply, session, id } = request;
    const taskId = taskIdOf(request);
    const { owner } = request;
    const isElsewhere = () => engine.callOf(taskId) === undefined;
    if (stopping.aborted && isElsewhere()) {
      const view = await engine.get(taskId, owner, waiterOf(request));
      if (view.outcome === undefined) throw rpc.stopping();
      await admission.roomToTell(view, reply);
      return answerWith(services, request, view);
    }
    const over = new AbortController();
    const letGo = () => over.abort();
    // A gateway that stops waits for its own calls to end; other gateways can answer for tasks that run elsewhere.
    const stop = () => {
      if (isElsewhere()) letGo();
    };
    const offOver = onAbort([reply.gone, drain.over], letGo);
    const offStopping = onAbort(stopping, stop);
    const answered = drain.attend();
    const taken = session === undefined ? () => {} : clientStreams.wait(session, id, { task: taskId, letGo });
    let leave = () => {};
    let giveBack = () => {};
    try {
      let isWaiting = false;
      const look = (seen: TaskView) => {
        if (seen.outcome !== undefined) return seen;
        if (isWaiting) return undefined;
        isWaiting = true;
        // A request that need not wait takes no place.
        giveBack = quotas.take("streams", request.quotaKey);
        leave = clientStreams.attend(taskId, owner, streamOf(reply, over.signal));
        reply.keepAlive();
        return undefined;
      };
      const waiter = () => ({ ...waiterOf(request)(), gone: over.signal });
      const view = await follow(engine, taskId, owner, over.signal, look, waiter);
      if (view !== undefined) {
        await admission.roomToTell(view, reply);
        answerWith(services, request, view);
      } else if (stopping.aborted) throw rpc.stopping();
      else reply.drop();
    } finally {
      answered();
      over.abort();
      leave();
      taken();
      giveBack();
      offOver();
      offStopping();
    }
  };
}

/** Answers exactly what the server answered, result or error (Tasks §Result Retrieval). */
function answerWith(
  { engine, drain }: Pick<Services, "engine" | "drain">,
  { reply }: SessionRequest,
  { task, outcome }: TaskView,
): void {
  engine.report({ kind: "read", task, method: "tasks/result" });
  drain.fetched(task.id);
  switch (outcome?.kind) {
    case "completed":
      return reply.result(legacyResult(task.id, outcome.result));
    case "failed":
      throw new RpcError(outcome.error);
    case "cancelled":
      throw rpc.internal(`The task was cancelled: ${outcome.reason ?? "no reason was given"}`);
    case "lost":
      throw rpc.internal(outcome.reason);
    case undefined:
      throw new Error("a task that has not ended has no result");
  }
}
