import type { EventSourceMessage } from "eventsource-parser";
import type { JsonRpcMessage, JsonRpcRequest } from "../../protocol/jsonrpc.ts";
import { messageText } from "../../protocol/raw-json.ts";
import { toFailure, UpstreamFailure } from "../failure.ts";
import { inTime } from "../in-time.ts";
import {
  EVENT_STREAM,
  type HttpHead,
  type HttpListener,
  type HttpOptions,
  type HttpRequest,
  JSON_TYPE,
  UpstreamExchange,
} from "./exchange.ts";
import { readMessages } from "./legacy-exchange.ts";
import { type Asking, type AskListener, INITIALIZED, type RawTransport } from "./transport.ts";
import { UnusableAnswer } from "./unusable-answer.ts";

export interface SseOptions {
  /** The URL of the event stream; the server says where to post messages, on the same origin. */
  readonly url: URL;
  /** Headers for every request: the configured ones, and those that carry the caller's credentials. Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly http: HttpOptions;
  /** How long the server may take to name its endpoint for messages, and later to accept `notifications/initialized`; 10 s unless given. */
  readonly openingMs?: number;
  /** Called with the path of each POST. */
  readonly onPost?: (path: string) => void;
}

const OPENING_MS = 10_000;

/**
 * A session over HTTP+SSE (2024-11-05, Transports §HTTP with SSE). The session lives as long as its one event stream, on which everything
 * arrives, and cannot be resumed.
 */
export class SseTransport implements RawTransport {
  onMessage: RawTransport["onMessage"] = () => {};
  onUnusable: RawTransport["onUnusable"] = () => {};
  onGarbage: RawTransport["onGarbage"] = () => {};
  onLost: RawTransport["onLost"] = () => {};

  readonly #options: SseOptions;
  readonly #openingMs: number;
  /** The stream and the messages that are being sent. */
  readonly #open = new Set<UpstreamExchange>();
  /** How to fail each open request. */
  readonly #asked = new Set<(failure: UpstreamFailure) => void>();
  /** Settles when the server has named its endpoint, or cannot any more; absent until the first message is sent. */
  #opened: Promise<void> | undefined;
  #onEndpoint = () => {};
  #endpoint: URL | undefined;
  #version: string | undefined;
  /** Why nothing can arrive any more. */
  #ending: UpstreamFailure | undefined;

  /** Connects when the first message is sent. */
  constructor(options: SseOptions) {
    this.#options = options;
    this.#openingMs = options.openingMs ?? OPENING_MS;
  }

  setProtocolVersion(version: string): void {
    this.#version = version;
  }

  tell(message: JsonRpcMessage): Promise<void> {
    return this.#send(message);
  }

  ask(request: JsonRpcRequest, { headers, onAccepted = () => {} }: AskListener = {}): Asking {
    let stop = () => {};
    const ended = new Promise<void>((resolve, reject) => {
      this.#asked.add(reject);
      stop = () => {
        this.#asked.delete(reject);
        resolve();
      };
      // The answer may overtake the acknowledgement, which then does not matter.
      this.#send(request, headers).then(() => this.#asked.has(reject) && onAccepted(), reject);
    });
    return { ended, stop };
  }

  async initialized(notification = INITIALIZED): Promise<void> {
    const told = this.tell(notification);
    await inTime(this.#openingMs, told, () => late("take notifications/initialized", this.#openingMs));
  }

  async close(): Promise<void> {
    this.#end(new UpstreamFailure("The session with the server was closed", { mayHaveRun: true }));
  }

  get #isInitialized(): boolean {
    return this.#version !== undefined;
  }

  /** @param own headers for this message only; those of the session win */
  async #send(message: JsonRpcMessage, own?: AskListener["headers"]): Promise<void> {
    if (this.#ending === undefined) {
      this.#opened ??= this.#connect();
      await this.#opened;
    }
    const url = this.#endpoint;
    if (this.#ending !== undefined) throw unsent(this.#ending);
    if (url === undefined) throw new Error("the endpoint is known, or the session has ended");
    const { headers, onPost = () => {} } = this.#options;
    onPost(url.pathname);
    const version = this.#version === undefined ? {} : { "mcp-protocol-version": this.#version };
    const sent = { ...own, ...headers, ...version, "content-type": JSON_TYPE };
    await this.#begin({ method: "POST", url, headers: sent, body: messageText(message) }, {}).ended;
  }

  /** Opens the stream, and waits for the event that names the endpoint for messages. Never rejects. */
  async #connect(): Promise<void> {
    const { url, headers } = this.#options;
    const timer = setTimeout(
      () => this.#break(late("name its endpoint for messages", this.#openingMs)),
      this.#openingMs,
    );
    const opened = new Promise<void>((resolve) => {
      this.#onEndpoint = resolve;
    });
    void this.#listen({ method: "GET", url, headers: { ...headers, accept: EVENT_STREAM } });
    await opened;
    clearTimeout(timer);
  }

  async #listen(request: HttpRequest): Promise<void> {
    const exchange = this.#begin(request, {
      onHead: (head) => {
        if (head.type === EVENT_STREAM && head.status !== 200) this.#break(noEventStream(head));
      },
      onEvent: (event) => this.#hear(event),
    });
    const failure = await exchange.ended.then(
      (answer) => (answer.type === EVENT_STREAM ? undefined : noEventStream(answer)),
      (error: unknown) => (exchange.isCut ? undefined : refusedStream(toFailure(error))),
    );
    this.#break(failure ?? dropped(this.#isInitialized));
  }

  #hear(event: EventSourceMessage): void {
    if (event.event === "endpoint") return this.#name(event.data);
    readMessages(
      event,
      (message) => {
        if (message instanceof UnusableAnswer) this.onUnusable(message);
        else this.onMessage(message);
      },
      (error) => this.onGarbage(error),
    );
  }

  #name(endpoint: string): void {
    const { url } = this.#options;
    const named = URL.canParse(endpoint, url.href) ? new URL(endpoint, url) : undefined;
    if (named === undefined) return this.#break(misled("Invalid URL"));
    if (named.origin !== url.origin)
      return this.#break(misled(`Endpoint origin does not match connection origin: ${named.origin}`));
    this.#endpoint = named;
    this.#onEndpoint();
  }

  #begin(request: HttpRequest, listener: HttpListener): UpstreamExchange {
    const exchange = UpstreamExchange.send(request, this.#options.http, listener);
    this.#open.add(exchange);
    const isOver = () => this.#open.delete(exchange);
    exchange.ended.then(isOver, isOver);
    return exchange;
  }

  /** Ends the session at the first failure: another stream would be a new session that nobody has initialized. */
  #break(failure: UpstreamFailure): void {
    if (this.#ending !== undefined) return;
    // Before the requests fail, so that those that may be repeated go to another session.
    if (this.#isInitialized) this.onLost();
    this.#end(this.#isInitialized ? failure : unsent(failure));
  }

  #end(failure: UpstreamFailure): void {
    this.#ending ??= failure;
    this.#onEndpoint();
    for (const reject of this.#asked) reject(failure);
    this.#asked.clear();
    for (const exchange of this.#open) exchange.close(failure);
  }
}

function noEventStream({ status, headers }: HttpHead): UpstreamFailure {
  const type = headers["content-type"] ?? "nothing";
  const message = `The server answered HTTP ${status} with ${type}, expected HTTP 200 with text/event-stream`;
  return new UpstreamFailure(message, { mayHaveRun: false });
}

/** A redirect that was not followed is no refusal. */
function refusedStream(failure: UpstreamFailure): UpstreamFailure {
  const { status = 0 } = failure.facts;
  if (status < 300 || status >= 400) return failure;
  const [, why = ""] = failure.message.split(": ", 2);
  const message = `The server answered HTTP ${status}, expected an event stream (${why})`;
  return new UpstreamFailure(message, { mayHaveRun: true });
}

function dropped(isInitialized: boolean): UpstreamFailure {
  const when = isInitialized ? "in the middle of the call" : "before it answered initialize";
  return new UpstreamFailure(`The server closed its event stream ${when}`, { mayHaveRun: true });
}

function misled(why: string): UpstreamFailure {
  const message = `The server's endpoint for messages cannot be used: ${why}`;
  return new UpstreamFailure(message, { mayHaveRun: true });
}

function late(what: string, ms: number): UpstreamFailure {
  const message = `The server did not ${what} within ${ms} ms`;
  return new UpstreamFailure(message, { mayHaveRun: false });
}

/** The same failure, for a message that was not sent. */
function unsent({ message, facts }: UpstreamFailure): UpstreamFailure {
  return new UpstreamFailure(message, { ...facts, mayHaveRun: false });
}
