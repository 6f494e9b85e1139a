/** How deep JSON may be nested unless it is set (`limits.maxDepth`). */
export const MAX_DEPTH = 128;
/**
 * As many values as there are in the largest results that mean anything. Twenty million empty objects fit into a message of 64 MB, take
 * 1.5 GB when they are read, and nobody else is served for the half minute that it lasts.
 */
export const MAX_VALUES = 2_000_000;

/** There is too much of something in a text. The message is the rest of a sentence: `is nested deeper than 128 levels`. */
export class JsonExcess extends Error {
  override name = "JsonExcess";
}

/**
 * What a line break means in a text: the end of a line of JSON, in which no string goes on; beyond that the end of a message, if the line is
 * blank (an event stream); or nothing, because other readers may let strings go on.
 */
export type Breaks = "lines" | "events" | "none";

/**
 * Whether objects and arrays of a text that is no JSON might be nested deeper than this: what another reader may take for JSON can
 * otherwise be read without a stack running out.
 */
export function mayBeDeeperThan(text: Uint8Array, maxDepth: number): boolean {
  try {
    new JsonGauge(maxDepth, "none", Number.POSITIVE_INFINITY).take(text);
    return false;
  } catch (error) {
    if (error instanceof JsonExcess) return true;
    throw error;
  }
}

/**
 * Looks at a text before it is read, in whatever pieces it comes: what is nested too deeply cannot be written again, and what has too many
 * values stops the process. Knows nothing else of JSON; what is none is for the parser to refuse.
 */
export class JsonGauge {
  readonly #maxDepth: number;
  readonly #breaks: Breaks;
  readonly #maxValues: number;
  #depth = 0;
  #values = 0;
  #isText = false;
  #isEscaped = false;
  /** The last two bytes; what stands before the first one is a line that has ended. */
  #tail: readonly [number, number] = [LF, LF];

  constructor(maxDepth: number, breaks: Breaks = "lines", maxValues = MAX_VALUES) {
    this.#maxDepth = maxDepth;
    this.#breaks = breaks;
    this.#maxValues = maxValues;
  }

  /** How many lines end in the chunk. @throws JsonExcess that says what there is too much of */
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

  /** Whether the line is blank that ends here. Of a CRLF the LF ends what its CR has ended already. */
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
