import type { ServerResponse } from "node:http";
import type { JsonText, RequestId } from "../../protocol/jsonrpc.ts";
import type { ClientStream } from "../../requests/client-stream.ts";
import type { OpenStreams } from "../../requests/open-streams.ts";
import { JsonAnswers } from "./json-answers.ts";
import { type EventRoom, KeptEvents } from "./kept-events.ts";
import { ResumableStream } from "./resumable-stream.ts";

export interface SessionStreamsOptions {
  /** Sent with every answer. */
  readonly headers: Readonly<Record<string, string>>;
  readonly room: EventRoom;
  readonly streams: OpenStreams;
  /** As `ResumableStream`. */
  readonly isPrimed: boolean;
}

/** A stream on which a session listens. */
export interface Listening {
  readonly stream: ClientStream;
  /** Settles when the connection is over. */
  readonly over: Promise<void>;
}

interface Answering {
  readonly stream: ResumableStream | JsonAnswers;
  /** The requests that the stream answers and has not answered yet. */
  readonly unanswered: Set<RequestId>;
}

const KEPT = { maxEvents: 1_000, maxChars: 8 * 1_048_576 };
/** A client that opens more of them loses its oldest. */
const MAX_LISTENING = 4;
const LISTENING = "l";
const ANSWERING = "r";

/** The streams between a session and its client: one for each POST with requests, and those on which it listens. */
export class SessionStreams {
  readonly #options: SessionStreamsOptions;
  readonly #kept: KeptEvents;
  /** The streams that are open or can be resumed, by name. */
  readonly #known = new Map<string, ResumableStream>();
  readonly #answering = new Map<RequestId, Answering>();
  #lastName = 0;
  #connections = 0;

  constructor(options: SessionStreamsOptions) {
    this.#options = options;
    this.#kept = new KeptEvents(options.room, { ...KEPT, onForgotten: (name) => this.#forget(name) });
  }

  /** Whether the client has any connection. */
  get isOpen(): boolean {
    return this.#connections > 0;
  }

  /** Whether the client reads the stream that answers a request. */
  isConnected(request: RequestId): boolean {
    return this.#answering.get(request)?.stream.isOpen ?? false;
  }

  /** Opens the stream that answers these requests; JSON for a client that reads no streams. Settles when the connection is over. */
  answer(
    response: ServerResponse,
    requests: readonly RequestId[],
    { readsStreams, isBatch }: { readonly readsStreams: boolean; readonly isBatch: boolean },
  ): Promise<void> {
    const { headers, streams } = this.#options;
    const stream = readsStreams
      ? this.#newStream(ANSWERING)
      : new JsonAnswers({ response, headers, isBatch, streams });
    const unanswered = new Set(requests);
    for (const id of requests) this.#answering.set(id, { stream, unanswered });
    return this.#connected(stream.open(response));
  }

  /** Opens a stream to listen on. */
  listen(response: ServerResponse): Listening {
    return this.#listenOn(this.#newStream(LISTENING), response);
  }

  /** Resumes the stream of an event, after that event. `undefined` when the stream answered requests and is no longer known. */
  resume(response: ServerResponse, eventId: string): Listening | Promise<void> | undefined {
    const [name = "", number = ""] = eventId.split("-");
    const after = Number.parseInt(number, 10) || 0;
    const stream = this.#known.get(name);
    // A listening stream that is no longer known is replaced: that the client listens again is worth more than the messages it missed.
    if (name.startsWith(LISTENING))
      return this.#listenOn(stream ?? this.#newStream(LISTENING), response, after);
    return stream && this.#connected(stream.open(response, after));
  }

  /** As `ClientEnd.send`. A message that cannot be sent at once may be sent when the client resumes the request's own stream. */
  send(message: JsonText, about?: RequestId): boolean {
    const own = about === undefined ? undefined : this.#answering.get(about)?.stream;
    const listening = [...this.#known.values()].findLast(({ isOpen, isEndless }) => isOpen && isEndless);
    const stream = own?.isOpen ? own : (listening ?? own);
    if (!(stream instanceof ResumableStream)) return false;
    stream.write(message);
    return true;
  }

  /** Answers a request; `undefined`: the request gets no answer. */
  reply(id: RequestId, message: JsonText | undefined): void {
    const { stream, unanswered } = this.#answering.get(id) ?? {};
    if (stream === undefined || unanswered === undefined) return;
    this.#answering.delete(id);
    unanswered.delete(id);
    if (message !== undefined) stream.write(message);
    if (unanswered.size > 0) return;
    stream.complete();
    if (stream instanceof ResumableStream && !this.#kept.has(stream.name)) this.#known.delete(stream.name);
  }

  /** Ends all streams. */
  close(): void {
    for (const { stream } of this.#answering.values()) stream.complete();
    for (const stream of this.#known.values()) stream.complete();
    this.#answering.clear();
    this.#known.clear();
    this.#kept.clear();
  }

  #newStream(kind: typeof LISTENING | typeof ANSWERING): ResumableStream {
    const { headers, streams, isPrimed } = this.#options;
    this.#lastName += 1;
    const name = `${kind}${this.#lastName}`;
    const isEndless = kind === LISTENING;
    const stream = new ResumableStream({ name, headers, kept: this.#kept, streams, isPrimed, isEndless });
    this.#known.set(name, stream);
    return stream;
  }

  #listenOn(stream: ResumableStream, response: ServerResponse, after?: number): Listening {
    const listening = [...this.#known.values()].filter(({ isEndless }) => isEndless);
    for (const old of listening.slice(0, -MAX_LISTENING)) {
      this.#known.delete(old.name);
      old.complete();
    }
    // Not the stream itself, which may continue on another connection: messages sent on this one may be lost with it.
    let isOver = false;
    const over = this.#connected(stream.open(response, after)).finally(() => {
      isOver = true;
    });
    const connection: ClientStream = {
      get isOpen() {
        return !isOver && stream.isOpen;
      },
      send: (message) => stream.send(message),
    };
    return { stream: connection, over };
  }

  #connected(over: Promise<void>): Promise<void> {
    this.#connections += 1;
    return over.finally(() => {
      this.#connections -= 1;
    });
  }

  /** Forgets a complete stream of which no event is kept any more. */
  #forget(name: string): void {
    if (this.#known.get(name)?.isComplete) this.#known.delete(name);
  }
}
