import { StringDecoder } from "node:string_decoder";
import { createParser, type EventSourceParser, type ParserCallbacks } from "eventsource-parser";

const BYTE_ORDER_MARK = "\ufeff";

/** Reads a server's event stream (HTML Standard, Server-sent events §Parsing an event stream) from chunks that may end anywhere. */
export class EventReader {
  readonly #parser: EventSourceParser;
  readonly #decoder = new StringDecoder("utf8");
  #isAtStart = true;
  #isBehindReturn = false;

  constructor(callbacks: ParserCallbacks) {
    this.#parser = createParser(callbacks);
  }

  /** Reports the events that the chunk completes. */
  feed(chunk: Buffer): void {
    const text = this.#decoder.write(chunk);
    if (text === "") return;
    const isMark = this.#isAtStart && text.startsWith(BYTE_ORDER_MARK);
    const isRestOfBreak = this.#isBehindReturn && text.startsWith("\n");
    this.#isAtStart = false;
    this.#isBehindReturn = text.endsWith("\r");
    // The parser waits for what follows a CR, which may be the LF of the same line break. A server that ends its lines in CR alone sends nothing
    // more after its answer, so the LF is given in advance and left out if it comes.
    const rest = isMark || isRestOfBreak ? text.slice(1) : text;
    this.#parser.feed(this.#isBehindReturn ? `${rest}\n` : rest);
  }
}
