import type { EventSourceMessage } from "eventsource-parser";
import {
  isAnswerTo,
  isObject,
  isSameId,
  type JsonRpcMessage,
  type JsonRpcRequest,
  type RequestId,
} from "../../protocol/jsonrpc.ts";
import { messageText } from "../../protocol/raw-json.ts";
import { toFailure, UpstreamFailure } from "../failure.ts";
import {
  EVENT_STREAM,
  type HttpAnswer,
  type HttpListener,
  JSON_TYPE,
  type UpstreamExchange,
} from "./exchange.ts";
import {
  isBusy,
  isRefusal,
  MAX_RETRIES,
  MAX_UNREACHED,
  noStream,
  Pause,
  reconnectDelay,
} from "./reconnecting.ts";
import type { AskListener, EventPlace, Stream } from "./transport.ts";
import { readIncoming, readWhole, shown, UnusableAnswer } from "./unusable-answer.ts";

/** What the requests of one session share. */
export interface LegacyContext {
  /** Sends a message in the session. @param own headers for this message only */
  readonly post: (body: string, listener: HttpListener, own?: AskListener["headers"]) => UpstreamExchange;
  /** Opens a stream in the session, after an event if one is given. */
  readonly get: (listener: HttpListener, lastEventId?: string) => UpstreamExchange;
  readonly receive: (message: JsonRpcMessage | UnusableAnswer, stream: Stream) => void;
  /** Called when something arrived that is no message. */
  readonly onGarbage: (error: Error) => void;
  /** Whether a stream is open on which the server could send an answer outside the request's own. */
  readonly isListening: () => boolean;
  readonly placeOf: (lastEventId: string) => EventPlace;
  readonly onOver: (request: LegacyExchange) => void;
}

/** A picked up stream that stays silent from its beginning for this long is opened again: some servers lose one that is opened too early. */
const SILENCE_MS = 5_000;
/** How often in a row to try to pick up another process's answer at a server that cannot be reached, or is out of order. */
const MAX_FAILURES = 3;
/** Every checkpoint stores the id, and no server accepts a longer one in a header. */
const MAX_EVENT_ID_LENGTH = 2_048;

/**
 * One request of 2025-03-26 to 2025-11-25 over Streamable HTTP and the stream with its answer, which is resumed where the server gave its
 * events ids (2025-11-25, Transports §Resumability and Redelivery).
 */
export class LegacyExchange {
  /** Settles when nothing more can arrive. @throws UpstreamFailure */
  readonly ended: Promise<void>;
  readonly #context: LegacyContext;
  readonly #answerTo: RequestId;
  readonly #listener: AskListener;
  readonly #pause = new Pause();
  /** Whether the gateway itself sent the request, in this process. */
  readonly #isOwn: boolean;
  #stream: Stream;
  #exchange: UpstreamExchange | undefined;
  #lastEventId: string | undefined;
  #retryMs: number | undefined;
  #isAnswered = false;
  #isOver = false;
  /** Ends the wait for an answer on another stream. */
  #stopWaiting = () => {};

  static send(context: LegacyContext, request: JsonRpcRequest, listener: AskListener): LegacyExchange {
    return new LegacyExchange(context, request.id, listener, request);
  }

  /** Listens for the rest of a request that another connection sent: what the server has said since an event, and what it will say. */
  static resume(
    context: LegacyContext,
    answerTo: RequestId,
    lastEventId: string,
    listener: AskListener,
  ): LegacyExchange {
    return new LegacyExchange(context, answerTo, listener, lastEventId);
  }

  private constructor(
    context: LegacyContext,
    answerTo: RequestId,
    listener: AskListener,
    from: JsonRpcRequest | string,
  ) {
    this.#context = context;
    this.#answerTo = answerTo;
    this.#listener = listener;
    this.#isOwn = typeof from !== "string";
    this.#stream = { answerTo };
    this.ended = this.#run(from);
  }

  /** Ignores whatever else comes: messages after the answer belong to no call, and must not be taken for the next one's. */
  stop(): void {
    this.#stop();
    this.#exchange?.leave();
  }

  /** Leaves the stream open for messages that belong to no request. */
  stepAside(): void {
    this.#stream = "aside";
    this.#isAnswered = true;
  }

  close(): void {
    this.#stop();
    this.#exchange?.close();
  }

  #stop(): void {
    this.#isOver = true;
    this.#pause.end();
    this.#stopWaiting();
  }

  async #run(from: JsonRpcRequest | string): Promise<void> {
    try {
      await (typeof from === "string" ? this.#pickUp(from) : this.#send(from));
    } finally {
      this.#context.onOver(this);
    }
  }

  async #send(request: JsonRpcRequest): Promise<void> {
    const exchange = this.#context.post(messageText(request), this.#hears(), this.#listener.headers);
    this.#exchange = exchange;
    const answer = await unlessCut(exchange);
    if (this.#isAnswered || this.#isOver) return;
    if (answer === undefined || answer.type === EVENT_STREAM) {
      if (this.#lastEventId !== undefined)
        await this.#listen(MAX_UNREACHED, reconnectDelay(0, this.#retryMs));
    } else if (answer.status === 202) {
      await this.#elsewhere();
    } else {
      this.#take(answer);
    }
  }

  async #pickUp(lastEventId: string): Promise<void> {
    this.#lastEventId = lastEventId;
    await this.#listen(MAX_FAILURES);
  }

  /** Listens for the rest on one connection after another. @param delayMs how long to wait for the first */
  async #listen(maxFailures: number, delayMs?: number): Promise<void> {
    this.#stream = { answerTo: this.#answerTo, isResumed: true };
    let isPatient = this.#isOwn;
    let attempts = delayMs === undefined ? 0 : 1;
    let failures = 0;
    if (delayMs !== undefined) await this.#pause.for(delayMs);
    while (!this.#isAnswered && !this.#isOver) {
      try {
        await this.#connection(isPatient);
        isPatient = true;
        attempts = failures = 0;
      } catch (error) {
        if (this.#isOver) return;
        if (this.#exchange?.isUnusable) throw error;
        if (isRefusal(error)) throw this.#lost(error);
        failures += 1;
        if (failures > (isBusy(error) ? MAX_RETRIES : maxFailures)) throw this.#lost(toFailure(error));
      }
      if (this.#isAnswered || this.#isOver) return;
      await this.#pause.for(reconnectDelay(attempts, this.#retryMs));
      attempts += 1;
    }
  }

  /** Listens on one connection until it ends, or has been silent from its beginning unless `isPatient`. @throws UpstreamFailure */
  async #connection(isPatient: boolean): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    let isSilent = false;
    const onHead = ({ type }: { readonly type: string }) => {
      if (type !== EVENT_STREAM) return;
      this.#listener.onAccepted?.();
      if (isPatient) return;
      timer = setTimeout(() => {
        isSilent = !exchange.hasBegun;
        if (isSilent) exchange.close();
      }, SILENCE_MS);
    };
    const exchange = this.#context.get({ ...this.#hears(), onHead }, this.#lastEventId);
    this.#exchange = exchange;
    try {
      const { type, status } = await exchange.ended;
      if (type !== EVENT_STREAM) throw noStream(status);
    } catch (error) {
      if (!exchange.isCut && !isSilent) throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  #hears(): HttpListener {
    return {
      room: this.#listener.room,
      onHead: () => this.#listener.onAccepted?.(),
      onEvent: (event) => this.#hear(event),
      onRetry: (ms) => {
        this.#retryMs = ms;
      },
    };
  }

  #hear(event: EventSourceMessage): void {
    const { id = "" } = event;
    const isPlace = id !== "" && id.length <= MAX_EVENT_ID_LENGTH;
    if (isPlace) this.#lastEventId = id;
    readMessages(event, (message) => this.#receive(message), this.#context.onGarbage);
    // Not after the answer: whoever resumed behind that would wait in vain.
    if (isPlace && !this.#isAnswered) this.#listener.onEvent?.(this.#context.placeOf(id));
  }

  #receive(message: JsonRpcMessage | UnusableAnswer): void {
    const isItsAnswer =
      message instanceof UnusableAnswer
        ? !message.isMisnamed || isSameId(message.id, this.#answerTo)
        : isAnswerTo(message, this.#answerTo);
    if (isItsAnswer) this.#isAnswered = true;
    this.#context.receive(message, this.#stream);
  }

  /** @throws UpstreamFailure */
  #take({ type, text, headers }: HttpAnswer): void {
    if (type !== JSON_TYPE) {
      const message = `The server's answer is no JSON: its content type is ${headers["content-type"] ?? "missing"}`;
      throw new UpstreamFailure(message, { mayHaveRun: true });
    }
    for (const message of readWhole(text)) this.#receive(message);
  }

  /** Waits for an answer on the stream for the server's own messages. @throws UpstreamFailure when there is none */
  async #elsewhere(): Promise<void> {
    if (!this.#context.isListening()) {
      const message = "The server took the request but opened no stream to answer it";
      throw new UpstreamFailure(message, { mayHaveRun: true });
    }
    await new Promise<void>((resolve) => {
      this.#stopWaiting = resolve;
    });
  }

  /** The message for a picked up call gives the cause only; the caller adds that the answer could not be resumed. */
  #lost(cause: UpstreamFailure): UpstreamFailure {
    if (this.#isOwn) {
      const message = `The stream with the answer was cut and could not be resumed: ${cause.message}`;
      return new UpstreamFailure(message, { mayHaveRun: true, cause });
    }
    const { status, wwwAuthenticate } = cause.facts;
    return new UpstreamFailure(cause.message, { mayHaveRun: true, status, wwwAuthenticate, cause });
  }
}

/** The complete answer; `undefined` if its stream was cut. @throws UpstreamFailure */
async function unlessCut(exchange: UpstreamExchange): Promise<HttpAnswer | undefined> {
  try {
    return await exchange.ended;
  } catch (error) {
    if (exchange.isCut && exchange.hasBegun) return undefined;
    throw error;
  }
}

/** How much of what is no message to quote. */
const MAX_QUOTED_CHARS = 200;

/** Reads the messages in an event. */
export function readMessages(
  { event = "message", data }: EventSourceMessage,
  receive: (message: JsonRpcMessage | UnusableAnswer) => void,
  onGarbage: (error: Error) => void,
): void {
  if (data === "") return;
  const messages = readIncoming(data);
  if (event !== "message") return receiveMisnamed(event, messages, receive);
  for (const message of messages) {
    if (message === undefined || hasOddParams(message)) {
      const text = JSON.stringify(data.slice(0, MAX_QUOTED_CHARS));
      onGarbage(new Error(`expected a JSON-RPC message as an event, got ${text}`));
    } else receive(message);
  }
}

/** Readers of events leave out those of another name, and an answer in one would be waited for until the stream ends. */
function receiveMisnamed(
  event: string,
  [part, ...others]: ReturnType<typeof readIncoming>,
  receive: (message: UnusableAnswer) => void,
): void {
  if (part === undefined || others.length > 0 || part instanceof UnusableAnswer || "method" in part) return;
  const why = `it came in an event called ${shown(event)}, expected "message"`;
  receive(new UnusableAnswer(part.id, why, false, true));
}

function hasOddParams(message: JsonRpcMessage | UnusableAnswer): boolean {
  if (message instanceof UnusableAnswer || !("method" in message)) return false;
  const { params } = message;
  return params !== undefined && params !== null && !isObject(params);
}
