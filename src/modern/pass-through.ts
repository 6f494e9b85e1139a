import { onAbort } from "../lib/signal.ts";
import { fromModernServer } from "../protocol/errors.ts";
import {
  isObject,
  isSameId,
  type JsonObject,
  type JsonRpcNotification,
  type JsonText,
  progressTokenIn,
  toJson,
} from "../protocol/jsonrpc.ts";
import { declaresTasks, META, resultMessage } from "../protocol/modern.ts";
import type { Forwarder } from "../proxy/forwarder.ts";
import { amendedResult, withEventsExtension, withTasksExtension } from "../requests/amended.ts";
import type { Subject } from "../requests/classify.ts";
import { heartbeatFor } from "../requests/heartbeat.ts";
import { type Asked, needsTime, type Services, waiterOf } from "../requests/request.ts";
import type { ModernServer } from "../upstream/modern/server.ts";
import { hasProgress } from "../upstream/sessions/session.ts";
import { rejectAsRpcError } from "./bridge.ts";
import { tellsEvents } from "./told-events.ts";

/** Whether the subject of a request for a modern server is the gateway's. @throws StoreUnavailable */
export async function isOurs(
  { engine, awaitingInput }: Pick<Services, "engine" | "awaitingInput">,
  asked: Asked,
  subject: Subject,
): Promise<boolean> {
  const waiter = waiterOf(asked);
  if ("requestState" in subject) return awaitingInput.isOurs(subject.requestState, waiter);
  for (const taskId of subject.taskIds) {
    if ((await engine.find(taskId, asked.owner, waiter)) !== undefined) return true;
  }
  return false;
}

/** Passes requests on to a modern server, and its answers to the client, unchanged except for the mention of tasks. */
export function passer(
  { quotas, stopping, fallback, events }: Pick<Services, "quotas" | "stopping" | "fallback" | "events">,
  forwarder: Forwarder,
) {
  const checkTime = needsTime({ stopping });
  /** How to change the list of tools for this client; `undefined`: not at all. */
  const listing = ({ method, params, route }: Asked) =>
    method === "tools/list" && !declaresTasks(declaredIn(params))
      ? fallback.listing(route, params.cursor)
      : undefined;
  /** How to change what a server says of itself. */
  const description = (asked: Asked) => {
    if (asked.method !== "server/discover" || asked.server?.hasTasks) return undefined;
    return tellsEvents({ events }, asked)
      ? (answer: string) => withEventsExtension(withTasksExtension(answer))
      : withTasksExtension;
  };
  const pass = async (server: ModernServer, asked: Asked): Promise<void> => {
    const { toHttp, id } = asked;
    const amend = listing(asked) ?? description(asked);
    if (toHttp === undefined) return passMessage(server, asked, { stopping, amend });
    const http = toHttp();
    // A server of an older revision refuses requests that it does not know with one of these.
    const onStatus = (status: number) => {
      if (REFUSALS.has(status)) server.recheck(asked.caller.headers);
    };
    if (amend !== undefined) return forwarder.forwardAmended(http, id, amend, { onStatus });
    const acceptsStream = asked.reply.readsStreams;
    if (wantsHeartbeat(asked)) return forwarder.forwardCall(http, id, { acceptsStream, onStatus });
    const lastWords = isSubscription(asked) ? { lastWords: resultMessage(id, endOfSubscription(asked)) } : {};
    return forwarder.forward(http, { ...lastWords, onStatus });
  };
  return async (server: ModernServer, asked: Asked): Promise<void> => {
    if (asked.method === "tools/call") checkTime(asked);
    if (!isSubscription(asked)) return pass(server, asked);
    const giveBack = quotas.take("streams", asked.quotaKey);
    return pass(server, asked).finally(giveBack);
  };
}

const REFUSALS: ReadonlySet<number> = new Set([400, 404, 405, 406]);

function isSubscription({ method }: Asked): boolean {
  return method === "subscriptions/listen";
}

/** The result that ends a subscription in good order (2026-07-28, Subscriptions §Graceful Closure). */
function endOfSubscription({ id }: Asked): JsonText {
  return toJson({ resultType: "complete", _meta: { [META.subscriptionId]: id } });
}

/** Passes a request of a client that is not on HTTP: message by message. */
async function passMessage(
  server: ModernServer,
  asked: Asked,
  {
    stopping,
    amend,
  }: { readonly stopping: AbortSignal; readonly amend: ((answer: string) => string) | undefined },
): Promise<void> {
  const { sessionOwner, id, method, params, reply, route } = asked;
  const owner = { ...sessionOwner, capabilities: declaredIn(params) };
  const token = progressTokenIn(params);
  const heartbeat = wantsHeartbeat(asked)
    ? heartbeatFor(token, asked.route.policy(String(params.name)).heartbeatMs, (said) => reply.notify(said))
    : undefined;
  const hear = (notification: JsonRpcNotification) => {
    const { method: what, params: progress = {} } = notification;
    const isProgress = what === "notifications/progress" && isSameId(progress.progressToken, token);
    if (isProgress && hasProgress(progress)) heartbeat?.note(progress);
    reply.notify(notification);
  };
  const over = new AbortController();
  const leave = () => over.abort();
  const stop = () => {
    if (!isSubscription(asked)) return;
    reply.result(endOfSubscription(asked));
    leave();
  };
  const offGone = onAbort(reply.gone, leave);
  const offStopping = onAbort([stopping, route.leaving], stop);
  reply.counted?.sent();
  try {
    const response = await server
      .ask(owner, {
        // The client's own id, which names a subscription in every message on it.
        id,
        method,
        params,
        signal: over.signal,
        onNotification: hear,
      })
      .catch((error: unknown) => (over.signal.aborted ? undefined : rejectAsRpcError(error)));
    // The client has gone, or has got the end of its subscription.
    if (response === undefined) return;
    if ("error" in response) throw fromModernServer(response.error);
    const result = amend === undefined ? response.result : amendedResult(response.result, amend);
    reply.result(toJson(result));
  } finally {
    heartbeat?.stop();
    offGone();
    offStopping();
  }
}

/** Whether the client of a call may be told that it runs while the server is silent. */
function wantsHeartbeat({ method, params, route }: Asked): boolean {
  const isCall = method === "tools/call" && progressTokenIn(params) !== undefined;
  return isCall && route.policy(String(params.name)).heartbeatMs !== undefined;
}

/** What a client declares in a request that nobody has checked. */
function declaredIn({ _meta }: JsonObject): JsonObject {
  const declared = isObject(_meta) ? _meta[META.clientCapabilities] : undefined;
  return isObject(declared) ? declared : {};
}
