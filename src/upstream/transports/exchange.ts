import type { IncomingHttpHeaders } from "node:http";
import { setImmediate } from "node:timers/promises";
import type { EventSourceMessage } from "eventsource-parser";
import type { Dispatcher } from "undici";
import type { AnswerRoom } from "../../limits/answers.ts";
import { isJsonRpcError } from "../../protocol/errors.ts";
import { mediaType } from "../../protocol/headers.ts";
import { isObject, type JsonRpcError, parseJson } from "../../protocol/jsonrpc.ts";
import { toFailure, UpstreamFailure } from "../failure.ts";
import type { CookieJar } from "./cookies.ts";
import { EventReader } from "./event-reader.ts";
import { masked, secretsIn } from "./masked.ts";
import { MessageLimit, type MessageLimits } from "./message-limit.ts";
import { MAX_REDIRECTS, redirectLocation, redirectTarget } from "./redirect.ts";

export interface HttpOptions extends MessageLimits {
  readonly dispatcher: Dispatcher;
  /** The session's cookies. Absent: cookies that the server sets are dropped. */
  readonly cookies?: CookieJar | undefined;
}

export interface HttpRequest {
  readonly method: "GET" | "POST" | "DELETE";
  readonly url: URL;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface HttpHead {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The content type without its parameters, in lower case; empty if there is none. */
  readonly type: string;
}

export interface HttpAnswer extends HttpHead {
  /** The body, unless it was an event stream. */
  readonly text: string;
}

/** What a request reports before it ends. A listener that throws fails the request. */
export interface HttpListener {
  /** Where the answer finds room while it is read. Absent: it is not counted. */
  readonly room?: AnswerRoom | undefined;
  /** Called when the server has accepted the request, however late it answers. */
  onHead?(head: HttpHead): void;
  /** Called with each event of a stream. */
  onEvent?(event: EventSourceMessage): void;
  /** Called with how long the server wants clients to wait before they open the stream again, in milliseconds. */
  onRetry?(ms: number): void;
}

export const EVENT_STREAM = "text/event-stream";
export const JSON_TYPE = "application/json";

/** How long a server may take to end an answer of which nothing more is wanted. */
const GRACE_MS = 1_000;
/** How many lines of an event stream are parsed at a stretch. */
const MAX_LINES = 128;
/** How much to keep of a refusal in words; one in JSON may be an answer, with data for the client. */
const MAX_REFUSAL_BYTES = 16_384;

type Reading =
  | { readonly kind: "text" | "refusal"; readonly chunks: Buffer[] }
  | { readonly kind: "events"; readonly reader: EventReader };

/** One HTTP request to a server and its answer: bounded in memory, unbounded in time. */
export class UpstreamExchange implements Dispatcher.DispatchHandler {
  /**
   * Resolves with the complete answer; `onEvent` has reported the events of a stream by then.
   * @throws UpstreamFailure with the server's words when it refuses the request
   */
  readonly ended: Promise<HttpAnswer>;
  readonly #options: HttpOptions;
  readonly #method: HttpRequest["method"];
  readonly #headers: HttpRequest["headers"];
  /** Kept until the server has answered, which may redirect the request. */
  #sent: string | null;
  readonly #listener: HttpListener;
  #resolve: (answer: HttpAnswer) => void = () => {};
  #reject: (failure: UpstreamFailure) => void = () => {};
  #target: URL;
  #redirects = 0;
  /** Absent until the request has a connection. */
  #controller: Dispatcher.DispatchController | undefined;
  #head: HttpHead | undefined;
  #limit: MessageLimit | undefined;
  #body: Reading | undefined;
  #hasBegun = false;
  #isCut = false;
  #isUnusable = false;
  /** Whether a chunk waits for room, or for other work. */
  #isBehind = false;
  /** Why the answer ends behind the chunk that waits. */
  #broken: UpstreamFailure | undefined;
  #isMoving = false;
  /** Ends an answer of which nothing more is wanted. */
  #grace: NodeJS.Timeout | undefined;
  #isOver = false;
  #why: UpstreamFailure | undefined;

  /** Sends a request, also to where the server redirects it on the same origin without having taken it (`redirectTarget`). */
  static send(request: HttpRequest, options: HttpOptions, listener: HttpListener = {}): UpstreamExchange {
    const exchange = new UpstreamExchange(request, options, listener);
    exchange.#send();
    return exchange;
  }

  private constructor(request: HttpRequest, options: HttpOptions, listener: HttpListener) {
    this.#method = request.method;
    this.#headers = request.headers;
    this.#sent = request.body ?? null;
    this.#options = options;
    this.#listener = listener;
    this.#target = request.url;
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Whether a part of the body has come. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** Whether the connection broke in the middle of an event stream. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** Whether the answer itself is to blame for the failure: it exceeds a limit, or nobody could take it. */
  get isUnusable(): boolean {
    return this.#isUnusable;
  }

  /** Ignores whatever else comes. A server that ends the answer in time keeps the connection. */
  leave(): void {
    if (this.#isOver || this.#grace !== undefined) return;
    this.#limit?.end();
    this.#grace = setTimeout(() => this.close(), GRACE_MS);
  }

  /** Breaks the request off. */
  close(failure: UpstreamFailure = brokenOff()): void {
    if (!this.#end()) return;
    this.#why = failure;
    this.#reject(failure);
    this.#controller?.abort(failure);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#why !== undefined) controller.abort(this.#why);
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    if (status < 200) return;
    const cookies = headers["set-cookie"];
    if (cookies !== undefined) this.#options.cookies?.take(this.#target, [cookies].flat());
    // A GET may be repeated anywhere.
    const targetOf = this.#method === "GET" ? redirectLocation : redirectTarget;
    const next = targetOf(status, headers.location, this.#target);
    if (next !== undefined && isWithin(this.#target, next) && this.#redirects < MAX_REDIRECTS) {
      this.#redirects += 1;
      this.#isMoving = true;
      controller.abort(brokenOff());
      this.#isMoving = false;
      this.#target = next;
      return this.#send();
    }
    this.#sent = null;
    const encoding = headers["content-encoding"];
    if (encoding !== undefined && encoding !== "identity")
      return this.#giveUp(
        new UpstreamFailure("The server compressed an answer that was to be plain", { mayHaveRun: true }),
      );
    const head = { status, headers, type: mediaType(headers["content-type"]) };
    this.#head = head;
    this.#begin(head);
    if (status < 300) this.#listen(() => this.#listener.onHead?.(head));
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    // undici reports empty chunks whenever it reads on: whoever paused it for one would be told of the next one for ever.
    if (chunk.length === 0) return;
    if (this.#isOver || this.#grace !== undefined || this.#limit === undefined) return;
    let lines: number;
    try {
      lines = this.#limit.take(chunk);
    } catch (error) {
      return this.#body?.kind === "refusal" ? this.#refuse("") : this.#giveUp(toFailure(error));
    }
    this.#hasBegun = true;
    const room = this.#limit.room();
    if (room === undefined && (this.#body?.kind !== "events" || lines <= MAX_LINES)) return this.#read(chunk);
    controller.pause();
    this.#isBehind = true;
    void this.#readLater(controller, chunk, lines, room);
  }

  onResponseEnd(): void {
    const head = this.#head;
    if (head === undefined || this.#isOver) return;
    const text =
      this.#body?.kind === "text" || this.#body?.kind === "refusal" ? textOf(this.#body.chunks) : "";
    if (this.#body?.kind === "refusal" && this.#grace === undefined) this.#refuse(text);
    else if (this.#end()) this.#resolve({ text, ...head });
  }

  onResponseError(_controller: unknown, error: Error): void {
    if (this.#isMoving || this.#isOver) return;
    this.#isCut = this.#body?.kind === "events";
    const failure = toFailure(error);
    if (this.#isBehind) this.#broken = failure;
    else if (this.#body?.kind === "refusal") this.#refuse("");
    else this.close(failure);
  }

  #send(): void {
    const { dispatcher, cookies } = this.#options;
    const target = this.#target;
    // A compressed answer could grow without a limit.
    const headers = { "accept-encoding": "identity", ...this.#headers };
    dispatcher.dispatch(
      {
        origin: target.origin,
        path: target.pathname + target.search,
        method: this.#method,
        headers: cookies?.addTo(headers, target) ?? headers,
        body: this.#sent,
      },
      this,
    );
  }

  #begin({ status, type }: HttpHead): void {
    const { room } = this.#listener;
    if (status >= 300) {
      const { maxMessageBytes, maxDepth } = this.#options;
      const maxBytes = type === JSON_TYPE ? maxMessageBytes : MAX_REFUSAL_BYTES;
      this.#limit = new MessageLimit({ maxMessageBytes: maxBytes, maxDepth }, false);
      this.#body = { kind: "refusal", chunks: [] };
    } else if (type === EVENT_STREAM) {
      this.#limit = new MessageLimit(this.#options, true, room);
      const reader = new EventReader({
        onEvent: (event) => {
          // One chunk may have events behind the last one that is wanted.
          if (!this.#isOver && this.#grace === undefined) this.#listener.onEvent?.(event);
        },
        onRetry: (ms) => this.#listener.onRetry?.(ms),
      });
      this.#body = { kind: "events", reader };
    } else {
      this.#limit = new MessageLimit(this.#options, false, room);
      this.#body = { kind: "text", chunks: [] };
    }
  }

  #read(chunk: Buffer): void {
    const body = this.#body;
    if (body?.kind === "events") this.#listen(() => body.reader.feed(chunk));
    else body?.chunks.push(chunk);
  }

  /**
   * Reads a chunk when there is room for it. One of many short lines is cut into slices: parsing those takes a thousand times as long as
   * receiving them, and other work gets its turn in between.
   */
  async #readLater(
    controller: Dispatcher.DispatchController,
    chunk: Buffer,
    lines: number,
    room: Promise<void> | undefined,
  ): Promise<void> {
    await room;
    const isCutUp = this.#body?.kind === "events" && lines > MAX_LINES;
    const sliceBytes = isCutUp ? Math.ceil((chunk.length * MAX_LINES) / lines) : chunk.length;
    for (let at = 0; at < chunk.length && !this.#isOver; at += sliceBytes) {
      if (at > 0) await setImmediate();
      this.#read(chunk.subarray(at, at + sliceBytes));
    }
    this.#isBehind = false;
    if (this.#broken !== undefined) this.close(this.#broken);
    controller.resume();
  }

  #listen(report: () => void): void {
    try {
      report();
    } catch (error) {
      this.#giveUp(toFailure(error));
    }
  }

  #giveUp(failure: UpstreamFailure): void {
    this.#isUnusable = !this.#isOver;
    this.close(failure);
  }

  #refuse(body: string): void {
    const { status, headers, type } = this.#head as HttpHead;
    // Servers repeat what they dislike about a request, and others than its sender may read the refusal.
    const said = masked(body, secretsIn(this.#headers));
    const rpcError = readRpcError(said);
    const redirect = redirectWords(status, headers.location, this.#target);
    const detail =
      rpcError?.message ?? redirect ?? (type === "text/html" ? "an HTML page" : said.slice(0, 200).trim());
    const wwwAuthenticate = headers["www-authenticate"];
    const facts = {
      // With a 3xx or 4xx the server did not act on the request; a 5xx says nothing about that.
      mayHaveRun: status >= 500,
      status,
      rpcError,
      wwwAuthenticate: wwwAuthenticate && String(wwwAuthenticate),
    };
    this.close(
      new UpstreamFailure(`The server answered HTTP ${status}${detail === "" ? "" : `: ${detail}`}`, facts),
    );
  }

  /** Returns whether this was the end. */
  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#limit?.end();
    clearTimeout(this.#grace);
    return true;
  }
}

function brokenOff(): UpstreamFailure {
  return new UpstreamFailure("The request was broken off", { mayHaveRun: true });
}

/** The configured headers and the caller's credentials may go to the same origin, and to its TLS port on the same host. */
function isWithin(from: URL, to: URL): boolean {
  const isUpgrade =
    from.protocol === "http:" && to.protocol === "https:" && from.port === "" && to.port === "";
  return to.origin === from.origin || (isUpgrade && to.hostname === from.hostname);
}

/** What a redirect that was not followed says; its query may be a secret. */
function redirectWords(status: number, location: string | undefined, from: URL): string | undefined {
  const target = redirectLocation(status, location, from);
  return target && `the redirect to ${target.origin}${target.pathname} is not followed`;
}

function textOf(chunks: readonly Buffer[]): string {
  const [first] = chunks;
  return (chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks)).toString("utf8");
}

function readRpcError(body: string): JsonRpcError | undefined {
  const parsed = parseJson(body);
  return isObject(parsed) && isJsonRpcError(parsed.error) ? parsed.error : undefined;
}
