import { createParser } from "eventsource-parser";
import type { Dispatcher } from "undici";
import { isEventStream } from "../protocol/headers.ts";
import {
  isAnswerTo,
  isObject,
  isRequestId,
  type JsonObject,
  type JsonRpcResponse,
  parseJson,
  type RequestId,
} from "../protocol/jsonrpc.ts";
import { CookieJar } from "../upstreams/cookies.ts";
import { late, toFailure, UpstreamFailure } from "../upstreams/failure.ts";
import { MAX_MESSAGE_BYTES } from "./sessions.ts";

/** One HTTP request and everything about its answer that tells something of the server. */
export interface Visit {
  readonly status: number;
  /** In lower case; several of one name in one text. */
  readonly headers: Readonly<Record<string, string>>;
  readonly isStream: boolean;
  /** The beginning of a body that is no event stream. */
  readonly text: string;
  readonly events: EventFacts;
  /** The JSON-RPC answer to the request, or the error of a refusal. */
  readonly answer?: JsonRpcResponse;
}

/** What the events of a stream were like, up to the answer. */
export interface EventFacts {
  readonly count: number;
  readonly hasIds: boolean;
  readonly retryMs?: number;
}

export interface VisitorOptions {
  readonly url: URL;
  /** Sent with every request. */
  readonly headers: Readonly<Record<string, string>>;
  readonly dispatcher: Dispatcher;
  /** How long an answer may take. */
  readonly timeoutMs: number;
  /** Ends everything that is open. */
  readonly signal: AbortSignal;
}

export interface PostOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** In place of what holds for every visit. */
  readonly timeoutMs?: number;
}

/** As much of a page as is looked at. */
const MAX_PAGE_BYTES = 65_536;
/** A stream to listen to may keep its head back, and need not say anything. */
const HEAD_PATIENCE_MS = 1_000;
const MOMENT_MS = 300;

/** Talks to a URL request by request, and looks closer than a client would. */
export class Visitor {
  readonly url: URL;
  readonly options: VisitorOptions;
  readonly #cookies: CookieJar;

  constructor(options: VisitorOptions) {
    this.url = options.url;
    this.options = options;
    this.#cookies = new CookieJar(options.url);
  }

  /** The same for another URL. */
  at(url: URL): Visitor {
    return new Visitor({ ...this.options, url });
  }

  /**
   * Posts a message; for a request, waits for its answer.
   * @throws UpstreamFailure when there is no HTTP answer, or no end of it in time
   */
  async post(message: JsonObject, options: PostOptions = {}): Promise<Visit> {
    const { timeoutMs = this.options.timeoutMs } = options;
    return this.#inTime(timeoutMs, String(message.method), async (signal) => {
      const headers = { "content-type": "application/json", ...options.headers };
      const response = await this.#request("POST", headers, signal, JSON.stringify(message));
      return read(response, isRequestId(message.id) ? { answerTo: message.id } : {});
    });
  }

  /** @throws UpstreamFailure as `post` does */
  delete(headers: Readonly<Record<string, string>>): Promise<Visit> {
    return this.#inTime(this.options.timeoutMs, "DELETE", async (signal) =>
      read(await this.#request("DELETE", headers, signal)),
    );
  }

  /** What a browser would be shown. @throws UpstreamFailure as `post` does */
  page(): Promise<Visit> {
    return this.#inTime(this.options.timeoutMs, "GET", async (signal) =>
      read(await this.#request("GET", {}, signal, undefined, "text/html, */*"), {
        momentMs: MOMENT_MS,
      }),
    );
  }

  /** Listens to what the server says unasked, for a moment. `undefined`: it said nothing, not even a head. */
  async listen(headers: Readonly<Record<string, string>>): Promise<Visit | undefined> {
    const head = new AbortController();
    const timer = setTimeout(() => head.abort(), HEAD_PATIENCE_MS);
    try {
      const signal = AbortSignal.any([head.signal, this.options.signal]);
      const response = await this.#request("GET", headers, signal, undefined, "text/event-stream");
      clearTimeout(timer);
      return await read(response, { momentMs: MOMENT_MS });
    } catch (error) {
      if (head.signal.aborted) return undefined;
      throw toFailure(error);
    } finally {
      clearTimeout(timer);
    }
  }

  async #request(
    method: "GET" | "POST" | "DELETE",
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
    body: string | null = null,
    accept = "application/json, text/event-stream",
  ): Promise<Dispatcher.ResponseData> {
    const { url } = this;
    const { dispatcher, headers: given } = this.options;
    const sent = { accept, "accept-encoding": "identity", ...headers, ...given };
    const response = await dispatcher.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method,
      headers: this.#cookies.addTo(sent, url),
      body,
      signal,
    });
    this.#cookies.take(url, [response.headers["set-cookie"] ?? []].flat());
    return response;
  }

  async #inTime(ms: number, what: string, visit: (signal: AbortSignal) => Promise<Visit>): Promise<Visit> {
    const timeout = AbortSignal.timeout(ms);
    try {
      return await visit(AbortSignal.any([timeout, this.options.signal]));
    } catch (error) {
      throw timeout.aborted ? late(what, ms) : toFailure(error);
    }
  }
}

interface Reading {
  readonly answerTo?: RequestId;
  /** How long a stream is read on which nothing is asked; to the answer, or its end, unless given. */
  readonly momentMs?: number;
}

async function read(
  { statusCode: status, headers: given, body }: Dispatcher.ResponseData,
  reading: Reading = {},
): Promise<Visit> {
  const headers = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, String(value)]));
  const visit = { status, headers };
  if (isEventStream(headers["content-type"])) return { ...visit, ...(await readStream(body, reading)) };
  const isJson = /[/+]json\b/i.test(headers["content-type"] ?? "");
  const text = await readText(body, isJson);
  const message = parseJson(text);
  return {
    ...visit,
    isStream: false,
    text: text.slice(0, MAX_PAGE_BYTES),
    events: { count: 0, hasIds: false },
    ...(isAnswer(message) ? { answer: message } : {}),
  };
}

/** Reads until the answer, the end, or the end of the moment; whatever comes later is not looked at. */
async function readStream(body: Dispatcher.ResponseData["body"], { answerTo, momentMs }: Reading) {
  let answer: JsonRpcResponse | undefined;
  let events: EventFacts = { count: 0, hasIds: false };
  const parser = createParser({
    onEvent: ({ id, data }) => {
      events = { ...events, count: events.count + 1, hasIds: events.hasIds || id !== undefined };
      const message = parseJson(data);
      if (answerTo !== undefined && isAnswerTo(message, answerTo) && isAnswer(message)) answer ??= message;
    },
    onRetry: (retryMs) => {
      events = { ...events, retryMs };
    },
    maxBufferSize: MAX_MESSAGE_BYTES,
  });
  const decoder = new TextDecoder();
  const moment = momentMs === undefined ? undefined : setTimeout(() => body.destroy(), momentMs);
  body.on("error", () => {});
  try {
    for await (const chunk of body) {
      parser.feed(decoder.decode(chunk, { stream: true }));
      if (answer !== undefined) break;
    }
  } catch (error) {
    // What is cut off by us is no failure.
    if (momentMs === undefined) throw error;
  } finally {
    clearTimeout(moment);
  }
  return { isStream: true, text: "", events, ...(answer === undefined ? {} : { answer }) };
}

/** Of a page the beginning is enough. @throws UpstreamFailure when JSON is too large */
async function readText(body: Dispatcher.ResponseData["body"], isJson: boolean): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (!isJson && bytes > MAX_PAGE_BYTES) break;
    if (bytes > MAX_MESSAGE_BYTES)
      throw new UpstreamFailure(`The server's answer is larger than ${MAX_MESSAGE_BYTES} bytes`, {
        mayHaveRun: true,
      });
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** An answer, whoever it is for: refusals have the id `null`. */
function isAnswer(value: unknown): value is JsonRpcResponse {
  if (!isObject(value) || value.method !== undefined) return false;
  return isObject(value.result) || (isObject(value.error) && typeof value.error.message === "string");
}
