import { rpc } from "../protocol/errors.ts";
import { isObject, isRequestId, type JsonObject } from "../protocol/jsonrpc.ts";
import { TASKS_2025 } from "../protocol/legacy.ts";
import { sessionKey } from "./backchannels.ts";
import { isTaskMethod, type LegacyForm } from "./classify.ts";
import { clientSession, sessionIdOf } from "./client-session.ts";
import {
  forward,
  forwardCall,
  forwardInitialize,
  forwardStream,
  forwardTo,
  forwardToolList,
} from "./forward.ts";
import { type Handler, type HttpExchange, handleBy, needsTime, waiterOf } from "./lane.ts";
import type { SessionRequest } from "./session-request.ts";
import { admitted } from "./share.ts";
import { HANDLERS_2025, isLeftToServer, takeAnswer } from "./tasks-2025.ts";

const STREAM: Handler<HttpExchange> = { handle: forwardStream, needs: [needsTime] };

/**
 * Answers a legacy client: its server does, byte for byte, but for what has to do with tasks in sessions of 2025-11-25. What the
 * body says is looked at, and forwarded as it came.
 */
export async function answerLegacy(exchange: HttpExchange, form: LegacyForm): Promise<void> {
  if (form === "stream") return handleBy(STREAM, exchange);
  const admission = admit(exchange);
  if (admission !== undefined) await admission;
  const message = isObject(exchange.message) ? exchange.message : {};
  switch (form) {
    case "answer":
      return answered(exchange, message);
    case "cancellation":
      return takeBack(exchange, message.params);
    case "initialize":
      return forwardInitialize(exchange, requestIn(message).id);
    case "call":
      return forwardCall(exchange, requestIn(message).id);
    case "tasks":
      return answerAboutTasks(exchange, requestIn(message));
    case "other":
      return forward(exchange);
  }
}

/**
 * Passes a message on to where the server wants those of HTTP+SSE posted (2024-11-05, Transports §HTTP with SSE); what it has to say to it
 * comes on the client's stream.
 * @param path at the server, query included
 */
export async function passMessage(path: string, exchange: HttpExchange): Promise<void> {
  const admission = admit(exchange);
  if (admission !== undefined) await admission;
  return forwardTo(path, exchange, { isForMessages: true });
}

/** Lets a message through as often as its like may come; `undefined`: at once. @throws RpcError */
function admit(exchange: HttpExchange): Promise<void> | undefined {
  const { message } = exchange;
  const checkTime = () => {
    if (isCall(message)) needsTime(exchange);
  };
  checkTime();
  return admitted(exchange, message)?.then(checkTime);
}

/** Whether it is a call, or a batch with one, of which nobody knows how long it takes. */
function isCall(message: unknown): boolean {
  if (Array.isArray(message)) return message.some(isCall);
  return isObject(message) && message.method === "tools/call";
}

type LegacyRequest = Pick<SessionRequest, "id" | "params"> & { readonly method: string };

/** @throws -32600 for a call without an id: a server that takes it would answer it, but no policy would have been asked */
function requestIn({ id, method, params }: JsonObject): LegacyRequest {
  if (!isRequestId(id))
    throw rpc.invalidRequest(
      "the id of a tools/call must be an integer, or a text of at most 1024 characters",
    );
  return { id, method: String(method), params: isObject(params) ? params : {} };
}

async function answerAboutTasks(exchange: HttpExchange, request: LegacyRequest): Promise<void> {
  const { id, method, params } = request;
  const taskId = method.startsWith("tasks/") ? params.taskId : undefined;
  const waiter = waiterOf({ ...exchange, params });
  if (isTaskMethod(method) && !(await isLeftToServer(exchange, taskId, waiter)))
    return handleBy(HANDLERS_2025[method], inSession(exchange, request));
  return method === "tools/call" ? forwardCall(exchange, id) : forward(exchange);
}

async function answered(exchange: HttpExchange, answer: JsonObject): Promise<void> {
  return (await takeAnswer(exchange, answer, waiterOf({ ...exchange, params: answer })))
    ? exchange.reply.acknowledge()
    : forward(exchange);
}

/** The session of 2025-11-25 that a request is made in, by which the server knows it too. */
function inSession(exchange: HttpExchange, { id, params }: LegacyRequest): SessionRequest {
  const { route, caller, owner, quotaKey, sessionOwner, reply, request, held } = exchange;
  return {
    route,
    caller,
    owner,
    quotaKey,
    sessionOwner,
    held,
    id,
    params,
    reply,
    session: sessionKey(owner, sessionIdOf(request)),
    joiner: () => {
      const session = clientSession(request, caller, TASKS_2025);
      return { session, join: (holder) => route.upstream.join(session, holder) };
    },
    pass: () => forwardCall(exchange, id),
    passToolList: (supportOf) => forwardToolList(exchange, id, supportOf),
  };
}

/** A client that does not want to wait for a task's result any longer (2025-11-25, Cancellation). */
async function takeBack(exchange: HttpExchange, params: unknown): Promise<void> {
  const { route, request, reply } = exchange;
  const session = sessionKey(exchange.owner, sessionIdOf(request));
  const isOurs =
    session !== undefined && isObject(params) && route.backchannels.letGo(session, params.requestId);
  return isOurs ? reply.acknowledge() : forward(exchange);
}
