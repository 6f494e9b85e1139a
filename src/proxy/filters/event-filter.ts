import type { ServerResponse } from "node:http";
import { EventBoundary, toEvent } from "../../protocol/event-stream.ts";
import { KEEP_ALIVE } from "../../protocol/headers.ts";
import type { JsonText } from "../../protocol/jsonrpc.ts";
import type { ClientStream } from "../../requests/client-stream.ts";
import { beatsBy } from "../../requests/keep-alive.ts";
import type { OpenStream, OpenStreams } from "../../requests/open-streams.ts";
import type { Filter } from "../reverse-proxy.ts";

/** A client this far behind gets no message of ours until it has caught up. */
const MAX_BEHIND_BYTES = 1_048_576;
const MAX_WAITING = 100;
const NOTHING = Buffer.alloc(0);
const MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * An event stream on its way from the server to a client. The server's bytes pass untouched; between two events the gateway can insert
 * comments and messages of its own. Those have no event id, so that the client resumes the stream where the server's events ended.
 */
export class EventFilter implements Filter, ClientStream, OpenStream {
  readonly #response: ServerResponse;
  readonly #boundary = new EventBoundary();
  readonly #leave: () => void;
  readonly #lastWords: JsonText | undefined;
  /** Messages to insert after the event that is passing. */
  #waiting: JsonText[] = [];
  /** The server's first bytes, while they may be a byte order mark behind bytes of ours. */
  #head: Buffer | undefined;
  #isBegun = false;
  #isStopping = false;
  #isOver = false;
  lastWritten = performance.now();

  /** @param lastWords the message that ends the answer to a POST that never ends by itself, if the gateway stops */
  constructor(response: ServerResponse, streams: OpenStreams, lastWords?: JsonText) {
    this.#response = response;
    this.#lastWords = lastWords;
    if (response.headersSent) this.#head = NOTHING;
    this.#leave = streams.add(this);
    beatsBy(response, this);
  }

  get isOpen(): boolean {
    return !this.#isOver && !this.#response.destroyed && !this.#response.writableEnded;
  }

  get isBetweenEvents(): boolean {
    return this.#boundary.isBetweenEvents;
  }

  take(chunk: Buffer): Buffer {
    if (this.#isOver || chunk.length === 0) return NOTHING;
    this.#isBegun = true;
    const bytes = this.#head === undefined ? chunk : this.#unmarked(this.#head, chunk);
    this.lastWritten = performance.now();
    this.#boundary.take(bytes);
    if (!this.#boundary.isBetweenEvents) return bytes;
    if (this.#isStopping) this.#endSoon();
    if (this.#waiting.length === 0) return bytes;
    return Buffer.concat([bytes, Buffer.from(this.#taken())]);
  }

  finish(): Buffer {
    this.close();
    return NOTHING;
  }

  send(message: JsonText): boolean {
    const isBehind = this.#response.writableLength > MAX_BEHIND_BYTES || this.#waiting.length >= MAX_WAITING;
    if (!this.isOpen || this.#isStopping || isBehind) return false;
    this.#waiting.push(message);
    if (this.#response.headersSent) this.#flush();
    // The caller writes the head right after it made this filter, and the server may then send nothing for hours.
    else setImmediate(() => this.#flush());
    return true;
  }

  beat(): void {
    if (this.#isFree && this.#response.writableLength === 0) this.#write(KEEP_ALIVE);
  }

  /** Ends the stream after the event that is passing. The answer to a POST without last words may go on: it ends by itself. */
  stop(): void {
    if (this.#response.req.method !== "GET" && this.#lastWords === undefined) return;
    this.#isStopping = true;
    if (this.#boundary.isBetweenEvents) this.#endSoon();
  }

  /** To be called however the stream ended. */
  close(): void {
    this.#isOver = true;
    this.#waiting = [];
    this.#leave();
  }

  /** Whether the gateway may insert something now. */
  get #isFree(): boolean {
    return this.isOpen && this.#response.headersSent && this.#boundary.isBetweenEvents;
  }

  #flush(): void {
    if (this.#isFree && this.#waiting.length > 0) this.#write(this.#taken());
  }

  #taken(): string {
    return this.#waiting.splice(0).map(toEvent).join("");
  }

  #write(events: string): void {
    if (!this.#isBegun) this.#head ??= NOTHING;
    this.lastWritten = performance.now();
    this.#response.write(events);
  }

  /** Ends the response once the chunk that is passing has been written. */
  #endSoon(): void {
    this.#isOver = true;
    const words = this.#lastWords === undefined ? "" : toEvent(this.#lastWords);
    setImmediate(() => this.#response.end(words));
  }

  /** A byte order mark counts only at the very start; behind bytes of ours it would spoil the first event. */
  #unmarked(head: Buffer, chunk: Buffer): Buffer {
    const bytes = Buffer.concat([head, chunk]);
    const isUndecided = bytes.length < MARK.length && MARK.subarray(0, bytes.length).equals(bytes);
    this.#head = isUndecided ? bytes : undefined;
    if (isUndecided) return NOTHING;
    return bytes.subarray(0, MARK.length).equals(MARK) ? bytes.subarray(MARK.length) : bytes;
  }
}
