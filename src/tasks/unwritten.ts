/** Room for what has ended and could not be written down yet, in bytes, for all tasks of a process. */
export class Unwritten {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor({ maxBytes }: { readonly maxBytes: number }) {
    this.#maxBytes = maxBytes;
  }

  /** How much is kept now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes room for one outcome. Returns how to give it back, of which only the first time counts; `undefined`: there is not so much. */
  keep(bytes: number): (() => void) | undefined {
    if (this.#bytes + bytes > this.#maxBytes) return undefined;
    this.#bytes += bytes;
    let isKept = true;
    return () => {
      if (isKept) this.#bytes -= bytes;
      isKept = false;
    };
  }
}
