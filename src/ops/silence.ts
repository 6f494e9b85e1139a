/** Acts when nothing has been heard for some time. It begins with `listen`, and every `heard` begins it anew. */
export class Silence {
  readonly #ms: number;
  readonly #onSilent: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(ms: number, onSilent: () => void) {
    this.#ms = ms;
    this.#onSilent = onSilent;
  }

  /** To be called when something is waited for, unless that is so already. */
  listen(): void {
    this.#timer ??= setTimeout(this.#onSilent, this.#ms);
  }

  /** Something was heard, if anything is waited for. */
  heard(): void {
    this.#timer?.refresh();
  }

  /** Nothing is waited for any more, or for now. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
