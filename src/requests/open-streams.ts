import { Listing } from "../lib/listing.ts";

/** An event stream that is open to a client. */
export interface OpenStream {
  /** When something was last written, in milliseconds of `performance.now()`. */
  readonly lastWritten: number;
  /** Writes a comment, if this is a good moment for one. */
  beat(): void;
  /** The gateway is about to stop: a stream that never ends by itself ends as soon as it is between two events. */
  stop?(): void;
}

/**
 * The open event streams of forwarded answers and paired sessions. Quiet ones get a comment before something on the way drops the
 * connection. One timer for all of them.
 */
export class OpenStreams {
  readonly keepsJsonAlive: boolean;
  readonly #keepAliveMs: number;
  readonly #streams = new Listing<OpenStream>();
  #timer: NodeJS.Timeout | undefined;
  #isStopping = false;

  /**
   * @param keepAliveMs how long a stream may be quiet
   * @param keepsJsonAlive whether answers in JSON may be among them, which begin with white space
   */
  constructor(keepAliveMs: number, keepsJsonAlive = false) {
    this.#keepAliveMs = keepAliveMs;
    this.keepsJsonAlive = keepsJsonAlive;
  }

  get size(): number {
    return this.#streams.size;
  }

  /** Returns the function to call when the stream has ended. */
  add(stream: OpenStream): () => void {
    const remove = this.#streams.add(stream);
    this.#timer ??= setInterval(() => this.#beat(), Math.ceil(this.#keepAliveMs / 3));
    if (this.#isStopping) setImmediate(() => stream.stop?.());
    return () => {
      remove();
      if (this.#streams.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }

  /** Ends the streams that never end by themselves, also those that are only just being opened. */
  stop(): void {
    this.#isStopping = true;
    for (const stream of this.#streams.members()) stream.stop?.();
  }

  #beat(): void {
    const quietSince = performance.now() - (this.#keepAliveMs * 2) / 3;
    for (const stream of this.#streams.members()) if (stream.lastWritten < quietSince) stream.beat();
  }
}
