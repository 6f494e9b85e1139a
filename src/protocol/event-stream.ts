/**
 * Event streams as bytes (HTML Standard, Server-sent events §Parsing an event stream): a line ends in LF,
 * CRLF or CR, a blank line ends an event, a byte order mark may stand before everything, and the network cuts
 * where it likes.
 */

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;
const MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const MARK_TAIL = 0xefbbbf;

/** What stands before the first byte, as far as the next one is concerned: a line that has ended. */
const START_TAIL = (LF << 8) | LF;

/**
 * Follows the bytes of an event stream, and knows whether they stand between two events: only there may
 * something be put in. Looks at the last three bytes of a chunk and keeps two numbers.
 */
export class EventBoundary {
  /** The last three bytes. */
  #tail = START_TAIL;
  /** How many bytes there have been, as long as they may be those of a byte order mark. */
  #headBytes = 0;

  /**
   * True at the very start, and after the blank line of an event. When the network cuts a blank CRLF in two,
   * it is true in between as well: the LF that follows is then a blank line of its own, which means nothing.
   * (What is put in at the very start comes before a byte order mark, which then spoils the first event's first
   * line: where the server may send one, wait for its first bytes.)
   */
  get isBetweenEvents(): boolean {
    const [first, before, last] = [this.#tail >> 16, (this.#tail >> 8) & 0xff, this.#tail & 0xff];
    if (last === LF && before === CR) return isBreak(first);
    return isBreak(last) && isBreak(before);
  }

  take(chunk: Uint8Array): void {
    const head = Math.min(MARK.length - this.#headBytes, chunk.length);
    if (head > 0) {
      this.#append(chunk, 0, head);
      this.#headBytes += head;
      if (this.#tail === MARK_TAIL) this.#tail = START_TAIL;
    }
    this.#append(chunk, Math.max(head, chunk.length - 3), chunk.length);
  }

  #append(bytes: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end; at++) this.#tail = ((this.#tail << 8) | (bytes[at] ?? 0)) & 0xffffff;
  }
}

/**
 * Cuts an event stream into whole events. Not a byte is changed, lost or moved: the pieces and the rest, one
 * after the other, are the stream. It never holds more than `maxEventBytes` and the chunk it was given last.
 */
export class EventSplitter {
  readonly #maxEventBytes: number;
  readonly #boundary = new EventBoundary();
  #held: Buffer[] = [];
  #heldBytes = 0;
  #isFirst = true;
  #isOverrun = false;

  /** @param maxEventBytes how long an event may be, its blank line included */
  constructor(maxEventBytes: number) {
    this.#maxEventBytes = maxEventBytes;
  }

  /** Whether there was an event that is too large: from there on the stream is no longer cut. */
  get isOverrun(): boolean {
    return this.#isOverrun;
  }

  /**
   * The events that are complete now, each with its blank line, and more of them if they come in one chunk.
   * What comes later of blank lines is a piece of its own, as is a byte order mark. An event larger than the
   * limit, and everything after it, comes as the pieces it arrives in; the first of these is longer than the
   * limit, and no event is.
   */
  push(chunk: Buffer): readonly Buffer[] {
    if (this.#isOverrun) return [chunk];
    const events: Buffer[] = [];
    let start = 0;
    let seen = 0;
    for (const at of breaksIn(chunk)) {
      // Only the last of several breaks ends an event: blank lines too many go with it, and the LF of a CRLF.
      if (isBreak(chunk[at + 1])) continue;
      this.#boundary.take(chunk.subarray(seen, at + 1));
      seen = at + 1;
      if (!this.#boundary.isBetweenEvents) continue;
      if (this.#heldBytes + seen - start > this.#maxEventBytes) break;
      events.push(...this.#complete(chunk.subarray(start, seen)));
      start = seen;
    }
    this.#boundary.take(chunk.subarray(seen));
    this.#hold(chunk.subarray(start));
    this.#isOverrun = this.#heldBytes > this.#maxEventBytes;
    return this.#isOverrun ? [...events, this.rest()] : events;
  }

  /** The bytes of the event that is not complete, handed over: nothing is held any more. */
  rest(): Buffer {
    const rest = Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    return rest;
  }

  #complete(end: Buffer): readonly Buffer[] {
    this.#hold(end);
    const event = this.#held.length === 1 ? end : Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    const isMarked = this.#isFirst && event.subarray(0, MARK.length).equals(MARK);
    this.#isFirst = false;
    // The mark is the stream's, not the first event's: in an event it would be part of a field's name.
    return isMarked ? [event.subarray(0, MARK.length), event.subarray(MARK.length)] : [event];
  }

  #hold(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
  }
}

/** What an event says. Without `data` it is none for whoever listens: a comment, or a blank line. */
export interface EventFields {
  /** `message` unless it is named. */
  readonly event: string;
  readonly data: string | undefined;
  readonly id: string | undefined;
}

/** Reads one event, as the splitter gives it. Bytes that are no UTF-8 become U+FFFD. */
export function readEvent(event: Buffer): EventFields {
  const data: string[] = [];
  let name = "";
  let id: string | undefined;
  for (const line of linesIn(event)) {
    const value = () => event.toString("utf8", line.valueStart, line.end);
    if (isData(line)) data.push(value());
    else if (line.field === "event") name = value();
    else if (line.field === "id" && !value().includes("\0")) id = value();
  }
  return { event: name === "" ? "message" : name, data: data.length === 0 ? undefined : data.join("\n"), id };
}

/**
 * The same event with other data, where the last line of its data was; every other line (id, retry, event,
 * comments) stays, and line ends are the event's own. A line break in the data begins a new line, and is read
 * as LF.
 */
export function withData(event: Buffer, data: string): Buffer {
  const lines = [...linesIn(event)];
  // Not the first: between a line that ends in CR and a blank line that is an LF, there has to stay one.
  const place = lines.findLast(isData) ?? lines.find(({ start, end }) => start === end);
  const parts = lines.flatMap((line) => [
    ...(line === place ? [dataInPlaceOf(line, event, data)] : []),
    ...(isData(line) ? [] : [event.subarray(line.start, line.next)]),
  ]);
  return Buffer.concat([...parts, event.subarray(lines.at(-1)?.next ?? 0)]);
}

/** One message as an event of its own. A line break in the data begins a new line, and is read as LF. */
export function toEvent(data: string): string {
  return `event: message\n${dataLines(data, "\n", false)}\n`;
}

function dataInPlaceOf(line: Line, event: Buffer, data: string): Buffer {
  const lineEnd = event.toString("latin1", line.end, line.next);
  return Buffer.from(dataLines(data, lineEnd, event[line.valueStart - 1] === COLON));
}

/** @param isTight without the space after the colon, unless a value that begins with one needs it */
function dataLines(data: string, lineEnd: string, isTight: boolean): string {
  const lines = data.split(/\r\n|\r|\n/);
  return lines.map((line) => `data:${isTight && !line.startsWith(" ") ? "" : " "}${line}${lineEnd}`).join("");
}

interface Line {
  /** The field's name; empty for a comment and a blank line. */
  readonly field: string;
  readonly start: number;
  readonly valueStart: number;
  /** Where its break begins. */
  readonly end: number;
  /** Where the next line begins. */
  readonly next: number;
}

function isData({ field }: Line): boolean {
  return field === "data";
}

/** Every line that has its break. */
function* linesIn(event: Buffer): Generator<Line> {
  let start = 0;
  for (const at of breaksIn(event)) {
    if (isFirstHalf(event, at)) continue;
    const end = isFirstHalf(event, at - 1) ? at - 1 : at;
    const line = event.subarray(start, end);
    const colon = line.indexOf(COLON);
    const nameEnd = colon === -1 ? line.length : colon;
    const isSpaced = line[nameEnd + 1] === SPACE;
    const valueStart = colon === -1 ? end : start + colon + (isSpaced ? 2 : 1);
    yield { field: line.toString("utf8", 0, nameEnd), start, valueStart, end, next: at + 1 };
    start = at + 1;
  }
}

/** Where the LFs and CRs are, in order. Two native searches, so that a long line costs next to nothing. */
function* breaksIn(bytes: Buffer): Generator<number> {
  let lf = bytes.indexOf(LF);
  let cr = bytes.indexOf(CR);
  while (lf !== -1 || cr !== -1) {
    if (cr === -1 || (lf !== -1 && lf < cr)) {
      yield lf;
      lf = bytes.indexOf(LF, lf + 1);
    } else {
      yield cr;
      cr = bytes.indexOf(CR, cr + 1);
    }
  }
}

/** Whether the break here goes on with the next byte. */
function isFirstHalf(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === CR && bytes[at + 1] === LF;
}

function isBreak(byte: number | undefined): boolean {
  return byte === LF || byte === CR;
}
