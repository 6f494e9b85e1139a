import type { ServerResponse } from "node:http";
import { toEvent } from "../../protocol/event-stream.ts";
import { EVENT_STREAM_HEADERS, KEEP_ALIVE } from "../../protocol/headers.ts";
import type { JsonText } from "../../protocol/jsonrpc.ts";
import type { ClientStream } from "../../requests/client-stream.ts";
import { beatsBy } from "../../requests/keep-alive.ts";
import type { OpenStream, OpenStreams } from "../../requests/open-streams.ts";
import type { KeptEvents } from "./kept-events.ts";

export interface ResumableStreamOptions {
  /** Names the stream within its session; without a hyphen. */
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly kept: KeptEvents;
  readonly streams: OpenStreams;
  /** Whether the first event has nothing but an id, so that the client can resume the stream before any message was sent on it. */
  readonly isPrimed: boolean;
  /** Whether more messages can always follow; a stream that answers requests ends by itself. */
  readonly isEndless: boolean;
}

/** How long a client waits before it reconnects. */
const RETRY_MS = 1_000;
/** A client this far behind is cut off: it can come back for the events that were kept. */
const MAX_BEHIND_BYTES = 16 * 1_048_576;

/**
 * An event stream that a client can resume where it broke off (2025-11-25, Transports §Resumability and Redelivery). It outlives its
 * connections.
 */
export class ResumableStream implements ClientStream, OpenStream {
  readonly #options: ResumableStreamOptions;
  #response: ServerResponse | undefined;
  #lastNumber = 0;
  #isComplete = false;
  lastWritten = performance.now();

  constructor(options: ResumableStreamOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  get isEndless(): boolean {
    return this.#options.isEndless;
  }

  /** Whether it has a connection at the moment. */
  get isOpen(): boolean {
    return this.#response !== undefined;
  }

  /** Whether all its messages have been written. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** Continues on a new connection, after event number `after`, and ends the one before. Settles when the new connection is over. */
  open(response: ServerResponse, after?: number): Promise<void> {
    const { name, headers, kept, streams, isPrimed, isEndless } = this.#options;
    this.#response?.end();
    this.#response = response;
    response.writeHead(200, { ...EVENT_STREAM_HEADERS, ...headers });
    response.flushHeaders();
    const leave = streams.add(this);
    beatsBy(response, this);
    const over = new Promise<void>((resolve) => {
      const onClose = () => {
        leave();
        if (this.#response === response) this.#response = undefined;
        resolve();
      };
      if (response.destroyed) onClose();
      else response.once("close", onClose);
    });
    const missed = after === undefined ? [] : [...kept.after(name, after)];
    if (after === undefined && isPrimed) this.#put(`id: ${name}-0\nretry: ${RETRY_MS}\ndata: \n\n`);
    // A proxy may pass the head on only with something behind it, and the first message of an endless stream may be hours away.
    else if (missed.length === 0 && isEndless) this.#put(KEEP_ALIVE);
    for (const { number, message } of missed) this.#put(this.#event(number, message));
    if (this.#isComplete) response.end();
    return over;
  }

  /** Sends a message that the client can ask for again. */
  write(message: JsonText): void {
    const { name, kept } = this.#options;
    this.#lastNumber += 1;
    kept.add({ stream: name, number: this.#lastNumber, message });
    this.#put(this.#event(this.#lastNumber, message));
  }

  /** Sends a message once, to the client that is connected now. */
  send(message: JsonText): boolean {
    return this.#put(toEvent(message));
  }

  /** Ends the stream: no message follows. */
  complete(): void {
    this.#isComplete = true;
    this.#response?.end();
  }

  beat(): void {
    if (this.#response?.writableLength === 0) this.#put(KEEP_ALIVE);
  }

  stop(): void {
    if (this.#options.isEndless) this.#response?.end();
  }

  #event(number: number, message: JsonText): string {
    return `id: ${this.#options.name}-${number}\n${toEvent(message)}`;
  }

  /** Returns whether a connection takes the event. */
  #put(event: string): boolean {
    const response = this.#response;
    if (response === undefined || response.destroyed || response.writableEnded) return false;
    if (response.writableLength > MAX_BEHIND_BYTES) {
      response.destroy();
      return false;
    }
    this.lastWritten = performance.now();
    response.write(event);
    return true;
  }
}
