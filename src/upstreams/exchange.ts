import type { FetchLike, JSONRPCMessage, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { isAnswerTo, type JsonRpcMessage, type JsonRpcRequest, type RequestId } from "../protocol/jsonrpc.ts";
import { messageText } from "../protocol/raw-json.ts";
import { AnswersPast } from "./answers-past.ts";
import { toFailure, UpstreamFailure } from "./failure.ts";
import { type Expected, STREAM_GRACE_MS, type UpstreamFetch } from "./fetch.ts";
import { isEventStream, isRefusal, RESUMING, reconnectLater } from "./reconnecting.ts";
import { StreamEnd } from "./stream-end.ts";
import { UnusableAnswer } from "./unusable-answer.ts";
import type { AskListener, EventPlace, RequestStream } from "./wire.ts";

/** What the requests of one session have in common. */
export interface ExchangeContext {
  readonly fetch: UpstreamFetch;
  /** A new transport in the session, whose messages go to `receive`. */
  readonly transport: (fetch: FetchLike, reconnecting: Reconnecting) => StreamableHTTPClientTransport;
  /** Takes what came on the stream of the request with that id. */
  readonly receive: (message: JsonRpcMessage | UnusableAnswer, stream: RequestStream) => void;
  /** Whether the server has a stream open on which it could answer anything. */
  readonly isListening: () => boolean;
  readonly placeOf: (lastEventId: string) => EventPlace;
}

/** How a transport reconnects a stream that was cut. */
export interface Reconnecting {
  readonly options: typeof RESUMING;
  /** Told that another try is due after `delayMs`. Returns how to call it off. */
  readonly scheduler: (reconnect: () => void, delayMs: number) => () => void;
}

const MAX_EVENT_ID_LENGTH = 2_048;

/** What is known of the events of one request: which the last one was, and whether the answer was among them. */
export class EventLog {
  readonly #context: ExchangeContext;
  readonly #answerTo: RequestId;
  readonly #onEvent: AskListener["onEvent"];
  #isAnswered = false;
  lastEventId: string | undefined;
  isResumed = false;
  /** To be given to `fetch`. */
  readonly answers = new AnswersPast();

  constructor(context: ExchangeContext, answerTo: RequestId, listener: AskListener) {
    this.#context = context;
    this.#answerTo = answerTo;
    this.#onEvent = listener.onEvent;
  }

  /** To be given every message that arrives on the request's stream. */
  readonly receive = (message: JSONRPCMessage): void => {
    const real = this.answers.real(message as JsonRpcMessage);
    if (real instanceof UnusableAnswer || isAnswerTo(real, this.#answerTo)) this.#isAnswered = true;
    this.#context.receive(real, { answerTo: this.#answerTo, isResumed: this.isResumed });
  };

  /** To be given every event id. The transport tells it right before the event's message. */
  readonly note = (id: string): void => {
    // It is written down with every checkpoint, and no server takes a longer one back in a header.
    if (id.length > MAX_EVENT_ID_LENGTH) return;
    this.lastEventId = id;
    if (this.#onEvent === undefined) return;
    // An event's effect comes before its id, and whoever goes on after the answer would wait for it in vain.
    queueMicrotask(() => {
      if (!this.#isAnswered) this.#onEvent?.(this.#context.placeOf(id));
    });
  };
}

/** One request, sent on a transport of its own, to know when nothing more can come of it. */
export class Exchange {
  readonly #context: ExchangeContext;
  readonly #request: JsonRpcRequest;
  readonly #listener: AskListener;
  readonly #log: EventLog;
  readonly #stream = new StreamEnd();
  readonly #transport: StreamableHTTPClientTransport;
  #isAnswerElsewhere = false;
  #isOver = false;
  #lastOrders: NodeJS.Timeout | undefined;

  constructor(context: ExchangeContext, request: JsonRpcRequest, listener: AskListener) {
    this.#context = context;
    this.#request = request;
    this.#listener = listener;
    this.#log = new EventLog(context, request.id, listener);
    this.#transport = context.transport(this.#fetcher(), { options: RESUMING, scheduler: reconnectLater });
    this.#transport.onmessage = this.#log.receive;
    this.#transport.onclose = () => this.#stream.end();
  }

  /** Settles when nothing more can arrive. @throws UpstreamFailure */
  async send(): Promise<void> {
    try {
      await this.#transport.start();
      await this.#transport
        .send(this.#stub, {
          onRequestStreamEnd: () => this.#stream.end(),
          onresumptiontoken: this.#log.note,
        })
        .catch(rejectAsFailure);
      if (this.#isAnswerElsewhere) await this.#stream.ended;
    } catch (error) {
      await this.#transport.close();
      throw error;
    } finally {
      this.#isOver = true;
      clearTimeout(this.#lastOrders);
    }
  }

  /** What the transport needs to know of the request. */
  get #stub(): JSONRPCMessage {
    const { jsonrpc, id, method } = this.#request;
    return { jsonrpc, id, method };
  }

  /** A server closes the stream when it has answered; to cut it off at once would cost the connection every time. */
  stop(): void {
    // What it says after its answer belongs to no call, and must not be taken for the next one's.
    this.#transport.onmessage = () => {};
    if (!this.#isOver) this.#lastOrders = setTimeout(() => void this.#transport.close(), STREAM_GRACE_MS);
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  #fetcher(): FetchLike {
    const onAccepted = () => this.#listener.onAccepted?.();
    const { answers } = this.#log;
    const expected: Expected = {
      answerTo: this.#request.id,
      onAccepted,
      onOverflow: this.#stream.end,
      answers,
    };
    return async (url, init) => {
      // The transport forgets where it was when a resumed stream is cut before its first event.
      const { lastEventId } = this.#log;
      if (init?.method === "GET") this.#log.isResumed = true;
      if (init?.method === "GET" && lastEventId !== undefined)
        (init.headers as Headers).set("last-event-id", lastEventId);
      if (init?.method === "POST") addMissing(init.headers as Headers, this.#listener.headers);
      // The transport would write the arguments anew, of which only the text is there.
      const sent = init?.method === "POST" ? { ...init, body: messageText(this.#request) } : init;
      const response = await this.#context.fetch(url, sent, expected).catch((error: unknown) => {
        // What refuses to resume a stream once will refuse it again: the answer is lost.
        if (init?.method === "GET" && isRefusal(error)) this.#stream.end(lost(error));
        throw error;
      });
      this.#isAnswerElsewhere = response.status === 202 || isEventStream(response);
      if (response.status === 202 && !this.#context.isListening()) this.#stream.end(onlyAcknowledged());
      return response;
    };
  }
}

/** What the configuration sets, or the caller's credentials consist of, is there already, and stands. */
function addMissing(headers: Headers, own: AskListener["headers"] = {}): void {
  for (const [name, value] of Object.entries(own)) if (!headers.has(name)) headers.set(name, value);
}

export function rejectAsFailure(error: unknown): Promise<never> {
  return Promise.reject(toFailure(error));
}

function lost(refusal: UpstreamFailure): UpstreamFailure {
  const message = `The stream with the answer was cut and could not be resumed: ${refusal.message}`;
  return new UpstreamFailure(message, { mayHaveRun: true, cause: refusal });
}

function onlyAcknowledged(): UpstreamFailure {
  const message = "The server took the request but opened no stream to answer it";
  return new UpstreamFailure(message, { mayHaveRun: true });
}
