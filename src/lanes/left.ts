import { fromModernServer } from "../protocol/errors.ts";
import { isObject, type JsonText, toJson } from "../protocol/jsonrpc.ts";
import { META, resultMessage, withTasks } from "../protocol/modern.ts";
import type { ModernServer } from "../upstreams/modern-server.ts";
import { rejectAsRpcError } from "./bridge.ts";
import type { Subject } from "./classify.ts";
import { forward, forwardDiscover } from "./forward.ts";
import { type Asked, needsTime, waiterOf } from "./lane.ts";

/** Whether something is the gateway's that a modern server would be asked about. @throws StoreUnavailable */
export async function isOurs(asked: Asked, subject: Subject): Promise<boolean> {
  const { engine, held } = asked.route;
  const waiter = waiterOf(asked);
  if ("requestState" in subject) return held.isOurs(subject.requestState, waiter);
  for (const taskId of subject.taskIds) {
    if ((await engine.find(taskId, asked.owner, waiter)) !== undefined) return true;
  }
  return false;
}

/** Hands a request on to the server, and its answer to the client, untouched but for the mention of tasks. */
export async function pass(server: ModernServer, asked: Asked): Promise<void> {
  const { method, route } = asked;
  if (method === "tools/call") needsTime(asked);
  if (!isSubscription(asked)) return passAlong(server, asked);
  const giveBack = route.quotas.take("streams", asked.quotaKey);
  return passAlong(server, asked).finally(giveBack);
}

async function passAlong(server: ModernServer, asked: Asked): Promise<void> {
  const { http, method, id } = asked;
  if (http === undefined) return passMessage(server, asked);
  // A server of an older revision refuses so what it has never heard of.
  const onStatus = (status: number) => {
    if (REFUSALS.has(status)) server.doubt(asked.caller.headers);
  };
  if (method === "server/discover" && !server.hasTasks) return forwardDiscover(http, id, { onStatus });
  const lastWords = isSubscription(asked) ? { lastWords: resultMessage(id, endOfSubscription(asked)) } : {};
  return forward(http, { ...lastWords, onStatus });
}

const REFUSALS: ReadonlySet<number> = new Set([400, 404, 405, 406]);

function isSubscription({ method }: Asked): boolean {
  return method === "subscriptions/listen";
}

/** Says that a subscription ended in good order (2026-07-28, Subscriptions §Graceful Closure). */
function endOfSubscription({ id }: Asked): JsonText {
  return toJson({ resultType: "complete", _meta: { [META.subscriptionId]: id } });
}

/** The same for a client that is not on HTTP: message by message. */
async function passMessage(server: ModernServer, asked: Asked): Promise<void> {
  const { sessionOwner, id, method, params, reply, route } = asked;
  const { _meta } = params;
  const declared = isObject(_meta) ? _meta[META.clientCapabilities] : undefined;
  const owner = { ...sessionOwner, capabilities: isObject(declared) ? declared : {} };
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
