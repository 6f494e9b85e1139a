import type { IncomingHttpHeaders } from "node:http";
import { RpcError, rpc } from "../protocol/errors.ts";
import { isEventStream } from "../protocol/headers.ts";
import { isObject, type JsonText, type RequestId } from "../protocol/jsonrpc.ts";
import { UpstreamFailure } from "../upstreams/failure.ts";
import {
  readInitializeResult,
  type TaskSupport,
  withTaskSupport,
  withTasksCapability,
  withTasksExtension,
} from "./amended.ts";
import { amendingPassage } from "./amending.ts";
import { sessionKey } from "./backchannels.ts";
import { sessionIdOf, speaksTasks } from "./client-session.ts";
import { withEndpoint } from "./endpoint-event.ts";
import { EventTap } from "./event-tap.ts";
import type { HttpExchange, Services } from "./lane.ts";
import { LongAnswer } from "./long-answer.ts";
import { overheard } from "./overheard.ts";
import { relocated } from "./redirects.ts";
import { tasksCapability } from "./tasks-2025.ts";
import type { AnswerHead, Forwarding, Passage } from "./transparent.ts";
import { withUnanswered } from "./unanswered.ts";

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
export interface Along {
  /** Ends a stream that would not end by itself, if the gateway stops. */
  readonly lastWords?: JsonText;
  readonly onStatus?: (status: number) => void;
}

/** Forwards requests and answers unchanged, except for what the gateway adds about tasks. */
export class Forwarder {
  readonly #services: Pick<Services, "transparent" | "streams" | "backchannels" | "quotas" | "stopping">;

  constructor(services: Pick<Services, "transparent" | "streams" | "backchannels" | "quotas" | "stopping">) {
    this.#services = services;
  }

  /**
   * Forwards a request to the server's endpoint, and the answer to the client, both unchanged; keeps an answer that is a stream alive.
   * @throws RpcError, HTTP 502, when there is no answer
   */
  async forward(exchange: HttpExchange, { lastWords, onStatus = () => {} }: Along = {}): Promise<void> {
    const { response } = exchange;
    let tap: EventTap | undefined;
    const onHead = (head: AnswerHead) => {
      const { status, headers } = head;
      onStatus(status);
      // An answer with a length is complete: nothing can be inserted.
      const hasRoom = headers["content-length"] === undefined;
      if (hasRoom && isPlainStream(headers)) tap = new EventTap(response, this.#services.streams, lastWords);
      return this.#watched(tap, head, exchange);
    };
    try {
      await this.#sendToEndpoint(exchange, { onHead });
    } finally {
      tap?.close();
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

  /** `initialize`: declares tasks to a session of 2025-11-25, unless the server itself declares them. */
  forwardInitialize(exchange: HttpExchange, id: RequestId): Promise<void> {
    const { route, caller } = exchange;
    return this.#forwardAmended(exchange, id, (answer) => {
      const said = readInitializeResult(answer);
      if (said !== undefined) route.upstream.learn(said.result);
      return withTasksCapability(answer, tasksCapability(caller));
    });
  }

  /** `server/discover`: declares the Tasks extension for a server of 2026-07-28 that does not. */
  forwardDiscover(exchange: HttpExchange, id: RequestId, along: Pick<Along, "onStatus">): Promise<void> {
    return this.#forwardAmended(exchange, id, withTasksExtension, along);
  }

  /** `tools/list`, with the policy's task support for each tool. */
  forwardToolList(
    exchange: HttpExchange,
    id: RequestId,
    supportOf: (tool: string) => TaskSupport,
  ): Promise<void> {
    return this.#forwardAmended(exchange, id, (answer) => withTaskSupport(answer, supportOf));
  }

  /** `tools/call` of a client that waits, however long the call takes. */
  async forwardCall(exchange: HttpExchange, id: RequestId): Promise<void> {
    const { request, response, route, reply } = exchange;
    const answer = new LongAnswer({
      response,
      id,
      // A legacy client without an `Accept` header may not read streams.
      acceptsStream: reply.readsStreams && request.headers.accept !== undefined,
      streams: this.#services.streams,
      maxBytes: route.config.tasks.maxResultBytes,
    });
    // Only for a session with tasks must the gateway know the session's other calls.
    const session = speaksTasks(request) ? sessionKey(exchange.owner, sessionIdOf(request)) : undefined;
    const passed = session === undefined ? () => {} : this.#services.backchannels.pass(session);
    try {
      const onHead = (head: AnswerHead) => this.#watched(answer.receive(head), head, exchange);
      await this.#sendToEndpoint(exchange, { isPlain: true, onHead });
    } catch (error) {
      if (!(error instanceof RpcError && answer.fail(error))) throw error;
    } finally {
      answer.close();
      passed();
    }
  }

  /** The stream on which a session listens, or everything that an HTTP+SSE server sends (2024-11-05). */
  async forwardStream(exchange: HttpExchange): Promise<void> {
    const { request, response, route, server, mount } = exchange;
    const { quotas, streams, backchannels } = this.#services;
    const giveBack = quotas.take("streams", exchange.quotaKey);
    const session = sessionKey(exchange.owner, sessionIdOf(request));
    let tap: EventTap | undefined;
    let hangUp = () => {};
    let letGo = () => {};
    const onHead = (head: AnswerHead): Passage | undefined => {
      if (head.status !== 200 || !isPlainStream(head.headers)) return undefined;
      tap = new EventTap(response, streams);
      if (session === undefined)
        return withEndpoint(tap, server.url, mount, (posted) => {
          letGo = route.upstream.messagePaths.hold(posted);
        });
      hangUp = backchannels.listen(session, tap);
      return overheard(tap, {
        isHearing: () => backchannels.isHearing(session),
        hear: (message) => backchannels.hear(session, message),
      });
    };
    try {
      await this.#sendToEndpoint(exchange, { isPlain: true, onHead });
    } finally {
      tap?.close();
      hangUp();
      letGo();
      giveBack();
    }
  }

  #forwardAmended(
    exchange: HttpExchange,
    id: RequestId,
    amend: (answer: string) => string,
    { onStatus = () => {} }: Pick<Along, "onStatus"> = {},
  ): Promise<void> {
    return this.#sendToEndpoint(exchange, {
      isPlain: true,
      onHead: (head) => {
        const { status, headers } = head;
        onStatus(status);
        if (status !== 200 || headers["content-encoding"] !== undefined) return undefined;
        const contentType = headers["content-type"];
        const passage = amendingPassage({ contentType, id, maxBytes: MAX_AMENDED_BYTES, amend });
        return this.#watched(passage, head, exchange);
      },
    });
  }

  /** Has the answer, if it is a stream, end with an error for each request that it left unanswered. */
  #watched(passage: Passage | undefined, head: AnswerHead, { message }: HttpExchange): Passage | undefined {
    if (!isPlainStream(head.headers)) return passage;
    return withUnanswered(passage, head, message, () => this.#services.stopping.aborted);
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
    const { route, caller, server, mount, request, response, body } = exchange;
    const { headers } = server;
    const { withheld } = caller;
    // A route at the root, or an only route, has the whole address: its clients may use the server's own paths as well.
    const isOwnPath = mount === route.config.path && !isBelowMount(exchange);
    const relocate = (location: string, from: URL) =>
      relocated(location, { from, server, mount, route: route.config, isOwnPath });
    const over = route.upstream.use();
    try {
      await this.#services.transparent.forward(request, response, {
        headers,
        withheld,
        body,
        relocate,
        ...forwarding,
      });
    } catch (error) {
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

function withQuery(url: URL, query: string): URL {
  if (query.length < 2) return url;
  const target = new URL(url);
  target.search = url.search === "" ? query : `${url.search}&${query.slice(1)}`;
  return target;
}

function isPlainStream(headers: IncomingHttpHeaders): boolean {
  return isEventStream(headers["content-type"]) && (headers["content-encoding"] ?? "identity") === "identity";
}
