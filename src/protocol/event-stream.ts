/**
 * Event streams as bytes (HTML Standard, Server-sent events §Parsing an event stream): a line ends in LF, CRLF or CR, a blank line ends an
 * event, a byte order mark may begin the stream, and chunks may end anywhere.
 */

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;
const MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const MARK_TAIL = 0xefbbbf;

/** The start of the stream counts as the end of a line. */
const START_TAIL = (LF << 8) | LF;

/**
 * Follows the bytes of an event stream and knows whether it is between two events: only there may the gateway insert something. Reads only
 * the last three bytes of a chunk and keeps two numbers.
 */
export class EventBoundary {
  /** The last three bytes. */
  #tail = START_TAIL;
  /** How many bytes came so far, up to the length of a byte order mark. */
  #headBytes = 0;

  /**
   * True at the start, and after the blank line of an event. Also true inside a blank CRLF that the network cuts in two: the LF that
   * follows is then a blank line of its own, which means nothing. (An insertion at the very start precedes a byte order mark, which then
   * spoils the first event's first line: where the server may send one, wait for its first bytes.)
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
 * Cuts an event stream into whole events, byte for byte: the pieces and the rest, in order, are the stream. It never holds more than
 * `maxEventBytes` and the latest chunk.
 */
export class EventSplitter {
  readonly #maxEventBytes: number;
  readonly #boundary = new EventBoundary();
  #held: Buffer[] = [];
  #heldBytes = 0;
  #isFirst = true;
  #isOverrun = false;

  /** @param maxEventBytes the longest event, including its blank line */
  constructor(maxEventBytes: number) {
    this.#maxEventBytes = maxEventBytes;
  }

  /** Whether an event was too large: from there on the splitter no longer cuts the stream. */
  get isOverrun(): boolean {
    return this.#isOverrun;
  }

  /**
   * Takes a chunk and returns the events that it completes, each with its blank line, and further blank lines if the same chunk has them.
   * Later blank lines are a piece of their own, as is a byte order mark. An event above the limit, and everything after it, is returned as
   * it arrives; the first such piece is longer than the limit, as no event is.
   */
  push(chunk: Buffer): readonly Buffer[] {
    if (this.#isOverrun) return [chunk];
    const events: Buffer[] = [];
    let start = 0;
    let seen = 0;
    for (const at of breaksIn(chunk)) {
      // Only the last of several breaks ends an event, so that extra blank lines, and the LF of a CRLF, stay with it.
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

  /** Returns the bytes of the incomplete event and forgets them. */
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
    // The mark belongs to the stream: in an event it would be part of a field's name.
    return isMarked ? [event.subarray(0, MARK.length), event.subarray(MARK.length)] : [event];
  }

  #hold(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
  }
}

/** The fields of an event. Without `data` clients ignore it: it is a comment or a blank line. */
export interface EventFields {
  /** `message` unless the event has a name. */
  readonly event: string;
  readonly data: string | undefined;
  readonly id: string | undefined;
}

/** Reads one event from the splitter. Invalid UTF-8 becomes U+FFFD. */
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
 * The event with other data, in place of its last data line; every other line (id, retry, event, comments) stays, and line ends are the
 * event's own. A line break in the data begins a new data line; the reader gets it as LF.
 */
export function withData(event: Buffer, data: string): Buffer {
  const lines = [...linesIn(event)];
  // Not the first data line: a line must stay between one that ends in CR and a blank line that is an LF.
  const place = lines.findLast(isData) ?? lines.find(({ start, end }) => start === end);
  const parts = lines.flatMap((line) => [
    ...(line === place ? [dataInPlaceOf(line, event, data)] : []),
    ...(isData(line) ? [] : [event.subarray(line.start, line.next)]),
  ]);
  return Buffer.concat([...parts, event.subarray(lines.at(-1)?.next ?? 0)]);
}

/** One message as an event. A line break in the data begins a new data line; the reader gets it as LF. */
export function toEvent(data: string): string {
  return `event: message\n${dataLines(data, "\n", false)}\n`;
}

function dataInPlaceOf(line: Line, event: Buffer, data: string): Buffer {
  const lineEnd = event.toString("latin1", line.end, line.next);
  return Buffer.from(dataLines(data, lineEnd, event[line.valueStart - 1] === COLON));
}

/** @param isTight whether to omit the space after the colon, where the value does not begin with one */
function dataLines(data: string, lineEnd: string, isTight: boolean): string {
  const lines = data.split(/\r\n|\r|\n/);
  return lines.map((line) => `data:${isTight && !line.startsWith(" ") ? "" : " "}${line}${lineEnd}`).join("");
}

interface Line {
  /** The field's name; empty for a comment and a blank line. */
  readonly field: string;
  readonly start: number;
  readonly valueStart: number;
  /** Where the line's break begins. */
  readonly end: number;
  /** Where the next line begins. */
  readonly next: number;
}

function isData({ field }: Line): boolean {
  return field === "data";
}

/** Every line that ends with a break. */
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

/** The indexes of all LFs and CRs, in order. Two native searches, so that a long line costs next to nothing. */
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

/** Whether the byte at `at` is the CR of a CRLF. */
function isFirstHalf(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === CR && bytes[at + 1] === LF;
}

function isBreak(byte: number | undefined): boolean {
  return byte === LF || byte === CR;
}
