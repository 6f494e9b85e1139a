import type { ServerResponse } from "node:http";
import type { JsonText, RequestId } from "../protocol/jsonrpc.ts";
import type { Channel } from "./backchannels.ts";
import { JsonAnswers } from "./json-answers.ts";
import { type EventRoom, KeptEvents } from "./kept-events.ts";
import type { OpenStreams } from "./open-streams.ts";
import { ResumableStream } from "./resumable-stream.ts";

export interface SessionStreamsOptions {
  /** Said with every answer. */
  readonly headers: Readonly<Record<string, string>>;
  readonly room: EventRoom;
  readonly streams: OpenStreams;
  /** As `ResumableStream`. */
  readonly isPrimed: boolean;
}

/** A stream that a session listens on. */
export interface Listening {
  readonly channel: Channel;
  /** Settles when the connection is over. */
  readonly over: Promise<void>;
}

interface Answering {
  readonly stream: ResumableStream | JsonAnswers;
  /** The requests that are answered there. */
  readonly unanswered: Set<RequestId>;
}

const KEPT = { maxEvents: 1_000, maxChars: 8 * 1_048_576 };
/** Of a client that opens more of them, the first is lost. */
const MAX_LISTENING = 4;
const LISTENING = "l";
const ANSWERING = "r";

/** The streams between a session and its client: one for each POST with requests, and those that it listens on. */
export class SessionStreams {
  readonly #options: SessionStreamsOptions;
  readonly #kept: KeptEvents;
  /** By name, those that are open or may be picked up again. */
  readonly #known = new Map<string, ResumableStream>();
  readonly #answering = new Map<RequestId, Answering>();
  #lastName = 0;
  #connections = 0;

  constructor(options: SessionStreamsOptions) {
    this.#options = options;
    this.#kept = new KeptEvents(options.room, { ...KEPT, onForgotten: (name) => this.#forget(name) });
  }

  /** Whether a client is connected. */
  get isOpen(): boolean {
    return this.#connections > 0;
  }

  /** Whether a client reads the stream that a request is answered on. */
  isConnected(request: RequestId): boolean {
    return this.#answering.get(request)?.stream.isOpen ?? false;
  }

  /** Opens the stream that requests are answered on; JSON for a client that reads no streams. Settles when the connection is over. */
  answer(
    response: ServerResponse,
    requests: readonly RequestId[],
    { readsStreams, isBatch }: { readonly readsStreams: boolean; readonly isBatch: boolean },
  ): Promise<void> {
    const { headers } = this.#options;
    const stream = readsStreams
      ? this.#newStream(ANSWERING)
      : new JsonAnswers({ response, headers, isBatch });
    const unanswered = new Set(requests);
    for (const id of requests) this.#answering.set(id, { stream, unanswered });
    return this.#connected(stream.open(response));
  }

  /** Opens a stream to listen on. */
  listen(response: ServerResponse): Listening {
    return this.#listenOn(this.#newStream(LISTENING), response);
  }

  /**
   * Picks up the stream of an event, behind that event. `undefined` when nothing is known any more of what was to be answered
   * there.
   */
  resume(response: ServerResponse, eventId: string): Listening | Promise<void> | undefined {
    const [name = "", number = ""] = eventId.split("-");
    const after = Number.parseInt(number, 10) || 0;
    const stream = this.#known.get(name);
    // Of what was said to nobody in particular nothing is worth more than that the client listens again.
    if (name.startsWith(LISTENING))
      return this.#listenOn(stream ?? this.#newStream(LISTENING), response, after);
    return stream && this.#connected(stream.open(response, after));
  }

  /** As `ClientEnd.send`. What cannot be said at once may be said when the request's own stream is picked up again. */
  send(message: JsonText, about?: RequestId): boolean {
    const own = about === undefined ? undefined : this.#answering.get(about)?.stream;
    const listening = [...this.#known.values()].findLast(({ isOpen, isEndless }) => isOpen && isEndless);
    const stream = own?.isOpen ? own : (listening ?? own);
    if (!(stream instanceof ResumableStream)) return false;
    stream.write(message);
    return true;
  }

  /** Answers a request; `undefined`: it will have no answer. */
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

  /** Ends everything. */
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
    // Not the stream itself, which may have gone on elsewhere: what was said on a connection may have got lost with it.
    let isOver = false;
    const over = this.#connected(stream.open(response, after)).finally(() => {
      isOver = true;
    });
    const channel: Channel = {
      get isOpen() {
        return !isOver && stream.isOpen;
      },
      send: (message) => stream.send(message),
    };
    return { channel, over };
  }

  #connected(over: Promise<void>): Promise<void> {
    this.#connections += 1;
    return over.finally(() => {
      this.#connections -= 1;
    });
  }

  /** Nothing of a stream can be said again. */
  #forget(name: string): void {
    if (this.#known.get(name)?.isComplete) this.#known.delete(name);
  }
}
