/** A line without its break. */
export interface Line {
  readonly bytes: Buffer;
  /** Whether the line is too long; then `bytes` is its beginning. */
  readonly isCut: boolean;
}

const LF = 0x0a;

/**
 * Cuts bytes into lines, in time linear to their number however they are chunked: each chunk is searched once, and joined with others once.
 * Holds no more than `maxLineBytes` and the last chunk.
 */
export class LineSplitter {
  readonly #maxLineBytes: number;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #isSkipping = false;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** Returns the lines that are complete now. A line that is too long comes as soon as it is, and its remainder never. */
  push(chunk: Buffer): readonly Line[] {
    const lines: Line[] = [];
    let start = 0;
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, start)) {
      const part = chunk.subarray(start, end);
      const isWhole = this.#heldBytes === 0 && !this.#isSkipping && part.length <= this.#maxLineBytes;
      if (isWhole) lines.push({ bytes: part, isCut: false });
      else lines.push(...this.#take(part), ...this.#complete());
      start = end + 1;
    }
    lines.push(...this.#take(chunk.subarray(start)));
    return lines;
  }

  /** Returns the last line, if its line break never came. */
  rest(): readonly Line[] {
    return this.#heldBytes === 0 ? [] : this.#complete();
  }

  /** Holds a part of a line; returns the beginning of the line once it is too long. */
  #take(part: Buffer): readonly Line[] {
    if (this.#isSkipping || part.length === 0) return [];
    this.#held.push(part);
    this.#heldBytes += part.length;
    if (this.#heldBytes <= this.#maxLineBytes) return [];
    this.#isSkipping = true;
    return [{ bytes: this.#release().subarray(0, this.#maxLineBytes), isCut: true }];
  }

  #complete(): readonly Line[] {
    const isGiven = this.#isSkipping;
    this.#isSkipping = false;
    return isGiven ? [] : [{ bytes: this.#release(), isCut: false }];
  }

  #release(): Buffer {
    const [first] = this.#held;
    const bytes = first !== undefined && this.#held.length === 1 ? first : Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    return bytes;
  }
}
