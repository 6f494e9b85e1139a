import type { IncomingHttpHeaders } from "node:http";
import { createParser } from "eventsource-parser";
import type { Dispatcher } from "undici";
import { isEventStream } from "../protocol/headers.ts";
import { isObject, type JsonRpcResponse, parseJson } from "../protocol/jsonrpc.ts";
import type { UpstreamAgents } from "../upstream/transports/agents.ts";
import type { HttpFacts } from "./facts.ts";

const MAX_TEXT_CHARS = 65_536;

/** One HTTP request of `upstream/`, and what its response shows of the server. */
export class Exchange {
  readonly method: string;
  /** `undefined` until the response headers arrive. */
  status: number | undefined;
  headers: IncomingHttpHeaders = {};
  isEnded = false;
  /** The beginning of a body that is no event stream. */
  text = "";
  events: { count: number; hasIds: boolean; retryMs?: number } = { count: 0, hasIds: false };
  #answer: JsonRpcResponse | undefined;
  readonly #decoder = new TextDecoder();
  readonly #parser = createParser({
    onEvent: ({ id, data }) => {
      this.events.count += 1;
      this.events.hasIds ||= id !== undefined;
      const message = parseJson(data);
      if (isAnswer(message)) this.#answer ??= message;
    },
    onRetry: (ms) => {
      this.events.retryMs = ms;
    },
    maxBufferSize: MAX_TEXT_CHARS,
  });

  constructor(method: string) {
    this.method = method;
  }

  get isStream(): boolean {
    return isEventStream(this.header("content-type"));
  }

  /** The JSON-RPC answer, under any id: refusals have the id `null`. */
  get answer(): JsonRpcResponse | undefined {
    const whole = this.#answer ?? parseJson(this.text);
    return isAnswer(whole) ? whole : undefined;
  }

  header(name: string): string | undefined {
    const value = this.headers[name];
    return value === undefined ? undefined : String(value);
  }

  take(chunk: Buffer): void {
    const text = this.#decoder.decode(chunk, { stream: true });
    if (!this.isStream) this.text = (this.text + text).slice(0, MAX_TEXT_CHARS);
    else if (this.events.count < MAX_EVENTS) this.#parser.feed(text);
  }
}

/** Enough to know what the stream's events look like. */
const MAX_EVENTS = 100;

/** Agents that record all requests and responses. */
export class Traffic {
  readonly exchanges: Exchange[] = [];
  readonly agents: UpstreamAgents;
  #onListening = () => {};
  /** Resolves when the response headers of the first GET arrive. */
  readonly listening = new Promise<void>((resolve) => {
    this.#onListening = resolve;
  });

  constructor(agents: UpstreamAgents) {
    const dispatcher = agents.next().compose((dispatch) => (request, handler) => {
      const exchange = new Exchange(request.method);
      this.exchanges.push(exchange);
      return dispatch(request, observed(handler, exchange, this.#onListening));
    });
    this.agents = { ...agents, next: () => dispatcher };
  }

  /** The first exchange with a JSON-RPC answer, or else the last POST. */
  get hello(): Exchange | undefined {
    return this.exchanges.find(({ answer }) => answer !== undefined) ?? this.last("POST");
  }

  last(method: string): Exchange | undefined {
    return this.exchanges.findLast((exchange) => exchange.method === method);
  }

  /** The facts of the session so far. @param unknown the request in a session that does not exist */
  facts(unknown?: Exchange): HttpFacts {
    const posts = this.exchanges.filter(({ method, status }) => method === "POST" && status !== 202);
    const get = this.exchanges.find(({ method }) => method === "GET");
    return {
      answersAs: posts.some(({ isStream }) => isStream) ? "stream" : "json",
      hasSessions: posts[0]?.headers["mcp-session-id"] !== undefined,
      unknownSession: unknown?.status,
      get: { status: get?.status, isStream: get?.status === 200 && get.isStream },
      delete: this.last("DELETE")?.status,
      eventIds: { post: posts.some(({ events }) => events.hasIds), get: get?.events.hasIds ?? false },
      retryMs: this.exchanges.find(({ events }) => events.retryMs !== undefined)?.events.retryMs,
    };
  }
}

function observed(
  handler: Dispatcher.DispatchHandler,
  exchange: Exchange,
  onListening: () => void,
): Dispatcher.DispatchHandler {
  return {
    onRequestStart: (...start) => handler.onRequestStart?.(...start),
    onResponseStart: (controller, status, headers, ...rest) => {
      exchange.status = status;
      exchange.headers = headers;
      if (exchange.method === "GET") onListening();
      handler.onResponseStart?.(controller, status, headers, ...rest);
    },
    onResponseData: (controller, chunk) => {
      exchange.take(chunk);
      handler.onResponseData?.(controller, chunk);
    },
    onResponseEnd: (...end) => {
      exchange.isEnded = true;
      handler.onResponseEnd?.(...end);
    },
    onResponseError: (...error) => handler.onResponseError?.(...error),
  };
}

function isAnswer(value: unknown): value is JsonRpcResponse {
  if (!isObject(value) || value.method !== undefined) return false;
  return isObject(value.result) || (isObject(value.error) && typeof value.error.message === "string");
}
