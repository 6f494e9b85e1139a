import type { IncomingHttpHeaders } from "node:http";
import { RpcError, rpc } from "../protocol/errors.ts";
import { isEventStream } from "../protocol/headers.ts";
import { isObject, type JsonText, progressTokenIn, type RequestId, toJson } from "../protocol/jsonrpc.ts";
import { TRACE_HEADERS } from "../protocol/trace-context.ts";
import { heartbeatFor } from "../requests/heartbeat.ts";
import type { HttpExchange, Services } from "../requests/request.ts";
import { UpstreamFailure } from "../upstream/failure.ts";
import { withQuery } from "../upstream/transports/redirect.ts";
import { amendingFilter } from "./filters/amending.ts";
import { EventFilter } from "./filters/event-filter.ts";
import { LongAnswer } from "./filters/long-answer.ts";
import { withProgressNoted } from "./filters/progress-noted.ts";
import { withUnanswered } from "./filters/unanswered.ts";
import { relocated } from "./redirects.ts";
import type { AnswerHead, Filter, Forwarding, ReverseProxy } from "./reverse-proxy.ts";

/** The largest answer that the gateway changes; a larger one passes as it is. */
const MAX_AMENDED_BYTES = 1_048_576;
/** How long a server may take to answer a request that needs no work: neither GET nor POST. */
const SIMPLE_HEAD_MS = 60_000;
/** Methods that have the same effect however often they are sent: they may be sent again when a kept connection turns out to be dead. */
const REPEATABLE: ReadonlySet<unknown> = new Set([
  "initialize",
  "server/discover",
  "notifications/initialized",
  "ping",
  "tools/list",
  "prompts/list",
  "prompts/get",
  "resources/list",
  "resources/templates/list",
  "resources/read",
  "completion/complete",
  "logging/setLevel",
]);
const IDEMPOTENT: ReadonlySet<unknown> = new Set(["GET", "HEAD", "OPTIONS", "DELETE"]);

/** Options of a forwarded request. */
export interface ForwardOptions {
  /** Ends a stream that would not end by itself, if the gateway stops. */
  readonly lastWords?: JsonText;
  readonly onStatus?: (status: number) => void;
  readonly onHead?: (head: AnswerHead) => void;
}

export interface ForwarderOptions extends Pick<Services, "streams" | "stopping"> {
  readonly proxy: ReverseProxy;
}

/** Forwards a client's requests to its server, and the answers to the client, as they are or through a filter. */
export class Forwarder {
  readonly #proxy: ReverseProxy;
  readonly #streams: ForwarderOptions["streams"];
  readonly #stopping: AbortSignal;

  constructor({ proxy, streams, stopping }: ForwarderOptions) {
    this.#proxy = proxy;
    this.#streams = streams;
    this.#stopping = stopping;
  }

  /**
   * Forwards a request to the server's endpoint, and the answer to the client, both unchanged; keeps an answer that is a stream alive.
   * @throws RpcError, HTTP 502, when there is no answer
   */
  async forward(
    exchange: HttpExchange,
    { lastWords, onStatus = () => {} }: ForwardOptions = {},
  ): Promise<void> {
    const { response, route } = exchange;
    let events: EventFilter | undefined;
    // The client listens again, to the server that has taken this one's place.
    const stop = () => events?.stop();
    if (lastWords !== undefined) route.leaving.addEventListener("abort", stop);
    const onHead = (head: AnswerHead) => {
      const { status, headers } = head;
      onStatus(status);
      // An answer with a length is complete: nothing can be inserted.
      const hasRoom = headers["content-length"] === undefined;
      if (hasRoom && isPlainStream(headers)) {
        events = new EventFilter(response, this.#streams, lastWords);
        if (lastWords !== undefined && route.leaving.aborted) setImmediate(stop);
      }
      return this.#answeredBy(events, head, exchange);
    };
    try {
      await this.#sendToEndpoint(exchange, { onHead });
    } finally {
      events?.close();
      route.leaving.removeEventListener("abort", stop);
    }
  }

  /**
   * Forwards a request to another path of the server, without the headers that the operator configured for the endpoint, unless the path
   * takes messages to the endpoint or the operator wants it (`upstream.headersEverywhere`).
   * @param path as the server sees it, with its query
   * @throws RpcError, HTTP 502, when there is no answer
   */
  forwardTo(
    path: string,
    exchange: HttpExchange,
    { isForMessages = false }: { readonly isForMessages?: boolean } = {},
  ): Promise<void> {
    const { request, server, caller } = exchange;
    // Not resolved against the origin: a path that begins with two slashes would name a host.
    const target = new URL(`${server.url.origin}${path}`);
    const mayRepeat = request.method === "GET" || request.method === "HEAD";
    // As at the endpoint: a client that followed by itself would come back by the path that it was told.
    const followsRedirects = isForMessages;
    if (isForMessages || server.headersEverywhere)
      return this.#send(exchange, { target, mayRepeat, followsRedirects });
    // Clients may not set the operator's headers on other paths either.
    const withheld = [...(caller.withheld ?? []), ...Object.keys(server.headers)];
    return this.#send(exchange, { target, mayRepeat, headers: {}, withheld });
  }

  /**
   * Forwards a request to the server's endpoint, and the answer through the filter that `filterFor` gives for its head.
   * @throws RpcError, HTTP 502, when there is no answer
   */
  forwardThrough(exchange: HttpExchange, filterFor: (head: AnswerHead) => Filter | undefined): Promise<void> {
    const onHead = (head: AnswerHead) => this.#answeredBy(filterFor(head), head, exchange);
    return this.#sendToEndpoint(exchange, { isPlain: true, onHead });
  }

  /**
   * Forwards a `tools/call` of a client that waits, however long the call takes. A client that gave a token for progress hears that the
   * call runs while the server is silent.
   * @throws RpcError, HTTP 502, when there is no answer
   */
  async forwardCall(
    exchange: HttpExchange,
    id: RequestId,
    {
      acceptsStream,
      onStatus = () => {},
    }: { readonly acceptsStream: boolean } & Pick<ForwardOptions, "onStatus">,
  ): Promise<void> {
    const { response, route, message } = exchange;
    const maxBytes = route.config.tasks.maxResultBytes;
    const answer = new LongAnswer({ response, id, acceptsStream, streams: this.#streams, maxBytes });
    const { progressToken, name } = callIn(message);
    const { heartbeatMs } = route.policy(name);
    const heartbeat = heartbeatFor(progressToken, heartbeatMs, (said) => answer.say(toJson(said)));
    try {
      await this.forwardThrough(exchange, (head) => {
        onStatus(head.status);
        const filter = answer.receive(head);
        if (filter === undefined || heartbeat === undefined) {
          heartbeat?.stop();
          return filter;
        }
        return withProgressNoted(filter, progressToken, (progress) => heartbeat.note(progress));
      });
    } catch (error) {
      if (!(error instanceof RpcError && answer.fail(error))) throw error;
    } finally {
      heartbeat?.stop();
      answer.close();
    }
  }

  /**
   * Forwards a request, and changes the text of its answer; an answer that is no JSON, compressed or too large stays as it is.
   * @throws RpcError, HTTP 502, when there is no answer
   */
  forwardAmended(
    exchange: HttpExchange,
    id: RequestId,
    amend: (answer: string) => string,
    { onStatus = () => {}, onHead = () => {} }: Pick<ForwardOptions, "onStatus" | "onHead"> = {},
  ): Promise<void> {
    return this.forwardThrough(exchange, (head) => {
      const { status, headers } = head;
      onStatus(status);
      onHead(head);
      if (status !== 200 || headers["content-encoding"] !== undefined) return undefined;
      return amendingFilter({ contentType: headers["content-type"], id, maxBytes: MAX_AMENDED_BYTES, amend });
    });
  }

  /** Has the answer, if it is a stream, end with an error for each request that it left unanswered. */
  #answeredBy(filter: Filter | undefined, head: AnswerHead, { message }: HttpExchange): Filter | undefined {
    if (!isPlainStream(head.headers)) return filter;
    return withUnanswered(filter, head, message, () => this.#stopping.aborted);
  }

  #sendToEndpoint(exchange: HttpExchange, more: Partial<Forwarding>): Promise<void> {
    const { request, server, query, message } = exchange;
    const method = isObject(message) ? message.method : undefined;
    const isPost = request.method === "POST";
    const isSimple = !isPost && request.method !== "GET";
    return this.#send(exchange, {
      target: withQuery(server.url, query),
      followsRedirects: true,
      mayRepeat: isPost ? REPEATABLE.has(method) : IDEMPOTENT.has(request.method),
      ...(isSimple ? { headTimeoutMs: SIMPLE_HEAD_MS } : {}),
      ...more,
    });
  }

  async #send(exchange: HttpExchange, forwarding: Forwarding) {
    const { route, caller, server, mount, request, response, body, trace, reply } = exchange;
    const headers = trace === undefined ? server.headers : { ...trace, ...server.headers };
    const withheld = trace === undefined ? caller.withheld : [...TRACE_HEADERS, ...(caller.withheld ?? [])];
    // A route at the root, or an only route, has the whole address: its clients may use the server's own paths as well.
    const isOwnPath = mount === route.config.path && !isBelowMount(exchange);
    const relocate = (location: string, from: URL) =>
      relocated(location, { from, server, mount, route: route.config, isOwnPath });
    const over = route.upstream.use();
    reply.counted?.sent();
    try {
      await this.#proxy.forward(request, response, {
        headers,
        withheld,
        body,
        relocate,
        ...forwarding,
      });
      route.upstream.presence.answered();
    } catch (error) {
      route.upstream.presence.failed(error);
      throw asGatewayError(error);
    } finally {
      over();
    }
  }
}

function isBelowMount({ path, mount }: HttpExchange): boolean {
  return path === mount || path.startsWith(`${mount}/`);
}

function asGatewayError(error: unknown): ReturnType<typeof rpc.badGateway> {
  if (error instanceof UpstreamFailure) return rpc.badGateway(error.message);
  throw error;
}

/** Whether an answer is a stream of events that the gateway can read and add to. */
export function isPlainStream(headers: IncomingHttpHeaders): boolean {
  return isEventStream(headers["content-type"]) && (headers["content-encoding"] ?? "identity") === "identity";
}

function callIn(message: unknown): { readonly name: string; readonly progressToken: unknown } {
  const params = isObject(message) && isObject(message.params) ? message.params : {};
  return { name: String(params.name), progressToken: progressTokenIn(params) };
}
