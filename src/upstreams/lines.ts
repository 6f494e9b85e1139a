/** A line without its break. */
export interface Line {
  readonly bytes: Buffer;
  /** It is longer than a line may be, and this is its beginning. */
  readonly isCut: boolean;
}

const LF = 0x0a;

/**
 * Cuts bytes into lines, in time linear to their number whatever pieces they come in: a piece is searched once, and put
 * together with others once. Holds no more than `maxLineBytes` and the piece it was given last.
 */
export class LineSplitter {
  readonly #maxLineBytes: number;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #isSkipping = false;

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes;
  }

  /** The lines that are complete now. One that is too long comes as soon as it is, and its remainder not at all. */
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

  /** The last line, if it never came to its break. */
  rest(): readonly Line[] {
    return this.#heldBytes === 0 ? [] : this.#complete();
  }

  /** Holds a part of a line, and gives what is too long of it. */
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
