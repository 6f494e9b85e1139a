import type { FetchLike, JSONRPCMessage, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import {
  isAnswerTo,
  type JsonRpcMessage,
  type JsonRpcRequest,
  type RequestId,
} from "../../protocol/jsonrpc.ts";
import { messageText } from "../../protocol/raw-json.ts";
import { toFailure, UpstreamFailure } from "../failure.ts";
import { AnswersPast } from "./answers-past.ts";
import { type Expected, STREAM_GRACE_MS, type UpstreamFetch } from "./fetch.ts";
import { isEventStream, isRefusal, RESUMING, reconnectLater } from "./reconnecting.ts";
import { StreamEnd } from "./stream-end.ts";
import type { AskListener, EventPlace, RequestStream } from "./transport.ts";
import { UnusableAnswer } from "./unusable-answer.ts";

/** What the requests of one session share. */
export interface ExchangeContext {
  readonly fetch: UpstreamFetch;
  /** Makes a new transport in the session, whose messages go to `receive`. */
  readonly transport: (fetch: FetchLike, reconnecting: Reconnecting) => StreamableHTTPClientTransport;
  /** Takes a message from the stream of one request. */
  readonly receive: (message: JsonRpcMessage | UnusableAnswer, stream: RequestStream) => void;
  /** Whether a stream is open on which the server could send an answer outside the request's own. */
  readonly isListening: () => boolean;
  readonly placeOf: (lastEventId: string) => EventPlace;
}

/** How a transport reconnects a stream that was cut. */
export interface Reconnecting {
  readonly options: typeof RESUMING;
  /** Called when another attempt is due after `delayMs`. Returns a function that calls it off. */
  readonly scheduler: (reconnect: () => void, delayMs: number) => () => void;
}

const MAX_EVENT_ID_LENGTH = 2_048;

/** Tracks the events of one request: the last event id, and whether the answer has arrived. */
export class EventLog {
  readonly #context: ExchangeContext;
  readonly #answerTo: RequestId;
  readonly #onEvent: AskListener["onEvent"];
  #isAnswered = false;
  lastEventId: string | undefined;
  isResumed = false;
  /** Pass this to `fetch`. */
  readonly answers = new AnswersPast();

  constructor(context: ExchangeContext, answerTo: RequestId, listener: AskListener) {
    this.#context = context;
    this.#answerTo = answerTo;
    this.#onEvent = listener.onEvent;
  }

  /** Call this with every message that arrives on the request's stream. */
  readonly receive = (message: JSONRPCMessage): void => {
    const real = this.answers.real(message as JsonRpcMessage);
    if (real instanceof UnusableAnswer || isAnswerTo(real, this.#answerTo)) this.#isAnswered = true;
    this.#context.receive(real, { answerTo: this.#answerTo, isResumed: this.isResumed });
  };

  /** Call this with every event id; the transport reports the id right before the event's message. */
  readonly note = (id: string): void => {
    // Every checkpoint stores the id, and no server accepts a longer one in a header.
    if (id.length > MAX_EVENT_ID_LENGTH) return;
    this.lastEventId = id;
    if (this.#onEvent === undefined) return;
    // Report the id after the event's message took effect. Do not report it after the answer: whoever resumed behind that would wait in vain.
    queueMicrotask(() => {
      if (!this.#isAnswered) this.#onEvent?.(this.#context.placeOf(id));
    });
  };
}

/** One request, sent on a transport of its own, so that its end shows that nothing more can arrive for it. */
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

  get #stub(): JSONRPCMessage {
    const { jsonrpc, id, method } = this.#request;
    return { jsonrpc, id, method };
  }

  /** A server closes the stream after its answer; cutting it off at once would cost the connection every time. */
  stop(): void {
    // Messages after the answer belong to no call, and must not be taken for the next one's.
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
      room: this.#listener.room,
    };
    return async (url, init) => {
      // The transport forgets the last event id when a resumed stream is cut before its first event.
      const { lastEventId } = this.#log;
      if (init?.method === "GET") this.#log.isResumed = true;
      if (init?.method === "GET" && lastEventId !== undefined)
        (init.headers as Headers).set("last-event-id", lastEventId);
      if (init?.method === "POST") addMissing(init.headers as Headers, this.#listener.headers);
      // The transport would serialize the arguments again, which the request carries as text only.
      const sent = init?.method === "POST" ? { ...init, body: messageText(this.#request) } : init;
      const response = await this.#context.fetch(url, sent, expected).catch((error: unknown) => {
        // A server that refuses to resume a stream will refuse again: the answer is lost.
        if (init?.method === "GET" && isRefusal(error)) this.#stream.end(lost(error));
        throw error;
      });
      this.#isAnswerElsewhere = response.status === 202 || isEventStream(response);
      if (response.status === 202 && !this.#context.isListening()) this.#stream.end(onlyAcknowledged());
      return response;
    };
  }
}

/** Headers that are set by the configuration or carry the caller's credentials win. */
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
