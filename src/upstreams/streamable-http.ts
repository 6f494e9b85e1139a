import {
  type FetchLike,
  type JSONRPCMessage,
  StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";
import { within } from "../ops/within.ts";
import type { JsonRpcMessage, JsonRpcRequest, RequestId } from "../protocol/jsonrpc.ts";
import { AnswersPast } from "./answers-past.ts";
import type { CookieJar } from "./cookies.ts";
import { Exchange, type ExchangeContext, type Reconnecting, rejectAsFailure } from "./exchange.ts";
import { UpstreamFailure } from "./failure.ts";
import type { Expected, UpstreamFetch } from "./fetch.ts";
import { isBusy, isEventStream, isRefusal, RESUMING, reconnectLater, retryDelay } from "./reconnecting.ts";
import { ResumedExchange } from "./resumed-exchange.ts";
import { StreamEnd } from "./stream-end.ts";
import { UnusableAnswer } from "./unusable-answer.ts";
import {
  type Asking,
  type AskListener,
  INITIALIZED,
  type JoinedSession,
  type PickUp,
  type Stream,
  type TransportWire,
} from "./wire.ts";

export interface StreamableHttpOptions {
  readonly url: URL;
  /** Sent with every request: those of the configuration, and those the caller's credentials consist of. */
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: UpstreamFetch;
  /** Which `fetch` keeps. Absent: they are not ours to keep. */
  readonly cookies?: CookieJar;
  /** A session that is open already. */
  readonly joined?: JoinedSession;
  /** Whether that session was opened by a gateway, and so is ours to listen to and to end. Absent: it is a client's own. */
  readonly isOurs?: boolean;
}

/** The stream that the server pushes on is wanted as long as the session is. */
const LISTENING: Reconnecting = {
  options: { ...RESUMING, maxRetries: Number.POSITIVE_INFINITY },
  scheduler: reconnectLater,
};
/** A server may keep the head of its stream back until it has an event: then listening has begun all the same. */
const LISTEN_DEADLINE_MS = 1_000;
/** A server that does not answer the end of a session is left without a word. */
const GOODBYE_MS = 1_000;

/** Streamable HTTP as of 2025-03-26 to 2025-11-25, over the SDK's transport: one of them for each request. */
export class StreamableHttpWire implements TransportWire, PickUp {
  onMessage: TransportWire["onMessage"] = () => {};
  onUnusable: TransportWire["onUnusable"] = () => {};
  onGarbage: TransportWire["onGarbage"] = () => {};
  onLost: TransportWire["onLost"] = () => {};

  readonly #options: StreamableHttpOptions;
  /** Carries the session itself: `initialize`, notifications, answers, and the stream that the server pushes on. */
  readonly #main: StreamableHTTPClientTransport;
  readonly #exchanges = new Set<Exchange | ResumedExchange>();
  #version: string | undefined;
  #isListening = false;
  /** While somebody wants to hear of changes in what is no session. */
  #hearing: AbortController | undefined;
  #isClosed = false;
  /** What the server said to the last message that was sent on the main transport. */
  #last = { status: 0, isStream: false };
  #onListening = () => {};
  #endHandshake = () => {};
  #endListening = () => {};
  #handshaking: Expected | undefined;
  #isInHandshake = false;
  /** Those that come on the main transport. */
  readonly #answers = new AnswersPast();
  readonly #listening: Expected = {
    answerTo: "",
    onAccepted: () => {},
    onOverflow: () => {},
    answers: this.#answers,
  };

  // Shared by all transports: thousands of calls may be waiting on one of their own.
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
      // The transport opens the stream by itself when this is acknowledged with 202, but not after another 2xx.
      if (this.#last.status !== 202) this.#main.resumeStream("").catch(() => {});
    });
  }

  async listen(): Promise<void> {
    if (this.#isOurs && !this.#isClosed) await this.#untilListening(async () => void this.#listenAgain());
  }

  /** In a session of its own it listens as long as that is open. */
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
   * Whether the server can have another stream to push on. Without sessions it may have one for everybody, which is not for the gateway to
   * take from its clients, unless somebody wants to hear of changes.
   */
  get #hasRoom(): boolean {
    return this.#main.sessionId !== undefined || this.#hearing?.signal.aborted === false;
  }

  /** As others can speak in it. */
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

  /** As soon as the server lets go of the stream that another process had. */
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

  /** `initialize` gives the main transport the session that all others share. */
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
