/** The default of `limits.maxDepth`: how deep JSON may be nested. */
export const MAX_DEPTH = 128;
/**
 * As many values as the largest meaningful results have. Twenty million empty objects fit into a message of 64 MB; parsing them takes
 * 1.5 GB, and the gateway serves nobody else for half a minute.
 */
export const MAX_VALUES = 2_000_000;

/** A text exceeds a limit. The message completes a sentence: `is nested deeper than 128 levels`. */
export class JsonExcess extends Error {
  override name = "JsonExcess";
}

/**
 * What a line break means in a text. `lines`: the end of a line of JSON, and of any string in it. `events`: the same, and a blank line ends
 * a message (event stream). `none`: nothing, because other readers may continue strings across it.
 */
export type Breaks = "lines" | "events" | "none";

/**
 * Whether objects and arrays in a text that is not valid JSON may be nested deeper than `maxDepth`. If not, another reader that takes the
 * text for JSON can read it without running out of stack.
 */
export function mayBeDeeperThan(text: Uint8Array, maxDepth: number): boolean {
  try {
    new JsonLimits(maxDepth, "none", Number.POSITIVE_INFINITY).take(text);
    return false;
  } catch (error) {
    if (error instanceof JsonExcess) return true;
    throw error;
  }
}

/**
 * Checks a text before it is parsed, in whatever chunks it comes: JSON nested too deeply cannot be written again, and too many values stop
 * the process. It knows nothing else of JSON; the parser refuses text that is not valid.
 */
export class JsonLimits {
  readonly #maxDepth: number;
  readonly #breaks: Breaks;
  readonly #maxValues: number;
  #depth = 0;
  #values = 0;
  #isText = false;
  #isEscaped = false;
  /** The last two bytes; the start counts as the end of a line. */
  #tail: readonly [number, number] = [LF, LF];

  constructor(maxDepth: number, breaks: Breaks = "lines", maxValues = MAX_VALUES) {
    this.#maxDepth = maxDepth;
    this.#breaks = breaks;
    this.#maxValues = maxValues;
  }

  /** Checks a chunk and returns how many line breaks it has. @throws JsonExcess when the text exceeds a limit */
  take(chunk: Uint8Array): number {
    const [breaks, maxDepth, maxValues] = [this.#breaks, this.#maxDepth, this.#maxValues];
    let lines = 0;
    let [depth, values, isText, isEscaped] = [this.#depth, this.#values, this.#isText, this.#isEscaped];
    for (let at = 0; at < chunk.length; at += 1) {
      const kind = KINDS[chunk[at] ?? 0];
      if (kind === PLAIN) {
        isEscaped = false;
      } else if (kind === BREAK) {
        lines += 1;
        isEscaped = false;
        if (breaks !== "none") isText = false;
        if (breaks === "events" && this.#endsMessage(chunk, at)) depth = values = 0;
      } else if (isText) {
        if (kind === QUOTED && !isEscaped) isText = false;
        isEscaped = kind === ESCAPE && !isEscaped;
      } else if (kind === QUOTED) {
        isText = true;
      } else if (kind === CLOSE) {
        depth -= 1;
      } else if (kind !== ESCAPE) {
        values += 1;
        if (kind === OPEN) depth += 1;
        if (values > maxValues || depth > maxDepth) throw this.#excess(depth);
      }
    }
    [this.#depth, this.#values, this.#isText, this.#isEscaped] = [depth, values, isText, isEscaped];
    this.#tail = [this.#byteAt(chunk, chunk.length - 2), this.#byteAt(chunk, chunk.length - 1)];
    return lines;
  }

  /** Whether the line that ends here is blank. The LF of a CRLF belongs to the CR before it. */
  #endsMessage(chunk: Uint8Array, at: number): boolean {
    const before = this.#byteAt(chunk, at - 1);
    const isRest = chunk[at] === LF && before === CR;
    return isBreak(isRest ? this.#byteAt(chunk, at - 2) : before);
  }

  #byteAt(chunk: Uint8Array, at: number): number {
    return chunk[at] ?? this.#tail[at + 2] ?? 0;
  }

  #excess(depth: number): JsonExcess {
    return new JsonExcess(
      depth > this.#maxDepth
        ? `is nested deeper than ${this.#maxDepth} levels (limits.maxDepth)`
        : `has more than ${this.#maxValues} values`,
    );
  }
}

const LF = 0x0a;
const CR = 0x0d;

const [PLAIN, BREAK, QUOTED, ESCAPE, OPEN, CLOSE, NEXT] = [0, 1, 2, 3, 4, 5, 6];
const KINDS = new Uint8Array(256);
for (const [bytes, kind] of [
  ["\n\r", BREAK],
  ['"', QUOTED],
  ["\\", ESCAPE],
  ["[{", OPEN],
  ["]}", CLOSE],
  [",", NEXT],
] as const) {
  for (const byte of Buffer.from(bytes)) KINDS[byte] = kind;
}

function isBreak(byte: number): boolean {
  return byte === LF || byte === CR;
}
