import {
  type FetchLike,
  type JSONRPCMessage,
  StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";
import type { JsonRpcMessage, JsonRpcRequest } from "../protocol/jsonrpc.ts";
import { toFailure, UpstreamFailure } from "./failure.ts";
import { type Expected, STREAM_GRACE_MS, type UpstreamFetch } from "./fetch.ts";
import { type Asking, INITIALIZED, type Wire } from "./wire.ts";

export interface StreamableHttpOptions {
  readonly url: URL;
  /** Sent with every request: those of the configuration, and those the caller's credentials consist of. */
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: UpstreamFetch;
  /** A session that is open already, and not ours to end or to listen to. Its id is absent where the server has no sessions. */
  readonly joined?: JoinedSession;
}

export interface JoinedSession {
  readonly id?: string;
  readonly protocolVersion: string;
}

/** How a stream that was cut is picked up again for its answer, where the server gave its events ids. */
const RESUMING = {
  initialReconnectionDelay: 500,
  maxReconnectionDelay: 10_000,
  reconnectionDelayGrowFactor: 2,
  maxRetries: 20,
};
/** The stream that the server pushes on is wanted as long as the session is. */
const LISTENING = { ...RESUMING, maxRetries: Number.POSITIVE_INFINITY };
/** Sooner than this after a cut, several server SDKs lose the stream. */
const MIN_RECONNECT_DELAY_MS = 500;
/** A server may keep the head of its stream back until it has an event: then listening has begun all the same. */
const LISTEN_DEADLINE_MS = 1_000;
/** A server that does not answer the end of a session is left without a word. */
const GOODBYE_MS = 1_000;

/** Streamable HTTP as of 2025-03-26 to 2025-11-25, over the SDK's transport: one of them for each request. */
export class StreamableHttpWire implements Wire {
  onMessage: Wire["onMessage"] = () => {};
  onGarbage: Wire["onGarbage"] = () => {};
  onLost: Wire["onLost"] = () => {};

  readonly #options: StreamableHttpOptions;
  /** Carries the session itself: `initialize`, notifications, answers, and the stream that the server pushes on. */
  readonly #main: StreamableHTTPClientTransport;
  readonly #exchanges = new Set<StreamableHTTPClientTransport>();
  #version: string | undefined;
  #isListening = false;
  #isClosed = false;
  /** What the server said to the last message that was sent on the main transport. */
  #last = { status: 0, isStream: false };
  #onListening = () => {};
  #endHandshake = () => {};
  #handshaking: Expected | undefined;

  // Shared by all transports: thousands of calls may be waiting on one of their own.
  readonly #requestInit: RequestInit;
  readonly #receive = (message: JSONRPCMessage) => this.onMessage(message as JsonRpcMessage);
  readonly #complain = (error: Error) => this.onGarbage(error);

  constructor(options: StreamableHttpOptions) {
    this.#options = options;
    this.#requestInit = { headers: { ...options.headers } };
    this.#version = options.joined?.protocolVersion;
    this.#main = this.#transport((url, init) => this.#mainFetch(url, init), LISTENING);
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

  ask(request: JsonRpcRequest, onAccepted = () => {}): Asking {
    if (this.#isClosed) return { ended: Promise.reject(closed()), stop: () => {} };
    return request.method === "initialize" ? this.#handshake(request) : this.#exchange(request, onAccepted);
  }

  async initialized(notification = INITIALIZED): Promise<void> {
    const listening = new Promise<void>((resolve) => {
      this.#onListening = resolve;
    });
    await this.tell(notification);
    // The transport opens the stream by itself when this is acknowledged with 202, but not after another 2xx.
    if (this.#last.status !== 202) this.#main.resumeStream("").catch(() => {});
    const deadline = setTimeout(this.#onListening, LISTEN_DEADLINE_MS);
    await listening;
    clearTimeout(deadline);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#onListening();
    this.#endHandshake();
    for (const transport of this.#exchanges) await transport.close();
    if (this.#options.joined === undefined) await this.#sayGoodbye();
    await this.#main.close();
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
    this.#handshaking = { answerTo: request.id, onAccepted: () => {}, onOverflow: stream.end };
    const send = async () => {
      await this.#main.start();
      await this.#main
        .send(request as JSONRPCMessage, { onRequestStreamEnd: () => stream.end() })
        .catch(rejectAsFailure);
      if (this.#last.isStream) await stream.ended;
    };
    return { ended: send(), stop: () => stream.end() };
  }

  /** Sends one request on a transport of its own, to know when nothing more can come of it. */
  #exchange(request: JsonRpcRequest, onAccepted: () => void): Asking {
    const stream = new StreamEnd();
    let isAnswerElsewhere = false;
    let lastEventId: string | undefined;
    const expected: Expected = { answerTo: request.id, onAccepted, onOverflow: stream.end };
    const fetch: FetchLike = async (url, init) => {
      // The transport forgets where it was when a resumed stream is cut before its first event.
      if (init?.method === "GET" && lastEventId !== undefined)
        (init.headers as Headers).set("last-event-id", lastEventId);
      const response = await this.#options.fetch(url, init, expected).catch((error: unknown) => {
        // What refuses to resume a stream once will refuse it again: the answer is lost.
        if (init?.method === "GET" && isRefusal(error)) stream.end(lost(error));
        throw error;
      });
      isAnswerElsewhere = response.status === 202 || isEventStream(response);
      if (response.status === 202 && !this.#isListening) stream.end(onlyAcknowledged());
      return response;
    };
    const transport = this.#transport(fetch, RESUMING);
    transport.onclose = () => stream.end();
    this.#exchanges.add(transport);
    let isOver = false;
    let lastOrders: NodeJS.Timeout | undefined;
    const send = async () => {
      try {
        await transport.start();
        await transport
          .send(request as JSONRPCMessage, {
            onRequestStreamEnd: () => stream.end(),
            onresumptiontoken: (id) => {
              lastEventId = id;
            },
          })
          .catch(rejectAsFailure);
        if (isAnswerElsewhere) await stream.ended;
      } catch (error) {
        await transport.close();
        throw error;
      } finally {
        isOver = true;
        clearTimeout(lastOrders);
        this.#exchanges.delete(transport);
      }
    };
    // A server closes the stream when it has answered; to cut it off at once would cost the connection every time.
    const stop = () => {
      // What it says after its answer belongs to no call, and must not be taken for the next one's.
      transport.onmessage = () => {};
      if (!isOver) lastOrders = setTimeout(() => void transport.close(), STREAM_GRACE_MS);
    };
    return { ended: send(), stop };
  }

  async #mainFetch(url: string | URL, init: RequestInit | undefined): Promise<Response> {
    const isListening = init?.method === "GET";
    try {
      const response = await this.#options.fetch(url, init, isListening ? undefined : this.#handshaking);
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

  #transport(fetch: FetchLike, reconnectionOptions: typeof RESUMING): StreamableHTTPClientTransport {
    const sessionId = this.#main?.sessionId ?? this.#options.joined?.id;
    const transport = new StreamableHTTPClientTransport(this.#options.url, {
      fetch,
      requestInit: this.#requestInit,
      reconnectionOptions,
      reconnectionScheduler: reconnectLater,
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(this.#version === undefined ? {} : { protocolVersion: this.#version }),
    });
    transport.onmessage = this.#receive;
    transport.onerror = this.#complain;
    return transport;
  }
}

/** The end of a stream, which somebody may or may not wait for. */
class StreamEnd {
  readonly ended: Promise<void>;
  end: (failure?: UpstreamFailure) => void = () => {};

  constructor() {
    this.ended = new Promise((resolve, reject) => {
      this.end = (failure) => (failure === undefined ? resolve() : reject(failure));
    });
    this.ended.catch(() => {});
  }
}

function reconnectLater(reconnect: () => void, delayMs: number): () => void {
  const timer = setTimeout(reconnect, Math.max(delayMs, MIN_RECONNECT_DELAY_MS));
  return () => clearTimeout(timer);
}

function isEventStream(response: Response): boolean {
  return response.headers.get("content-type")?.startsWith("text/event-stream") ?? false;
}

function isRefusal(error: unknown): error is UpstreamFailure {
  if (!(error instanceof UpstreamFailure)) return false;
  const { status } = error.facts;
  // Too early is no refusal: an old stream may still be open from the server's point of view.
  return status !== undefined && status < 500 && status !== 409 && status !== 429;
}

function lost(refusal: UpstreamFailure): UpstreamFailure {
  const message = `The stream with the answer was cut and could not be resumed: ${refusal.message}`;
  return new UpstreamFailure(message, { mayHaveRun: true, cause: refusal });
}

function onlyAcknowledged(): UpstreamFailure {
  const message = "The server took the request but opened no stream to answer it";
  return new UpstreamFailure(message, { mayHaveRun: true });
}

function closed(): UpstreamFailure {
  return new UpstreamFailure("The session with the server was closed", { mayHaveRun: false });
}

function rejectAsFailure(error: unknown): Promise<never> {
  return Promise.reject(toFailure(error));
}
