import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { steadyNow } from "../../lib/clock.ts";
import type { SharedBytes } from "../../limits/bytes.ts";
import { isJsonRpcError, rpc } from "../../protocol/errors.ts";
import { toEvent } from "../../protocol/event-stream.ts";
import { EVENT_STREAM_HEADERS, namesStreams } from "../../protocol/headers.ts";
import {
  isObject,
  isRequest,
  isRequestId,
  type JsonRpcMessage,
  type JsonRpcRequest,
} from "../../protocol/jsonrpc.ts";
import { MAX_BATCH } from "../../protocol/legacy.ts";
import type { Admission } from "../../requests/admission.ts";
import { sessionIdOf } from "../../requests/client-session.ts";
import { offeredBy, ownTool } from "../../requests/fallback.ts";
import { withIdempotencyKey } from "../../requests/idempotency.ts";
import {
  type Identified,
  type Need,
  needsTime,
  ownHeaders,
  type Reply,
  type Route,
  type Services,
} from "../../requests/request.ts";
import { HttpSession, type NewPair } from "./http-session.ts";
import { EventRoom } from "./kept-events.ts";
import { withHeaders } from "./message-context.ts";
import { SseSession, sseSessionOf } from "./sse-session.ts";

/** A request of a legacy client whose session is paired. */
export interface PairedExchange {
  readonly who: Identified;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The path as the client asked for it, query included; it names a session of HTTP+SSE. */
  readonly url: string;
  /** The parsed body; `undefined` when it is no JSON. */
  readonly message: unknown;
  readonly reply: Pick<Reply, "readsStreams" | "gone" | "acknowledge">;
  /** The memory that the request takes. Absent: it is not counted. */
  readonly held?: SharedBytes | undefined;
}

export interface PairedHttpOptions extends Pick<Services, "quotas" | "stopping" | "streams"> {
  readonly admission: Admission;
  readonly newPair: NewPair;
}

/** Room for the events that are kept for all clients that lose a connection. */
const ROOM_CHARS = 64 * 1_048_576;
/** How often to look for idle sessions: this often in each idle time-out. */
const LOOKS = 4;
const LOOK_MS = { min: 20, max: 15_000 };

/** The sessions of legacy clients over Streamable HTTP whose servers speak something else. */
export class PairedHttp {
  readonly #room = new EventRoom(ROOM_CHARS);
  /** The sessions that can be used, by id. */
  readonly #sessions = new Map<string, HttpSession>();
  /** The sessions of clients of HTTP+SSE, as long as their streams are open. */
  readonly #streaming = new Map<string, SseSession>();
  /** Also the sessions that are opening, or have yet to end at the server, each with the function that gives its place back. */
  readonly #all = new Map<HttpSession, () => void>();
  /** One for all sessions. */
  #timer: NodeJS.Timeout | undefined;
  #lookMs = LOOK_MS.max;
  readonly #options: PairedHttpOptions;
  readonly #needsTime: Need<Pick<Identified, "route">>;

  constructor(options: PairedHttpOptions) {
    this.#options = options;
    this.#needsTime = needsTime(options);
  }

  /** Whether a session is paired. @param url of the request, which names a session of HTTP+SSE */
  has(sessionId: string | undefined, url: string): boolean {
    if (sessionId !== undefined) return this.#sessions.has(sessionId);
    const named = sseSessionOf(url);
    return named !== undefined && this.#streaming.has(named);
  }

  /**
   * Serves a request. Settles when the exchange is over.
   * @throws RpcError when it does not serve the request, and has written nothing
   */
  async answer(exchange: PairedExchange): Promise<void> {
    const { request, url } = exchange;
    const streaming = this.#streaming.get(sseSessionOf(url) ?? "");
    switch (request.method) {
      case "POST":
        return streaming === undefined ? this.#post(exchange) : this.#postTo(streaming, exchange);
      case "GET":
        return isForSse(exchange) ? this.#stream(exchange) : this.#get(exchange);
      case "DELETE":
        return this.#delete(exchange);
      default:
        throw rpc.methodNotAllowed(exchange.request.method ?? "", "GET, POST, DELETE");
    }
  }

  /** Whether a client has a session with this server, of whatever name another one may be. */
  isUsing(route: Route): boolean {
    const isOf = (session: HttpSession | SseSession) => session.route === route;
    return [...this.#all.keys()].some(isOf) || [...this.#streaming.values()].some(isOf);
  }

  /** Ends all sessions. Settles when the servers have nothing of them any more. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    const sessions = [...this.#all.keys(), ...this.#streaming.values()];
    await Promise.all(sessions.map((session) => session.end()));
  }

  /** Opens a session of HTTP+SSE (2024-11-05, Transports §HTTP with SSE). Settles when its stream is over. */
  async #stream(exchange: PairedExchange): Promise<void> {
    const { who, response, url } = exchange;
    const { quotas, streams, newPair } = this.#options;
    this.#needsTime(who);
    const giveBack = quotas.take("sessions", who.quotaKey);
    const [path = ""] = url.split("?", 1);
    const session = new SseSession({ who, response, streams, newPair, path });
    this.#streaming.set(session.id, session);
    await session.run();
    this.#streaming.delete(session.id);
    giveBack();
  }

  /** @throws RpcError when the messages were not taken */
  async #postTo(session: SseSession, exchange: PairedExchange): Promise<void> {
    const { who, message, reply, held } = exchange;
    if (!session.belongsTo(who.owner)) throw rpc.unknownSession();
    const messages = messagesOf(exchange);
    await this.#options.admission.admitted({ ...who, reply }, message);
    if (messages.some((each) => isRequest(each) && isCall(each, who.route))) this.#needsTime(who);
    if (!(await session.take(messages, held))) throw rpc.storeUnavailable();
    reply.acknowledge();
  }

  async #post(exchange: PairedExchange): Promise<void> {
    const { who, request, response, message, reply, held } = exchange;
    const isBatch = Array.isArray(message);
    const messages = messagesOf(exchange);
    const [first] = messages;
    if (sessionIdOf(request) === undefined && messages.length === 1 && isInitialize(first))
      return this.#open(exchange, first);
    let session = this.#find(exchange);
    const requests = messages.filter(isRequest);
    const turn = this.#options.admission.admitted({ ...who, reply }, message);
    if (turn !== undefined) {
      await turn;
      // The session may have ended meanwhile.
      session = this.#find(exchange);
    }
    if (requests.length > 0) {
      if (requests.some((each) => isCall(each, who.route))) this.#needsTime(who);
      const ids = new Set(requests.map(({ id }) => id));
      if (ids.size < requests.length || requests.some(({ id }) => session.isPending(id)))
        throw rpc.invalidRequest("the id is that of another request under way");
      return session.ask(response, messages, { readsStreams: reply.readsStreams, isBatch }, held);
    }
    // Only the status can say that an answer was not accepted (2025-11-25, Transports §Sending Messages).
    if (!(await session.tell(messages, held))) throw rpc.storeUnavailable();
    reply.acknowledge();
  }

  async #open(exchange: PairedExchange, initialize: JsonRpcRequest): Promise<void> {
    const { who, response, reply } = exchange;
    const { quotas, streams, newPair } = this.#options;
    this.#needsTime(who);
    const session: HttpSession = new HttpSession({
      who,
      streams,
      newPair,
      room: this.#room,
      onOver: () => this.#leave(session),
    });
    this.#add(session, quotas.take("sessions", who.quotaKey));
    // No other client is going to know the session's id.
    const abandon = () => this.#end(session);
    reply.gone.addEventListener("abort", abandon, { once: true });
    const { message = "", refusal } = await session.open(initialize);
    reply.gone.removeEventListener("abort", abandon);
    if (refusal !== undefined) throw refusal;
    if (reply.gone.aborted) return this.#end(session);
    if (!session.isOver) this.#sessions.set(session.id, session);
    const headers = session.isOver ? {} : session.headers;
    if (reply.readsStreams)
      response.writeHead(200, { ...EVENT_STREAM_HEADERS, ...headers }).end(toEvent(message));
    else response.writeHead(200, { "Content-Type": "application/json", ...headers }).end(message);
  }

  async #get(exchange: PairedExchange): Promise<void> {
    const { request, response, reply } = exchange;
    const session = this.#find(exchange);
    // A removed server may still have an answer to send on it.
    if (this.#options.stopping.aborted) throw rpc.stopping();
    if (!reply.readsStreams) throw rpc.notAcceptable("text/event-stream");
    const lastEventId = request.headers["last-event-id"]?.toString() || undefined;
    const giveBack = this.#options.quotas.take("streams", exchange.who.quotaKey);
    try {
      const over = session.listen(response, lastEventId);
      if (over === undefined)
        throw rpc.invalidRequest("nothing is known any more of the event in Last-Event-ID");
      await over;
    } finally {
      giveBack();
    }
  }

  async #delete(exchange: PairedExchange): Promise<void> {
    this.#find(exchange).retire();
    exchange.response.writeHead(200, { "Content-Length": 0 }).end();
  }

  /**
   * @throws RpcError, HTTP 400 without a session id or with a revision that the session does not speak, and 404 when the session is none
   * of the caller's (2025-11-25, Transports §Session Management, §Protocol Version Header)
   */
  #find({ who, request }: PairedExchange): HttpSession {
    const id = sessionIdOf(request);
    if (id === undefined) throw rpc.invalidRequest("Mcp-Session-Id is missing");
    const session = this.#sessions.get(id);
    if (session === undefined || session.isOver || !session.belongsTo(who.owner)) throw rpc.unknownSession();
    const version = request.headers["mcp-protocol-version"]?.toString();
    if (version !== undefined && !session.speaks(version))
      throw rpc.invalidRequest("MCP-Protocol-Version is not the revision that was negotiated");
    return session;
  }

  #add(session: HttpSession, giveBack: () => void): void {
    this.#all.set(session, giveBack);
    const lookMs = Math.min(LOOK_MS.max, Math.max(LOOK_MS.min, session.route.upstream.longIdleMs / LOOKS));
    if (this.#timer !== undefined && lookMs >= this.#lookMs) return;
    this.#lookMs = lookMs;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#look(), lookMs).unref();
  }

  #look(): void {
    const now = steadyNow();
    for (const session of this.#all.keys())
      if (session.idleFor(now) > session.route.upstream.longIdleMs) this.#end(session);
  }

  /** Takes a session out of use. While one of its calls is a task, it is not quite over. */
  #leave(session: HttpSession): void {
    this.#sessions.delete(session.id);
    if (!session.hasTasks) this.#end(session);
  }

  #end(session: HttpSession): void {
    void session.end().finally(() => {
      this.#all.get(session)?.();
      this.#all.delete(session);
      if (this.#all.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    });
  }
}

function isInitialize(message: JsonRpcMessage | undefined): message is JsonRpcRequest {
  return message !== undefined && isRequest(message) && message.method === "initialize";
}

/** Whether a request is a call that a gateway that stops does not begin. It gives results as long as it can. */
function isCall({ method, params }: JsonRpcRequest, route: Route): boolean {
  return method === "tools/call" && ownTool(route, params?.name) === undefined;
}

/** The messages of a request, each with what belongs to it alone. @throws -32600 */
function messagesOf({ who, request, message }: PairedExchange): readonly JsonRpcMessage[] {
  const own = ownHeaders({ headers: request.headers, route: who.route });
  // Of a batch nobody knows which call the key is for.
  const ofAll = Array.isArray(message) ? {} : request.headers;
  return readMessages(message).map((each) => withHeaders(withKey(each, ofAll), own));
}

function withKey(message: JsonRpcMessage, headers: IncomingHttpHeaders): JsonRpcMessage {
  if (!isRequest(message) || !isObject(message.params)) return message;
  const params = withIdempotencyKey(message.params, headers);
  return params === message.params ? message : { ...message, params };
}

/** A client of HTTP+SSE opens its stream in no session. */
function isForSse({ who, request, reply }: PairedExchange): boolean {
  const isInNone = sessionIdOf(request) === undefined && reply.readsStreams;
  return isInNone && namesStreams(request.headers.accept) && opensStreams(who.route);
}

/**
 * Whether clients of HTTP+SSE get sessions of the gateway: before a server of that transport, where the gateway has to know their calls.
 * Without the fallback their requests pass byte for byte.
 */
export function opensStreams(route: Route): boolean {
  const isHttp = route.config.upstream.transport !== "stdio";
  return isHttp && !route.upstream.isStreamable && offeredBy(route) !== undefined;
}

/**
 * The messages of a body: one, or a batch (2025-03-26, Transports §Sending Messages).
 * @throws -32600 when one of them is no message
 */
function readMessages(body: unknown): readonly JsonRpcMessage[] {
  const messages = Array.isArray(body) ? body : [body];
  if (messages.length === 0 || messages.length > MAX_BATCH) throw rpc.badBatch(messages.length, MAX_BATCH);
  return messages.map(readMessage);
}

function readMessage(message: unknown): JsonRpcMessage {
  if (!isObject(message)) throw rpc.invalidRequest("the body must be a JSON-RPC message");
  const { jsonrpc, id, method, result, error } = message;
  if (jsonrpc !== "2.0") throw rpc.invalidRequest('jsonrpc must be "2.0"');
  const isNotification = typeof method === "string" && id === undefined;
  if (!isNotification && !isRequestId(id)) throw rpc.invalidRequest("id must be a string or an integer");
  if (method !== undefined && typeof method !== "string") throw rpc.invalidRequest("method must be a string");
  if (method === undefined && !isObject(result) && !isJsonRpcError(error))
    throw rpc.invalidRequest("a message must have a method, a result or an error");
  return message as unknown as JsonRpcMessage;
}
