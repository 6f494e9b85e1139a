import type { ServerResponse } from "node:http";
import { EventBoundary, toEvent } from "../protocol/event-stream.ts";
import { KEEP_ALIVE } from "../protocol/headers.ts";
import type { JsonText } from "../protocol/jsonrpc.ts";
import type { Channel } from "./backchannels.ts";
import type { OpenStream, OpenStreams } from "./open-streams.ts";
import type { Passage } from "./transparent.ts";

/** A client that is this far behind is sent nothing of ours until it has caught up. */
const MAX_BEHIND_BYTES = 1_048_576;
const MAX_WAITING = 100;
const NOTHING = Buffer.alloc(0);

/**
 * An event stream on its way from the server to a client: its bytes pass untouched, and between two events there is room
 * for comments and messages of the gateway's own. Those have no event id, so that a stream is resumed where the server's events
 * ended.
 */
export class EventTap implements Passage, Channel, OpenStream {
  readonly #response: ServerResponse;
  readonly #boundary = new EventBoundary();
  readonly #leave: () => void;
  /** What is to be put in at the end of the event that is just passing. */
  #waiting: JsonText[] = [];
  #isStopping = false;
  #isOver = false;
  lastWritten = performance.now();

  constructor(response: ServerResponse, streams: OpenStreams) {
    this.#response = response;
    this.#leave = streams.add(this);
  }

  get isOpen(): boolean {
    return !this.#isOver && !this.#response.destroyed;
  }

  take(chunk: Buffer): Buffer {
    this.lastWritten = performance.now();
    this.#boundary.take(chunk);
    if (!this.#boundary.isBetweenEvents) return chunk;
    if (this.#isStopping) setImmediate(() => this.#response.end());
    if (this.#waiting.length === 0) return chunk;
    const ours = this.#waiting.splice(0).map(toEvent).join("");
    return Buffer.concat([chunk, Buffer.from(ours)]);
  }

  finish(): Buffer {
    this.close();
    return NOTHING;
  }

  send(message: JsonText): boolean {
    const isBehind = this.#response.writableLength > MAX_BEHIND_BYTES || this.#waiting.length >= MAX_WAITING;
    if (!this.isOpen || this.#isStopping || isBehind) return false;
    // The head of the answer is written after this has come to be.
    if (this.#response.headersSent && this.#boundary.isBetweenEvents) this.#write(toEvent(message));
    else this.#waiting.push(message);
    return true;
  }

  beat(): void {
    const isFree = this.#response.headersSent && this.#response.writableLength === 0;
    if (this.isOpen && isFree && this.#boundary.isBetweenEvents) this.#write(KEEP_ALIVE);
  }

  stop(): void {
    this.#isStopping = true;
    if (this.#boundary.isBetweenEvents) this.#response.end();
  }

  /** Nothing more comes. To be called however the stream ended. */
  close(): void {
    this.#isOver = true;
    this.#waiting = [];
    this.#leave();
  }

  #write(event: string): void {
    this.lastWritten = performance.now();
    this.#response.write(event);
  }
}
