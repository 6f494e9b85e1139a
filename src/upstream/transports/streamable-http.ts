import { within } from "../../lib/within.ts";
import type { JsonRpcMessage, JsonRpcRequest, RequestId } from "../../protocol/jsonrpc.ts";
import { messageText } from "../../protocol/raw-json.ts";
import { UpstreamFailure } from "../failure.ts";
import { EVENT_STREAM, type HttpOptions, JSON_TYPE, UpstreamExchange } from "./exchange.ts";
import { type LegacyContext, LegacyExchange } from "./legacy-exchange.ts";
import { ServerStream } from "./server-stream.ts";
import {
  type Asking,
  type AskListener,
  INITIALIZED,
  type JoinedSession,
  type PickUp,
  type RawTransport,
} from "./transport.ts";
import { UnusableAnswer } from "./unusable-answer.ts";

export interface StreamableHttpOptions {
  readonly url: URL;
  /** Headers for every request: the configured ones, and those that carry the caller's credentials. Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly http: HttpOptions;
  /** A session that is open already. Absent: `initialize` opens one. */
  readonly joined?: JoinedSession;
  /** Whether a gateway opened that session, so that the transport listens in it and ends it. Absent: it is a client's own. */
  readonly isOurs?: boolean;
}

/** A server may hold back the response headers of its stream until it has an event: after this time, listening counts as begun. */
const LISTEN_DEADLINE_MS = 1_000;
/** How long to wait for the server's answer to the end of a session. */
const GOODBYE_MS = 1_000;

/** Streamable HTTP of 2025-03-26 to 2025-11-25. */
export class StreamableHttpTransport implements RawTransport, PickUp {
  onMessage: RawTransport["onMessage"] = () => {};
  onUnusable: RawTransport["onUnusable"] = () => {};
  onGarbage: RawTransport["onGarbage"] = () => {};
  onLost: RawTransport["onLost"] = () => {};

  readonly #options: StreamableHttpOptions;
  readonly #context: LegacyContext;
  #sessionId: string | undefined;
  #version: string | undefined;
  /** The headers of every POST; absent until they are needed, and when the session has changed them. */
  #posted: Readonly<Record<string, string>> | undefined;
  #serverStream: ServerStream | undefined;
  readonly #asked = new Set<LegacyExchange>();
  readonly #told = new Set<UpstreamExchange>();
  #isClosed = false;

  constructor(options: StreamableHttpOptions) {
    this.#options = options;
    this.#sessionId = options.joined?.id;
    this.#version = options.joined?.protocolVersion;
    this.#context = {
      post: (body, listener, own) => {
        const headers = own === undefined ? this.#headersOfPost : { ...own, ...this.#headersOfPost };
        return UpstreamExchange.send(
          { method: "POST", url: options.url, headers, body },
          options.http,
          listener,
        );
      },
      get: (listener, lastEventId) => {
        const from = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
        const headers = { ...this.#headers, accept: accepting(options.headers, EVENT_STREAM), ...from };
        return UpstreamExchange.send({ method: "GET", url: options.url, headers }, options.http, listener);
      },
      receive: (message, stream) => {
        if (message instanceof UnusableAnswer) this.onUnusable(message, stream);
        else this.onMessage(message, stream);
      },
      onGarbage: (error) => this.onGarbage(error),
      isListening: () => this.#serverStream?.isOpen === true,
      placeOf: (lastEventId) => ({ session: this.#session, lastEventId }),
      onOver: (request) => void this.#asked.delete(request),
    };
  }

  setProtocolVersion(version: string): void {
    this.#version = version;
    this.#posted = undefined;
  }

  async tell(message: JsonRpcMessage): Promise<void> {
    if (this.#isClosed) throw closed();
    const exchange = this.#context.post(messageText(message), {});
    this.#told.add(exchange);
    await exchange.ended.finally(() => this.#told.delete(exchange));
  }

  ask(request: JsonRpcRequest, listener: AskListener = {}): Asking {
    if (this.#isClosed) return { ended: Promise.reject(closed()), stop: () => {} };
    if (request.method === "initialize") return this.#initialize(request);
    return this.#begun(LegacyExchange.send(this.#context, request, listener));
  }

  get pickUp(): PickUp {
    return this;
  }

  resume(answerTo: RequestId, lastEventId: string, listener: AskListener = {}): Asking {
    if (this.#isClosed) return { ended: Promise.reject(closed()), stop: () => {} };
    return this.#begun(LegacyExchange.resume(this.#context, answerTo, lastEventId, listener));
  }

  async initialized(notification = INITIALIZED): Promise<void> {
    await this.tell(notification);
    // Without sessions the server may have one stream for all clients, which the gateway must not take from them unasked.
    if (this.#sessionId !== undefined) await within(LISTEN_DEADLINE_MS, this.#listen(false).begun);
  }

  async listen(): Promise<void> {
    if (!this.#isOurs || this.#sessionId === undefined || this.#isClosed) return;
    await within(LISTEN_DEADLINE_MS, this.#listen(true).begun);
  }

  /** With a session id the transport listens anyway, as long as the session is open. */
  hearChanges(): () => void {
    if (this.#sessionId !== undefined || this.#isClosed) return () => {};
    const stream = this.#listen(true);
    return () => stream.close();
  }

  async close(state?: "handedOff"): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#serverStream?.close();
    for (const request of this.#asked) request.close();
    if (this.#isOurs && state !== "handedOff" && this.#sessionId !== undefined) await this.#sayGoodbye();
    // A cancellation may be on its way, as the last thing that the server is told.
    for (const message of this.#told) message.leave();
  }

  get #isOurs(): boolean {
    return this.#options.joined === undefined || this.#options.isOurs === true;
  }

  /** The session as another replica can join it. */
  get #session(): JoinedSession {
    const cookies = this.#options.http.cookies?.toSetCookies();
    return {
      ...(this.#sessionId === undefined ? {} : { id: this.#sessionId }),
      protocolVersion: this.#version ?? "",
      ...(cookies === undefined ? {} : { cookies }),
    };
  }

  get #headers(): Readonly<Record<string, string>> {
    return {
      ...this.#options.headers,
      ...(this.#sessionId === undefined ? {} : { "mcp-session-id": this.#sessionId }),
      ...(this.#version === undefined ? {} : { "mcp-protocol-version": this.#version }),
    };
  }

  get #headersOfPost(): Readonly<Record<string, string>> {
    this.#posted ??= {
      "content-type": JSON_TYPE,
      ...this.#headers,
      accept: accepting(this.#options.headers, JSON_TYPE, EVENT_STREAM),
    };
    return this.#posted;
  }

  #listen(waitsForOthers: boolean): ServerStream {
    this.#serverStream?.close();
    const { get, receive, onGarbage } = this.#context;
    const onRefused = () => this.onLost();
    this.#serverStream = new ServerStream({ get, receive, onGarbage, waitsForOthers, onRefused });
    return this.#serverStream;
  }

  /** The server's stream for the answer may stay open, for messages that belong to no request. */
  #initialize(request: JsonRpcRequest): Asking {
    const post: LegacyContext["post"] = (body, listener) =>
      this.#context.post(body, {
        ...listener,
        onHead: ({ headers }) => {
          this.#sessionId = String(headers["mcp-session-id"] ?? "") || undefined;
          this.#posted = undefined;
        },
      });
    const opening = LegacyExchange.send({ ...this.#context, post }, request, {});
    this.#asked.add(opening);
    return { ended: opening.ended, stop: () => opening.stepAside() };
  }

  #begun(request: LegacyExchange): Asking {
    this.#asked.add(request);
    return { ended: request.ended, stop: () => request.stop() };
  }

  async #sayGoodbye(): Promise<void> {
    const { url, http } = this.#options;
    const exchange = UpstreamExchange.send({ method: "DELETE", url, headers: this.#headers }, http);
    const patience = setTimeout(() => exchange.close(), GOODBYE_MS);
    await exchange.ended.catch(() => {});
    clearTimeout(patience);
  }
}

/** The content types that the configured headers accept, and these. */
function accepting({ accept = "" }: Readonly<Record<string, string>>, ...types: readonly string[]): string {
  const given = accept.split(",").map((type) => type.trim().toLowerCase());
  return [...new Set([...given.filter((type) => type !== ""), ...types])].join(", ");
}

function closed(): UpstreamFailure {
  return new UpstreamFailure("The session with the server was closed", { mayHaveRun: false });
}
