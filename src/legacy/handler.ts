import { rpc } from "../protocol/errors.ts";
import { isObject, isRequestId, type JsonObject, type RequestId } from "../protocol/jsonrpc.ts";
import { declaresAnyTasks } from "../protocol/legacy.ts";
import { TRACE_HEADERS } from "../protocol/trace-context.ts";
import type { Forwarder } from "../proxy/forwarder.ts";
import { Admission } from "../requests/admission.ts";
import { isTaskMethod, type LegacyForm } from "../requests/classify.ts";
import { clientSession, sessionIdOf } from "../requests/client-session.ts";
import { offeredBy, ownTool } from "../requests/fallback.ts";
import { withIdempotencyKey } from "../requests/idempotency.ts";
import {
  type HttpExchange,
  handleBy,
  type Need,
  needsTime,
  type Route,
  waiterOf,
} from "../requests/request.ts";
import { type LegacyServices, type SessionKey, sessionKey } from "./client-streams.ts";
import { LegacyForwarder } from "./forward.ts";
import { ForwardedCalls } from "./forwarded-calls.ts";
import { PairedHttp } from "./paired/http.ts";
import { PairedSession, type PairedSessionOptions } from "./paired/session.ts";
import { PlainCalls } from "./plain-calls.ts";
import { type SessionRequest, Tasks2025 } from "./tasks.ts";

/**
 * Answers legacy clients: their server does, byte for byte, except for what concerns tasks in sessions of 2025-11-25. The gateway reads the
 * body, and forwards it as it came.
 */
export class LegacyHandler {
  /** The sessions over HTTP whose requests cannot be forwarded as they are. */
  readonly pairs: PairedHttp;
  readonly #services: LegacyServices;
  readonly #forwarder: Forwarder;
  readonly #amended: LegacyForwarder;
  readonly #admission: Admission;
  readonly #tasks: Tasks2025;
  readonly #plain: PlainCalls;
  readonly #forwarded = new ForwardedCalls();
  readonly #needsTime: Need<Pick<HttpExchange, "route">>;

  constructor(services: LegacyServices, forwarder: Forwarder) {
    this.#services = services;
    this.#forwarder = forwarder;
    this.#amended = new LegacyForwarder(forwarder, services);
    this.#admission = new Admission(services);
    this.#plain = new PlainCalls(services, this.#admission);
    this.#tasks = new Tasks2025(services, this.#admission, this.#plain);
    this.#needsTime = needsTime(services);
    const newPair = (options: PairedSessionOptions) => this.newPair(options);
    this.pairs = new PairedHttp({ ...services, admission: this.#admission, newPair });
  }

  /** A session paired with one at the server, message by message. */
  newPair(options: PairedSessionOptions): PairedSession {
    return new PairedSession(options, this.#services, { tasks: this.#tasks, plain: this.#plain });
  }

  /** Returns whether the request is answered: not if its server has just turned out to speak only 2026-07-28, so that it is a pair's. */
  async answer(exchange: HttpExchange, form: LegacyForm): Promise<boolean> {
    if (form === "initialize") return this.#initialize(exchange);
    await this.#answer(exchange, form);
    return true;
  }

  async #answer(exchange: HttpExchange, form: Exclude<LegacyForm, "initialize">): Promise<void> {
    if (form === "stream") {
      // A removed server may still have an answer to send on it.
      if (this.#services.stopping.aborted) throw rpc.stopping();
      return this.#amended.stream(exchange);
    }
    const admission = this.#admit(exchange);
    if (admission !== undefined) await admission;
    const message = isObject(exchange.message) ? exchange.message : {};
    const { method } = message;
    if (method === "tools/call" || method === "tools/list") {
      const looking = this.#plain.look(
        exchange.route,
        sessionKey(exchange.owner, sessionIdOf(exchange.request)),
      );
      if (looking !== undefined) await looking;
    }
    switch (form) {
      case "answer":
        return this.#takeAnswer(exchange, message);
      case "cancellation":
        return this.#takeBack(exchange, message.params);
      case "call":
        return this.#callPlainly(exchange, requestIn(message));
      case "tasks":
        return this.#answerAboutTasks(exchange, requestIn(message));
      case "other":
        return this.#listTools(exchange, message) ?? this.#forwarder.forward(exchange);
    }
  }

  /** Notes a session whose client declares tasks, of either generation. */
  async #initialize(exchange: HttpExchange): Promise<boolean> {
    const { upstream } = exchange.route;
    const wasOnlyModern = upstream.isOnlyModern;
    await this.#admit(exchange);
    const { id, params } = requestIn(isObject(exchange.message) ? exchange.message : {});
    await upstream.starting(exchange.caller.headers);
    // Another client's session has shown it meanwhile.
    if (upstream.isOnlyModern && !wasOnlyModern) return false;
    if (!declaresAnyTasks(params.capabilities)) return this.#amended.initialize(exchange, id);
    return this.#amended.initialize(exchange, id, ({ headers }) => {
      this.#plain.noteForAll(exchange.route, sessionKey(exchange.owner, sessionIdOf({ headers })));
    });
  }

  /** A call without `task`: byte for byte, unless it may become a task for a client that knows none. */
  #callPlainly(exchange: HttpExchange, request: LegacyRequest): Promise<void> {
    const inSession = this.#inSession(exchange, request);
    return offeredBy(exchange.route) === undefined ? inSession.pass() : this.#plain.call(inSession);
  }

  /** `tools/list` of an older revision, if the gateway adds tools of its own; `undefined`: it is the server's. */
  #listTools(exchange: HttpExchange, { method, id, params }: JsonObject): Promise<void> | undefined {
    if (method !== "tools/list" || !isRequestId(id)) return undefined;
    const { owner, route, request } = exchange;
    const session = sessionKey(owner, sessionIdOf(request));
    const amend = this.#plain.listing(route, session, isObject(params) ? params : {});
    return amend && this.#forwarder.forwardAmended(exchange, id, amend);
  }

  /**
   * Passes a message on to where the server wants those of HTTP+SSE posted (2024-11-05, Transports §HTTP with SSE). The server answers on
   * the client's stream.
   * @param path at the server, query included
   */
  async passMessage(path: string, exchange: HttpExchange): Promise<void> {
    const admission = this.#admit(exchange);
    if (admission !== undefined) await admission;
    return this.#forwarder.forwardTo(path, exchange, { isForMessages: true });
  }

  /** Lets a message through at the rate for its kind; `undefined`: at once. @throws RpcError */
  #admit(exchange: HttpExchange): Promise<void> | undefined {
    const { message } = exchange;
    const checkTime = () => {
      if (isCall(message, exchange.route)) this.#needsTime(exchange);
    };
    checkTime();
    return this.#admission.admitted(exchange, message)?.then(checkTime);
  }

  async #answerAboutTasks(exchange: HttpExchange, request: LegacyRequest): Promise<void> {
    const { owner, reply } = exchange;
    const { id, method, params } = request;
    const taskId = method.startsWith("tasks/") ? params.taskId : undefined;
    const waiter = waiterOf({ owner, params, reply });
    if (isTaskMethod(method) && !(await this.#tasks.isLeftToServer(exchange, taskId, waiter)))
      return handleBy(this.#tasks.handlers[method], this.#inSession(exchange, request));
    if (method !== "tools/call")
      return this.#listTools(exchange, { method, id, params }) ?? this.#forwarder.forward(exchange);
    return params.task === undefined
      ? this.#callPlainly(exchange, request)
      : this.#amended.call(exchange, id);
  }

  async #takeAnswer(exchange: HttpExchange, answer: JsonObject): Promise<void> {
    const { owner, reply } = exchange;
    return (await this.#tasks.takeAnswer(exchange, answer, waiterOf({ owner, params: answer, reply })))
      ? reply.acknowledge()
      : this.#forwarder.forward(exchange);
  }

  /** The request in its session of 2025-11-25, which the server knows too. */
  #inSession(exchange: HttpExchange, { id, params }: LegacyRequest): SessionRequest {
    const { route, caller, owner, quotaKey, sessionOwner, reply, request, held, query, trace } = exchange;
    const session = sessionKey(owner, sessionIdOf(request));
    return {
      route,
      caller,
      owner,
      quotaKey,
      sessionOwner,
      held,
      id,
      params: withIdempotencyKey(params, request.headers),
      reply,
      session,
      joiner: () => {
        // Where the gateway adds spans, the call has a trace context of its own.
        const withheld = [...TRACE_HEADERS, ...(caller.withheld ?? [])];
        const joined = clientSession(request, trace === undefined ? caller : { withheld });
        if (query.length < 2)
          return { session: joined, join: (holder) => route.upstream.join(joined, holder) };
        // The query may be a credential, and is not stored: no other gateway can go on with the call.
        return { join: (holder) => route.upstream.join({ ...joined, query }, holder) };
      },
      pass: () => this.#passCall(exchange, id, session),
      passToolList: (amend) => this.#forwarder.forwardAmended(exchange, id, amend),
    };
  }

  #passCall(exchange: HttpExchange, id: RequestId, session: SessionKey | undefined): Promise<void> {
    const { counted } = exchange.reply;
    const answered = this.#amended.call(exchange, id);
    if (session === undefined || counted === undefined) return answered;
    return answered.finally(this.#forwarded.add(session, id, counted));
  }

  /** Takes the cancellation of a request that waits for a task's result (2025-11-25, Cancellation); every other is the server's. */
  async #takeBack(exchange: HttpExchange, params: unknown): Promise<void> {
    const { owner, request, reply } = exchange;
    const { clientStreams } = this.#services;
    const session = sessionKey(owner, sessionIdOf(request));
    if (session !== undefined && isObject(params)) this.#forwarded.abandoned(session, params.requestId);
    const isOurs =
      session !== undefined && isObject(params) && clientStreams.letGo(session, params.requestId);
    return isOurs ? reply.acknowledge() : this.#forwarder.forward(exchange);
  }
}

/** Whether a message is a call, or a batch with one, for which the server may take any time. */
function isCall(message: unknown, route: Route): boolean {
  if (Array.isArray(message)) return message.some((each) => isCall(each, route));
  if (!isObject(message) || message.method !== "tools/call") return false;
  const { params } = message;
  // The gateway gives results as long as it can.
  return !(isObject(params) && ownTool(route, params.name) !== undefined);
}

type LegacyRequest = Pick<SessionRequest, "id" | "params"> & { readonly method: string };

/** @throws -32600 for a call without an id: a server might take and answer it, but no policy would have been applied */
function requestIn({ id, method, params }: JsonObject): LegacyRequest {
  if (!isRequestId(id))
    throw rpc.invalidRequest(
      "the id of a tools/call must be an integer, or a text of at most 1024 characters",
    );
  return { id, method: String(method), params: isObject(params) ? params : {} };
}
