import type { IncomingMessage, ServerResponse } from "node:http";
import type { Policy } from "../calls/policy.ts";
import type { Handlers } from "../handlers.ts";
import { opensStreams } from "../legacy/paired/http.ts";
import { type Bytes, type HeldBytes, SMALL_BYTES } from "../limits/bytes.ts";
import { type CallCounts, endingOf } from "../observers/calls/call-counts.ts";
import type { Traces } from "../observers/traces/traces.ts";
import { type RpcError, rpc } from "../protocol/errors.ts";
import { type Headers, readAccept } from "../protocol/headers.ts";
import { idOf } from "../protocol/inbound.ts";
import { isObject } from "../protocol/jsonrpc.ts";
import type { TraceContext } from "../protocol/trace-context.ts";
import {
  type Class,
  checkHead,
  classify,
  type Head,
  isModern,
  isPreflight,
  type Known,
  mayOpenSession,
  saysModern,
} from "../requests/classify.ts";
import { sessionIdOf } from "../requests/client-session.ts";
import { toAnswer } from "../requests/error-answer.ts";
import { ownTool } from "../requests/fallback.ts";
import {
  type Caller,
  type HttpExchange,
  type Identified,
  identified,
  modernServer,
  needsOwner,
  type Route,
} from "../requests/request.ts";
import type { Observer } from "../tasks/task-event.ts";
import type { ModernServer } from "../upstream/modern/server.ts";
import { withoutSlash } from "../upstream/transports/redirect.ts";
import { type Answered, reportRefusal } from "./answered.ts";
import type { Identify } from "./callers/identify.ts";
import { answerPreflight, checkSingle, type Guard } from "./guards.ts";
import { type Body, BodyReader, readBody } from "./inbound.ts";
import { HttpReply, type ReplyOptions } from "./outbound.ts";
import { checkEncoding, checkMethod, checkReading, methodsOf } from "./readings.ts";
import type { Unsent } from "./unsent.ts";

export interface EndpointOptions {
  readonly guard: Guard;
  readonly identify: Identify;
  readonly maxBodyBytes: number;
  readonly maxDepth: number;
  readonly keepAliveMs: number;
  readonly keepsJsonAlive: boolean;
  readonly handlers: Handlers;
  readonly bytes: Bytes;
  /** Hears of refusals. */
  readonly report: Observer;
  /** Called when a request is over, with how long it took. Absent: nobody wants to know. */
  readonly onAnswered?: ((answered: Answered, ms: number) => void) | undefined;
  /** Counts calls. Absent: nobody could look. */
  readonly callCounts?: CallCounts | undefined;
  /** Room for large answers that clients have not taken yet. Absent: unlimited. */
  readonly unsent?: Unsent;
  /** Absent: requests leave no traces. */
  readonly traces?: Traces | undefined;
}

/**
 * How long the body of a forwarded `initialize` may be, which holds capabilities and a description of the client: the gateway reads no
 * other body before it knows whether the server takes the client's credential.
 */
const MAX_UNKNOWN_BYTES = SMALL_BYTES;

/**
 * Serves one route: its MCP endpoint, or another path of its server. Never rejects.
 * @param elsewhere the path at the server, query included, when it is not the endpoint
 */
export type Endpoint = (
  request: IncomingMessage,
  response: ServerResponse,
  route: Route,
  elsewhere?: string,
) => Promise<void>;

/** The MCP endpoint, written by hand: every poll passes here, and a framework would be most of its cost. */
export function mcpEndpoint(options: EndpointOptions): Endpoint {
  const { guard, identify, handlers, report, onAnswered, callCounts, traces } = options;
  return async (request, response, route, elsewhere) => {
    const { method, headers } = request;
    const head: Head = { method, headers, url: wholeUrl(request), elsewhere };
    const isEndpoint = elsewhere === undefined;
    let arrival: Arrival | undefined;
    let refusal: RpcError | undefined;
    // A GET may listen for days, and needs nothing but its connection to the server.
    const leave = method === "POST" ? route.enter() : undefined;
    const isTimed = onAnswered !== undefined || callCounts !== undefined;
    const startedAt = isTimed ? performance.now() : 0;
    try {
      checkSingle(request);
      guard(request, response);
      checkMethod(request, isEndpoint);
      // A preflight has no credentials (Fetch §CORS-preflight fetch), so it is answered before callers are identified.
      if (isPreflight(head)) return answerPreflight(request, response, methodsOf(isEndpoint));
      arrival = new Arrival(
        { request, response, head, who: identified(route, await identify(request, route)) },
        options,
      );
      await arrival.admit();
      await arrival.read();
      if (route.isRemoved && route.isClosed) checkAboutTasks(route, arrival.body?.json);
      const what = classify(head, arrival.body, arrival);
      if (callCounts !== undefined && COUNTED.has(what.is)) arrival.count(callCounts);
      await (traces === undefined
        ? answer(what, arrival, handlers)
        : traced(traces, what, arrival, handlers));
    } catch (error) {
      if (!request.complete && !response.headersSent) response.setHeader("Connection", "close");
      refusal = toAnswer(error, route.log, arrival?.body?.json);
      (arrival?.reply ?? newReply(response, options)).error(refusal);
    } finally {
      arrival?.held.release();
      leave?.();
      const caller = arrival?.who.caller.key;
      const answered = { route, caller, message: arrival?.body?.json, error: refusal };
      reportRefusal(report, response, answered);
      const endedAt = isTimed ? performance.now() : 0;
      arrival?.over(refusal, endedAt);
      onAnswered?.(answered, endedAt - startedAt);
    }
  };
}

/** A pair counts its calls itself: their answers may come on other streams, as those of messages of HTTP+SSE do. */
const COUNTED: ReadonlySet<Class["is"]> = new Set(["legacy", "modern", "passThrough"]);

function traced(traces: Traces, what: Class, arrival: Arrival, handlers: Handlers): Promise<void> {
  const { who, request, response, body } = arrival;
  const arrived = { server: who.route.config.name, message: body?.json, headers: request.headers };
  return traces.serve(arrived, async (trace) => {
    arrival.trace = trace;
    await answer(what, arrival, handlers);
    return response.statusCode;
  });
}

async function answer(what: Class, arrival: Arrival, handlers: Handlers): Promise<void> {
  const { modern, legacy, forwarder } = handlers;
  const { who, request, response, reply, held, body, head } = arrival;
  switch (what.is) {
    case "preflight":
      return answerPreflight(request, response, methodsOf(true));
    case "refused":
      throw what.error;
    case "otherPath": {
      const { elsewhere = "" } = head;
      const http = arrival.toHttp();
      return what.isMessage
        ? legacy.passMessage(arrival.messagePath ?? elsewhere, http)
        : forwarder.forwardTo(elsewhere, http);
    }
    case "paired":
      // The server cannot refuse the client's own request, which it never gets.
      needsOwner(who);
      return legacy.pairs.answer({ who, request, response, url: head.url, message: body?.json, reply, held });
    case "legacy":
      if (await legacy.answer(arrival.toHttp(), what.as)) return;
      await arrival.confirm();
      return answer(classify(head, body, arrival), arrival, handlers);
    case "passThrough":
    case "modern": {
      if (what.request === undefined) return forwarder.forward(arrival.toHttp());
      const { id, method, params = {} } = what.request;
      // 2026-07-28 has no notification for a server to act on, and servers accept those that they do not know.
      if (id === undefined) return reply.acknowledge();
      const toHttp = arrival.isHttp ? () => arrival.toHttp() : undefined;
      const headers = headersIn(arrival.trace, request);
      const server = arrival.modern;
      return modern({ headers, id, method, params, reply, toHttp, held, server, ...who }, what);
    }
  }
}

/** Of a removed server that has drained there are only its tasks. @throws HTTP 410 */
function checkAboutTasks(route: Route, message: unknown): void {
  const { method, params } = isObject(message) ? message : {};
  const isOwn = method === "tools/call" && isObject(params) && ownTool(route, params.name) !== undefined;
  if (!isOwn && !(typeof method === "string" && method.startsWith("tasks/")))
    throw rpc.serverRemoved(route.config.name);
}

interface ArrivalOf {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: Head;
  readonly who: Identified;
}

/** One request whose caller is identified, and what the gateway finds out about it before it knows who answers. */
class Arrival implements Known {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly head: Head;
  /** Until the server has been asked about the credential, the caller that the credential claims. */
  who: Identified;
  /** The memory that the request takes. */
  readonly held: HeldBytes;
  /** Where the server wants the message posted, if the request's path is one for messages of HTTP+SSE. */
  readonly messagePath: string | undefined;
  body: Body | undefined;
  /** The server, if it speaks the revision of a modern request. */
  modern: ModernServer | undefined;
  /** The trace context that the server is to see, if it is not the client's. */
  trace: TraceContext | undefined;
  readonly #options: EndpointOptions;
  #reply: HttpReply | undefined;

  constructor({ request, response, head, who }: ArrivalOf, options: EndpointOptions) {
    this.request = request;
    this.response = response;
    this.head = head;
    this.who = who;
    this.#options = options;
    this.held = options.bytes.hold(who.quotaKey);
    const { method, elsewhere } = head;
    const { messagePaths } = who.route.upstream;
    const isPosted = method === "POST" && elsewhere !== undefined;
    this.messagePath = isPosted ? messagePaths.find(elsewhere) : undefined;
  }

  get isHttp(): boolean {
    return this.who.route.config.upstream.transport !== "stdio";
  }

  get isStreamable(): boolean {
    return this.who.route.upstream.isStreamable;
  }

  get isPaired(): boolean {
    return this.#options.handlers.legacy.pairs.has(sessionIdOf(this.head), this.head.url);
  }

  get opensStreams(): boolean {
    return opensStreams(this.who.route);
  }

  get takesMessages(): boolean {
    return this.messagePath !== undefined;
  }

  get policy(): Policy {
    return this.who.route.policy;
  }

  isOwnTool(name: unknown): boolean {
    return ownTool(this.who.route, name) !== undefined;
  }

  /** Read it for an answer; it has the body's id if the body has been read by then. */
  get reply(): HttpReply {
    const { body, held, head } = this;
    this.#reply ??= newReply(this.response, this.#options, {
      id: idOf(body?.json),
      accepts: readAccept(head.headers.accept),
      quotaKey: held.quotaKey,
    });
    return this.#reply;
  }

  /** Checks all that can be checked before the body is read. @throws RpcError */
  async admit(): Promise<void> {
    const { head } = this;
    if (head.elsewhere === undefined && !mayOpenSession(head, this)) await this.confirm();
    if (!saysModern(head)) return;
    await this.#findModern();
    // A server that speaks the revision judges the head better itself.
    if (this.modern === undefined) checkHead(head);
  }

  /** Reads the body, if there is one. @throws RpcError */
  async read(): Promise<void> {
    const { head, request } = this;
    const isMessage = head.elsewhere === undefined || this.takesMessages;
    if (hasBody(request)) {
      if (isMessage) checkEncoding(request);
      await this.#readBody(isMessage ? this.#options.maxDepth : undefined);
      if (isMessage && this.body !== undefined) checkReading(request.method, this.body);
    }
    if (!saysModern(head) && isModern(head, this.body)) await this.#findModern();
  }

  async #readBody(maxDepth: number | undefined): Promise<void> {
    const { head, held, request } = this;
    const reader = new BodyReader(request, this.#options.maxBodyBytes, held);
    if (mayOpenSession(head, this) && this.who.caller.confirm !== undefined) {
      const bytes = await reader.upTo(MAX_UNKNOWN_BYTES);
      this.body = bytes && readBody(bytes, held, maxDepth);
      // Do not ask about the credential of a forwarded `initialize`: the server's own refusal reaches the client.
      const what = classify(head, this.body, this);
      if (!(what.is === "legacy" && what.as === "initialize")) await this.confirm();
    }
    const all = () => (head.elsewhere === undefined ? bodyOf(this.who.caller, reader) : reader.all());
    this.body ??= readBody(await all(), held, maxDepth);
  }

  /** Asks the server about the credential, if there is something to ask. Never rejects. */
  async confirm(): Promise<void> {
    const { route, caller } = this.who;
    if (caller.confirm === undefined) return;
    this.who = identified(route, await caller.confirm());
    this.held.assign(this.who.quotaKey);
  }

  count(counts: CallCounts): void {
    const call = counts.begin(this.who.route.config.name, this.body?.json);
    if (call !== undefined) this.reply.counted = call;
  }

  /** The exchange is over. A client that has left before the end of its answer has given its call up. */
  over(refusal: RpcError | undefined, at: number): void {
    const { response } = this;
    const hasLeft = response.closed && !response.writableEnded;
    this.#reply?.counted?.end(hasLeft ? "abandoned" : endingOf(refusal), at);
  }

  async #findModern(): Promise<void> {
    this.modern = await modernServer(this.who);
  }

  /** The request in the form in which it is forwarded. */
  toHttp(): HttpExchange {
    const { who, request, response, reply, held, body, head, trace } = this;
    const { url, elsewhere } = head;
    const { route } = who;
    const server = route.config.upstream;
    if (server.transport === "stdio") throw new Error("a server over stdio has nothing but its messages");
    const mark = url.indexOf("?");
    const path = withoutSlash(mark === -1 ? url : url.slice(0, mark));
    return {
      server,
      request,
      response,
      path,
      query: mark === -1 ? "" : url.slice(mark),
      mount: mountOf(route, path, request, elsewhere),
      message: body?.json,
      body: body?.bytes,
      reply,
      held,
      trace,
      ...who,
    };
  }
}

/** The headers of a request, with this trace context instead of the client's. */
function headersIn(trace: TraceContext | undefined, { headers }: IncomingMessage): Headers {
  return trace === undefined ? headers : { ...headers, tracestate: undefined, ...trace };
}

function newReply(
  response: ServerResponse,
  { keepAliveMs, keepsJsonAlive, unsent }: EndpointOptions,
  how: Pick<ReplyOptions, "id" | "accepts" | "quotaKey"> = {
    id: null,
    accepts: { json: true, stream: false },
  },
): HttpReply {
  return new HttpReply(response, { keepAliveMs, keepsJsonAlive, unsent, ...how });
}

/**
 * The body of a request. If the credential is missing or was refused, reads no more than the server needs to refuse the request itself.
 * @throws RpcError
 */
async function bodyOf({ refusal }: Caller, reader: BodyReader): Promise<Buffer> {
  if (refusal === undefined) return reader.all();
  return (await reader.upTo(MAX_UNKNOWN_BYTES)) ?? Promise.reject(refusal);
}

/** The path below which clients reach all paths of a server. */
function mountOf({ config }: Route, path: string, request: IncomingMessage, elsewhere: string | undefined) {
  const { url = "" } = request;
  const whole = wholeUrl(request);
  if (elsewhere === undefined) {
    const [asked = ""] = url.split("?", 1);
    if ([config.path, ...config.aliases].includes(withoutSlash(asked))) return path;
    // The client asked by the server's own path, and nothing is below that one.
    return `${whole.endsWith(url) ? whole.slice(0, -url.length) : ""}${config.path}`;
  }
  // If the gateway has the whole address to itself, clients may ask for the server's own paths.
  return whole !== elsewhere && whole.endsWith(elsewhere) ? whole.slice(0, -elsewhere.length) : config.path;
}

/** An app in which the gateway is mounted cuts its own part off the url, and keeps the whole in `originalUrl` (Express, Connect). */
function wholeUrl(request: IncomingMessage & { readonly originalUrl?: string }): string {
  return request.originalUrl ?? request.url ?? "";
}

function hasBody({ method, headers }: IncomingMessage): boolean {
  const { "content-length": length, "transfer-encoding": encoding } = headers;
  return method === "POST" || encoding !== undefined || (length !== undefined && length !== "0");
}
