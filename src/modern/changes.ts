import { fromModernServer } from "../protocol/errors.ts";
import { isObject, type JsonObject } from "../protocol/jsonrpc.ts";
import { callParams } from "../protocol/modern.ts";
import { type Exchange, waiterOf } from "../requests/request.ts";
import type { TaskEngine } from "../tasks/engine.ts";
import { UpstreamFailure } from "../upstream/failure.ts";
import { inTime } from "../upstream/in-time.ts";
import type { ModernServer } from "../upstream/modern/server.ts";
import { nextRequestId } from "../upstream/request-ids.ts";
import { rejectAsRpcError } from "./bridge.ts";

export type Tell = (method: string, params: JsonObject) => void;

export interface ServerChanges {
  /** The part of the filter that the server can serve. */
  readonly honoured: JsonObject;
  /** Reports the changes since the subscription was made, then each further one. */
  begin(tell: Tell): void;
}

const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";
const METHOD_NOT_FOUND = -32601;
/** How long a server may take to acknowledge a subscription. */
const PATIENCE_MS = 60_000;
/** How many notifications to keep until the client can get them; a server that sends more has sent the same several times. */
const MAX_EARLY = 1_000;
const NOTHING: ServerChanges = { honoured: {}, begin: () => {} };

/**
 * Subscribes at a server of 2026-07-28 to everything in the client's filter but the gateway's own tasks. Aborts `ended`, and so ends the
 * client's subscription, when the server ends its own.
 * @throws RpcError when the server refuses
 */
export async function followModern(
  exchange: Exchange,
  server: ModernServer,
  ended: AbortController,
  engine: TaskEngine,
): Promise<ServerChanges> {
  const notifications = await serversPart(exchange, server, engine);
  if (Object.keys(notifications).length === 0) return NOTHING;
  const params = server.hasTasks ? exchange.params : callParams(exchange.params);
  const { tell, begin } = untilBegun();
  let acknowledge: (honoured: JsonObject) => void = () => {};
  const acknowledged = new Promise<JsonObject>((resolve) => {
    acknowledge = resolve;
  });
  const answered = server.ask(exchange.sessionOwner, {
    id: nextRequestId(),
    method: "subscriptions/listen",
    params: { ...params, notifications },
    signal: ended.signal,
    onNotification: ({ method, params: what = {} }) => {
      if (method === ACKNOWLEDGED) acknowledge(isObject(what.notifications) ? what.notifications : {});
      else tell(method, what);
    },
  });
  const honoured = await inTime(PATIENCE_MS, Promise.race([acknowledged, refusalIn(answered)]), () => {
    ended.abort();
    return new UpstreamFailure(`The server did not acknowledge within ${PATIENCE_MS} ms`, {
      mayHaveRun: true,
    });
  }).catch(rejectAsRpcError);
  const end = () => ended.abort();
  // A stream that breaks has no answer, and the client must see its own stream break as well.
  const breakOff = () => {
    if (!ended.signal.aborted) exchange.reply.drop();
    end();
  };
  if (honoured !== undefined) answered.then(end, breakOff);
  return { honoured: honoured ?? {}, begin };
}

/** Keeps the changes that are told before `begin`. */
export function untilBegun(): Pick<ServerChanges, "begin"> & { readonly tell: Tell } {
  let listener: Tell | undefined;
  const early: Parameters<Tell>[] = [];
  return {
    tell: (...change) => {
      if (listener !== undefined) listener(...change);
      else if (early.length < MAX_EARLY) early.push(change);
    },
    begin: (to) => {
      listener = to;
      for (const change of early.splice(0)) to(...change);
    },
  };
}

/** The part of the filter that is not about the gateway's tasks. */
async function serversPart(
  exchange: Exchange,
  server: ModernServer,
  engine: TaskEngine,
): Promise<JsonObject> {
  const { params } = exchange;
  const { taskIds, ...rest } = isObject(params.notifications) ? params.notifications : {};
  if (!server.hasTasks || !Array.isArray(taskIds)) return rest;
  const others: unknown[] = [];
  for (const taskId of taskIds) {
    const view = await engine.find(String(taskId), exchange.owner, waiterOf(exchange));
    if (view === undefined) others.push(taskId);
  }
  return others.length === 0 ? rest : { ...rest, taskIds: others };
}

/** `undefined` for a server without subscriptions, which honours nothing. @throws RpcError for every other refusal */
async function refusalIn(answered: ReturnType<ModernServer["ask"]>): Promise<JsonObject | undefined> {
  const response = await answered;
  if (!("error" in response)) return {};
  if (response.error.code === METHOD_NOT_FOUND) return undefined;
  throw fromModernServer(response.error);
}
