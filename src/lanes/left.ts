import { fromModernServer, rpc } from "../protocol/errors.ts";
import { isObject, type JsonObject, type JsonText, toJson } from "../protocol/jsonrpc.ts";
import { declaresTasks, META, resultMessage, withTasks } from "../protocol/modern.ts";
import { isOurState } from "../tasks/held.ts";
import type { ModernServer } from "../upstreams/modern-server.ts";
import { rejectAsRpcError } from "./bridge.ts";
import { forward, forwardDiscover } from "./forward.ts";
import { type Asked, partyOf, senderOf, waiterOf } from "./lane.ts";
import { MAX_SUBJECTS } from "./share.ts";

/**
 * Whether a request is left to a server that speaks 2026-07-28 itself: all are, but for what has to do with tasks. A server
 * that makes tasks itself is never given others; tasks of ours, made before it did, can be asked for all the same.
 */
export async function isLeftTo(server: ModernServer, asked: Asked): Promise<boolean> {
  const { method, params, route } = asked;
  const { requestState } = params;
  switch (method) {
    case "tools/call":
    case "prompts/get":
    case "resources/read":
      // A server with tasks may be a gateway like this one, and its states look like ours.
      if (isOurState(requestState))
        return server.hasTasks && !(await route.held.isOurs(requestState, waiterOf(asked)));
      return method !== "tools/call" || server.hasTasks || !mayBecomeTask(asked);
    case "tasks/get":
    case "tasks/update":
    case "tasks/cancel":
      return server.hasTasks && !(await isOurs(asked, params.taskId));
    case "subscriptions/listen": {
      const taskIds = isObject(params.notifications) ? params.notifications.taskIds : undefined;
      if (taskIds === undefined) return true;
      return server.hasTasks && !(await anyIsOurs(asked, taskIds));
    }
    default:
      return true;
  }
}

/** Hands a request on to the server, and its answer to the client, untouched but for the mention of tasks. */
export async function pass(server: ModernServer, asked: Asked): Promise<void> {
  const { method, route } = asked;
  if (method === "tools/call" && route.stopping.aborted) throw rpc.stopping();
  if (!isSubscription(asked)) return passAlong(server, asked);
  const giveBack = route.quotas.take("streams", partyOf(asked));
  return passAlong(server, asked).finally(giveBack);
}

async function passAlong(server: ModernServer, asked: Asked): Promise<void> {
  const { http, method, params, id } = asked;
  if (http === undefined) return passMessage(server, asked);
  // A server of an older revision refuses so what it has never heard of.
  const onStatus = (status: number) => {
    if (REFUSALS.has(status)) server.doubt(asked.caller.headers);
  };
  if (method === "server/discover" && !server.hasTasks)
    return forwardDiscover({ ...http, id, method, params }, { onStatus });
  const lastWords = isSubscription(asked) ? { lastWords: resultMessage(id, endOfSubscription(asked)) } : {};
  return forward(http, { ...lastWords, onStatus });
}

const REFUSALS: ReadonlySet<number> = new Set([400, 404, 405, 406]);

/** Whether the policy would make a task of the call, or refuse it for want of one. */
function mayBecomeTask(asked: Asked): boolean {
  const { name } = asked.params;
  if (typeof name !== "string") return false;
  const { mode } = asked.route.policy(name);
  return mode === "required" || (mode !== "never" && declaresTasks(declaredBy(asked) ?? {}));
}

async function isOurs(asked: Asked, taskId: unknown): Promise<boolean> {
  if (typeof taskId !== "string") return false;
  return (await asked.route.engine.find(taskId, senderOf(asked), waiterOf(asked))) !== undefined;
}

async function anyIsOurs(asked: Asked, taskIds: unknown): Promise<boolean> {
  // More than can be listened to, or no list at all, the server may refuse.
  if (!Array.isArray(taskIds) || taskIds.length > MAX_SUBJECTS) return false;
  for (const taskId of taskIds) {
    if (await isOurs(asked, taskId)) return true;
  }
  return false;
}

function isSubscription({ method }: Asked): boolean {
  return method === "subscriptions/listen";
}

/** Says that a subscription ended in good order (2026-07-28, Subscriptions §Graceful Closure). */
function endOfSubscription({ id }: Asked): JsonText {
  return toJson({ resultType: "complete", _meta: { [META.subscriptionId]: id } });
}

/** The same for a client that is not on HTTP: message by message. */
async function passMessage(server: ModernServer, asked: Asked): Promise<void> {
  const { caller, id, method, params, reply, route } = asked;
  const owner = { caller: caller.key, headers: caller.headers, capabilities: declaredBy(asked) ?? {} };
  const over = new AbortController();
  const leave = () => over.abort();
  const stop = () => {
    if (!isSubscription(asked)) return;
    reply.result(endOfSubscription(asked));
    leave();
  };
  if (reply.gone.aborted) leave();
  reply.gone.addEventListener("abort", leave);
  route.stopping.addEventListener("abort", stop);
  try {
    const response = await server
      .ask(owner, {
        // The client's own id: it names a subscription in all that is said on it.
        id,
        method,
        params,
        signal: over.signal,
        onNotification: (notification) => void reply.notify(notification),
      })
      .catch((error: unknown) => (over.signal.aborted ? undefined : rejectAsRpcError(error)));
    // The client has gone, or has been told that it is over.
    if (response === undefined) return;
    if ("error" in response) throw fromModernServer(response.error);
    const { result } = response;
    const { capabilities } = result;
    const isAmended = method === "server/discover" && !server.hasTasks && isObject(capabilities);
    reply.result(toJson(isAmended ? { ...result, capabilities: withTasks(capabilities) } : result));
  } finally {
    reply.gone.removeEventListener("abort", leave);
    route.stopping.removeEventListener("abort", stop);
  }
}

function declaredBy({ params: { _meta } }: Asked): JsonObject | undefined {
  const declared = isObject(_meta) ? _meta[META.clientCapabilities] : undefined;
  return isObject(declared) ? declared : undefined;
}
