import type { ServerResponse } from "node:http";
import { toEvent } from "../protocol/event-stream.ts";
import { EVENT_STREAM_HEADERS, KEEP_ALIVE } from "../protocol/headers.ts";
import type { JsonText } from "../protocol/jsonrpc.ts";
import type { Channel } from "./backchannels.ts";
import { beatsBy } from "./beat.ts";
import type { KeptEvents } from "./kept-events.ts";
import type { OpenStream, OpenStreams } from "./open-streams.ts";

export interface ResumableStreamOptions {
  /** Names the stream within its session; without a hyphen. */
  readonly name: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly kept: KeptEvents;
  readonly streams: OpenStreams;
  /** Whether the first event has an id and nothing else, so that the stream can be resumed before anything was said on it. */
  readonly isPrimed: boolean;
  /** Whether there is always more to be said; a stream that answers something ends by itself. */
  readonly isEndless: boolean;
}

/** When a client is to come back that has lost its connection. */
const RETRY_MS = 1_000;
/** A client that is this far behind is cut off: it can come back for what was kept. */
const MAX_BEHIND_BYTES = 16 * 1_048_576;

/**
 * An event stream to a client that can be picked up again where it broke off (2025-11-25, Transports §Resumability and
 * Redelivery). It outlives its connections.
 */
export class ResumableStream implements Channel, OpenStream {
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

  /** Whether somebody reads it at the moment. */
  get isOpen(): boolean {
    return this.#response !== undefined;
  }

  /** Whether everything has been said on it. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /**
   * Goes on with a new connection, after the event with this number; the one before it is given up. Settles when the connection
   * is over.
   */
  open(response: ServerResponse, after?: number): Promise<void> {
    const { name, headers, kept, streams, isPrimed } = this.#options;
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
    if (after === undefined && isPrimed) this.#put(`id: ${name}-0\nretry: ${RETRY_MS}\ndata: \n\n`);
    for (const { number, message } of after === undefined ? [] : kept.after(name, after))
      this.#put(this.#event(number, message));
    if (this.#isComplete) response.end();
    return over;
  }

  /** Says something that the client can ask for again. */
  write(message: JsonText): void {
    const { name, kept } = this.#options;
    this.#lastNumber += 1;
    kept.add({ stream: name, number: this.#lastNumber, message });
    this.#put(this.#event(this.#lastNumber, message));
  }

  /** Says something once, to whoever reads it now. */
  send(message: JsonText): boolean {
    return this.#put(toEvent(message));
  }

  /** Nothing more is said. */
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

  /** Says whether somebody reads it. */
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
