import {
  type FetchLike,
  type JSONRPCMessage,
  StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";
import { within } from "../../lib/within.ts";
import type { JsonRpcMessage, JsonRpcRequest, RequestId } from "../../protocol/jsonrpc.ts";
import { UpstreamFailure } from "../failure.ts";
import { AnswersPast } from "./answers-past.ts";
import type { CookieJar } from "./cookies.ts";
import { Exchange, type ExchangeContext, type Reconnecting, rejectAsFailure } from "./exchange.ts";
import type { Expected, UpstreamFetch } from "./fetch.ts";
import { isBusy, isEventStream, isRefusal, RESUMING, reconnectLater, retryDelay } from "./reconnecting.ts";
import { ResumedExchange } from "./resumed-exchange.ts";
import { StreamEnd } from "./stream-end.ts";
import {
  type Asking,
  type AskListener,
  INITIALIZED,
  type JoinedSession,
  type PickUp,
  type Stream,
  type TransportWire,
} from "./transport.ts";
import { UnusableAnswer } from "./unusable-answer.ts";

export interface StreamableHttpOptions {
  readonly url: URL;
  /** Headers for every request: the configured ones, and those that carry the caller's credentials. */
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: UpstreamFetch;
  /** The cookies that `fetch` keeps. Absent: the client keeps its own. */
  readonly cookies?: CookieJar;
  /** A session that is open already. Absent: `initialize` opens one. */
  readonly joined?: JoinedSession;
  /** Whether a gateway opened that session, so that the wire listens in it and ends it. Absent: it is a client's own. */
  readonly isOurs?: boolean;
}

/** The stream for the server's own messages is kept open as long as the session. */
const LISTENING: Reconnecting = {
  options: { ...RESUMING, maxRetries: Number.POSITIVE_INFINITY },
  scheduler: reconnectLater,
};
/** A server may hold back the response headers of its stream until it has an event: after this time, listening counts as begun. */
const LISTEN_DEADLINE_MS = 1_000;
/** How long to wait for the server's answer to the end of a session. */
const GOODBYE_MS = 1_000;

/** Streamable HTTP of 2025-03-26 to 2025-11-25, with one SDK transport for each request. */
export class StreamableHttpWire implements TransportWire, PickUp {
  onMessage: TransportWire["onMessage"] = () => {};
  onUnusable: TransportWire["onUnusable"] = () => {};
  onGarbage: TransportWire["onGarbage"] = () => {};
  onLost: TransportWire["onLost"] = () => {};

  readonly #options: StreamableHttpOptions;
  /** Carries the session itself: `initialize`, notifications, answers, and the stream for the server's own messages. */
  readonly #main: StreamableHTTPClientTransport;
  readonly #exchanges = new Set<Exchange | ResumedExchange>();
  #version: string | undefined;
  #isListening = false;
  /** Set while somebody wants to hear of changes from a server without sessions. */
  #hearing: AbortController | undefined;
  #isClosed = false;
  /** The server's response to the last message on the main transport. */
  #last = { status: 0, isStream: false };
  #onListening = () => {};
  #endHandshake = () => {};
  #endListening = () => {};
  #handshaking: Expected | undefined;
  #isInHandshake = false;
  /** Answers on the main transport. */
  readonly #answers = new AnswersPast();
  readonly #listening: Expected = {
    answerTo: "",
    onAccepted: () => {},
    onOverflow: () => {},
    answers: this.#answers,
  };

  // Shared by all transports: thousands of calls may wait, each on its own transport.
  readonly #requestInit: RequestInit;
  readonly #complain = (error: Error) => this.onGarbage(error);
  readonly #context: ExchangeContext;

  constructor(options: StreamableHttpOptions) {
    this.#options = options;
    this.#requestInit = { headers: { ...options.headers } };
    this.#version = options.joined?.protocolVersion;
    this.#main = this.#transport((url, init) => this.#mainFetch(url, init), LISTENING);
    this.#main.onmessage = (message) => {
      const real = this.#answers.real(message as JsonRpcMessage);
      this.#receive(real, this.#isInHandshake ? (this.#handshaking as Expected) : "aside");
    };
    this.#context = {
      fetch: options.fetch,
      transport: (fetch, reconnecting) => this.#transport(fetch, reconnecting),
      receive: (message, stream) => this.#receive(message, stream),
      isListening: () => this.#isListening,
      placeOf: (lastEventId) => ({ session: this.#session, lastEventId }),
    };
    if (options.joined !== undefined) void this.#main.start();
  }

  setProtocolVersion(version: string): void {
    this.#version = version;
    this.#main.setProtocolVersion(version);
  }

  async tell(message: JsonRpcMessage): Promise<void> {
    if (this.#isClosed) throw closed();
    await this.#main.send(message as JSONRPCMessage).catch(rejectAsFailure);
  }

  ask(request: JsonRpcRequest, listener: AskListener = {}): Asking {
    if (this.#isClosed) return { ended: Promise.reject(closed()), stop: () => {} };
    if (request.method === "initialize") return this.#handshake(request);
    const exchange = new Exchange(this.#context, request, listener);
    return this.#begin(exchange, exchange.send());
  }

  get pickUp(): PickUp {
    return this;
  }

  resume(answerTo: RequestId, lastEventId: string, listener: AskListener = {}): Asking {
    if (this.#isClosed) return { ended: Promise.reject(closed()), stop: () => {} };
    const exchange = new ResumedExchange(this.#context, answerTo, lastEventId, listener);
    return this.#begin(exchange, exchange.listen());
  }

  initialized(notification = INITIALIZED): Promise<void> {
    return this.#untilListening(async () => {
      await this.tell(notification);
      // The transport opens the stream by itself after a 202, but not after another 2xx.
      if (this.#last.status !== 202) this.#main.resumeStream("").catch(() => {});
    });
  }

  async listen(): Promise<void> {
    if (this.#isOurs && !this.#isClosed) await this.#untilListening(async () => void this.#listenAgain());
  }

  /** With a session id the wire listens anyway, as long as the session is open. */
  hearChanges(): () => void {
    if (this.#hasRoom || this.#isClosed) return () => {};
    const listening = new AbortController();
    this.#hearing = listening;
    void this.#listenAgain();
    return () => listening.abort();
  }

  async close(state?: "left"): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#hearing?.abort();
    this.#onListening();
    this.#endHandshake();
    this.#endListening();
    for (const exchange of this.#exchanges) await exchange.close();
    if (this.#isOurs && state !== "left") await this.#sayGoodbye();
    await this.#main.close();
  }

  get #isOurs(): boolean {
    return this.#options.joined === undefined || this.#options.isOurs === true;
  }

  /**
   * Whether the server has room for another stream for its own messages. Without sessions it may have one for all clients, which the gateway
   * must not take from them unless somebody wants to hear of changes.
   */
  get #hasRoom(): boolean {
    return this.#main.sessionId !== undefined || this.#hearing?.signal.aborted === false;
  }

  /** The session as another replica can join it. */
  get #session(): JoinedSession {
    const { sessionId } = this.#main;
    const cookies = this.#options.cookies?.toSetCookies();
    return {
      ...(sessionId === undefined ? {} : { id: sessionId }),
      protocolVersion: this.#version ?? "",
      ...(cookies === undefined ? {} : { cookies }),
    };
  }

  async #untilListening(begin: () => Promise<void>): Promise<void> {
    const listening = new Promise<void>((resolve) => {
      this.#onListening = resolve;
    });
    await begin();
    const deadline = setTimeout(this.#onListening, LISTEN_DEADLINE_MS);
    await listening;
    clearTimeout(deadline);
  }

  /** Listens as soon as the server gives up the stream that another replica had. */
  async #listenAgain(): Promise<void> {
    const { ended, end } = new StreamEnd();
    this.#endListening = end;
    for (let failures = 1; !this.#isClosed && failures <= RESUMING.maxRetries; failures += 1) {
      try {
        return await this.#main.resumeStream("");
      } catch (error) {
        if (!isBusy(error)) return;
      }
      await within(retryDelay(failures), ended);
    }
  }

  async #sayGoodbye(): Promise<void> {
    const patience = setTimeout(() => void this.#main.close(), GOODBYE_MS);
    await this.#main.terminateSession().catch(() => {});
    clearTimeout(patience);
  }

  /** Sends `initialize` on the main transport, which thereby gets the session that all others share. */
  #handshake(request: JsonRpcRequest): Asking {
    const stream = new StreamEnd();
    this.#endHandshake = () => stream.end();
    const answers = this.#answers;
    this.#handshaking = { answerTo: request.id, onAccepted: () => {}, onOverflow: stream.end, answers };
    this.#isInHandshake = true;
    const send = async () => {
      await this.#main.start();
      await this.#main
        .send(request as JSONRPCMessage, { onRequestStreamEnd: () => stream.end() })
        .catch(rejectAsFailure);
      if (this.#last.isStream) await stream.ended;
    };
    const stop = () => {
      this.#isInHandshake = false;
      stream.end();
    };
    return { ended: send(), stop };
  }

  #receive(message: JsonRpcMessage | UnusableAnswer, stream: Stream): void {
    if (message instanceof UnusableAnswer) this.onUnusable(message, stream);
    else this.onMessage(message, stream);
  }

  #begin(exchange: Exchange | ResumedExchange, ended: Promise<void>): Asking {
    this.#exchanges.add(exchange);
    const isOver = ended.finally(() => this.#exchanges.delete(exchange));
    return { ended: isOver, stop: () => exchange.stop() };
  }

  async #mainFetch(url: string | URL, given: RequestInit | undefined): Promise<Response> {
    const isListening = given?.method === "GET";
    if (isListening && !this.#hasRoom) {
      this.#isListening = false;
      this.#onListening();
      return new Response(null, { status: 405 });
    }
    const init =
      isListening && this.#hearing !== undefined
        ? { ...given, signal: anySignal(given.signal, this.#hearing.signal) }
        : given;
    try {
      const response = await this.#options.fetch(
        url,
        init,
        isListening ? this.#listening : this.#handshaking,
      );
      if (isListening) this.#isListening = response.ok;
      else this.#last = { status: response.status, isStream: isEventStream(response) };
      return response;
    } catch (error) {
      if (isListening && this.#isListening && isRefusal(error)) {
        this.#isListening = false;
        this.onLost();
      }
      throw error;
    } finally {
      if (isListening) this.#onListening();
    }
  }

  #transport(fetch: FetchLike, { options, scheduler }: Reconnecting): StreamableHTTPClientTransport {
    const sessionId = this.#main?.sessionId ?? this.#options.joined?.id;
    const transport = new StreamableHTTPClientTransport(this.#options.url, {
      fetch,
      requestInit: this.#requestInit,
      reconnectionOptions: options,
      reconnectionScheduler: scheduler,
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(this.#version === undefined ? {} : { protocolVersion: this.#version }),
    });
    transport.onerror = this.#complain;
    return transport;
  }
}

function anySignal(given: AbortSignal | null | undefined, other: AbortSignal): AbortSignal {
  return given ? AbortSignal.any([given, other]) : other;
}

function closed(): UpstreamFailure {
  return new UpstreamFailure("The session with the server was closed", { mayHaveRun: false });
}
