import { UpstreamFailure } from "./failure.ts";

/** How deep JSON may be nested unless it is set (`limits.maxDepth`). */
export const MAX_DEPTH = 128;
/**
 * As many values as there are in the largest results that mean anything. Twenty million empty objects fit into a message of 64 MB, take
 * 1.5 GB when they are read, and nobody else is served for the half minute that it lasts.
 */
export const MAX_VALUES = 2_000_000;

/**
 * Looks at what a server sent before it is read, in whatever pieces it comes: what is nested too deeply cannot be written again, and what
 * has too many values stops the process. Knows nothing else of JSON; what is none is for the parser to refuse.
 */
export class JsonGauge {
  readonly #maxDepth: number;
  readonly #isStream: boolean;
  #depth = 0;
  #values = 0;
  #isText = false;
  #isEscaped = false;
  /** The last two bytes; what stands before the first one is a line that has ended. */
  #tail: readonly [number, number] = [LF, LF];

  /** @param isStream whether it is an event stream: then a blank line ends a message */
  constructor(maxDepth: number, isStream = false) {
    this.#maxDepth = maxDepth;
    this.#isStream = isStream;
  }

  /** How many lines end in the chunk. @throws UpstreamFailure that says what there is too much of */
  take(chunk: Uint8Array): number {
    let lines = 0;
    let [depth, values, isText, isEscaped] = [this.#depth, this.#values, this.#isText, this.#isEscaped];
    for (let at = 0; at < chunk.length; at += 1) {
      const kind = KINDS[chunk[at] ?? 0];
      if (kind === PLAIN) {
        isEscaped = false;
      } else if (kind === BREAK) {
        lines += 1;
        // No text of JSON goes beyond a line.
        isText = isEscaped = false;
        if (this.#isStream && this.#endsMessage(chunk, at)) depth = values = 0;
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
        if (values > MAX_VALUES || depth > this.#maxDepth) throw this.#excess(depth);
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

  #excess(depth: number): UpstreamFailure {
    const message =
      depth > this.#maxDepth
        ? `The server's answer is nested deeper than ${this.#maxDepth} levels (limits.maxDepth)`
        : `The server's answer has more than ${MAX_VALUES} values`;
    return new UpstreamFailure(message, { mayHaveRun: true });
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
