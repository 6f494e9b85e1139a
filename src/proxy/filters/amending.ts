import { isUtf8 } from "node:buffer";
import { EventSplitter, readEvent, withData } from "../../protocol/event-stream.ts";
import { mediaType } from "../../protocol/headers.ts";
import { isAnswerTo, parseJson, type RequestId } from "../../protocol/jsonrpc.ts";
import type { Filter } from "../reverse-proxy.ts";

export interface AmendingOptions {
  /** The content type of the server's answer. */
  readonly contentType: string | undefined;
  /** The request whose answer to change. */
  readonly id: RequestId;
  /** A JSON body, or an event, that is longer passes unchanged. */
  readonly maxBytes: number;
  /** Takes the answer's text, and gives the text to send instead. */
  readonly amend: (message: string) => string;
}

/**
 * Changes the one answer to a request in a JSON body or an event stream; everything else passes as it comes. Of a body it collects all, of
 * a stream only the incomplete event, and nothing after the answer. Text that is no UTF-8 or no JSON, and an answer with another id (`1` is
 * not `"1"`), passes unchanged.
 */
export function amendingFilter(options: AmendingOptions): Filter {
  switch (mediaType(options.contentType)) {
    case "application/json":
      return new BodyFilter(options);
    case "text/event-stream":
      return new StreamFilter(options);
    default:
      return { take: (chunk) => chunk, finish: () => NOTHING };
  }
}

const NOTHING = Buffer.alloc(0);

class BodyFilter implements Filter {
  readonly #options: AmendingOptions;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #isOverrun = false;

  constructor(options: AmendingOptions) {
    this.#options = options;
  }

  take(chunk: Buffer): Buffer {
    if (this.#isOverrun) return chunk;
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    this.#isOverrun = this.#heldBytes > this.#options.maxBytes;
    return this.#isOverrun ? this.#release() : NOTHING;
  }

  finish(): Buffer {
    const body = this.#release();
    const message = isUtf8(body) ? body.toString("utf8") : "";
    return isAnswerTo(parseJson(message), this.#options.id)
      ? Buffer.from(this.#options.amend(message))
      : body;
  }

  #release(): Buffer {
    const held = Buffer.concat(this.#held);
    this.#held = [];
    return held;
  }
}

class StreamFilter implements Filter {
  readonly #options: AmendingOptions;
  readonly #splitter: EventSplitter;
  #isAnswered = false;

  constructor(options: AmendingOptions) {
    this.#options = options;
    this.#splitter = new EventSplitter(options.maxBytes);
  }

  take(chunk: Buffer): Buffer {
    if (this.#isAnswered || this.#splitter.isOverrun) return chunk;
    const events = this.#splitter.push(chunk).map((event) => this.#amended(event));
    if (this.#isAnswered) events.push(this.#splitter.rest());
    return events.length === 1 ? (events[0] ?? NOTHING) : Buffer.concat(events);
  }

  finish(): Buffer {
    return this.#splitter.rest();
  }

  #amended(event: Buffer): Buffer {
    const { id, maxBytes, amend } = this.#options;
    if (this.#isAnswered || event.length > maxBytes || !isUtf8(event)) return event;
    const { event: name, data } = readEvent(event);
    if (name !== "message" || data === undefined || !isAnswerTo(parseJson(data), id)) return event;
    this.#isAnswered = true;
    const amended = amend(data);
    return amended === data ? event : withData(event, amended);
  }
}
