/** Calls `onSilent` when the other side has sent nothing for `ms`. `listen` starts the time, and every `heard` restarts it. */
export class Silence {
  readonly #ms: number;
  readonly #onSilent: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(ms: number, onSilent: () => void) {
    this.#ms = ms;
    this.#onSilent = onSilent;
  }

  /** Starts waiting, unless already waiting. */
  listen(): void {
    this.#timer ??= setTimeout(this.#onSilent, this.#ms);
  }

  /** Restarts the time, if waiting. */
  heard(): void {
    this.#timer?.refresh();
  }

  /** Stops waiting; `listen` may start it again. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
