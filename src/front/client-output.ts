import type { Writable } from "node:stream";
import type { JsonText } from "../protocol/jsonrpc.ts";

/** A client that leaves more than this unread is not listened to either, so that it gets no further answers to read. */
const MAX_UNREAD_BYTES = 64 * 1_048_576;

/** Where one client reads: a stream of lines, each of them one message (2026-07-28, stdio). */
export class ClientOutput {
  /** Settles when nothing more can be written, because nobody reads any longer. */
  readonly broken: Promise<void>;
  readonly #stream: Writable;

  constructor(stream: Writable) {
    this.#stream = stream;
    this.broken = new Promise((resolve) => {
      // For as long as the stream lives: every later write fails again.
      stream.on("error", () => resolve()).once("close", resolve);
    });
  }

  get isClogged(): boolean {
    return this.#stream.writableLength > MAX_UNREAD_BYTES;
  }

  /** Writes a message, which the client reads in its own time. `onTaken` is called when it is in the pipe, or never can be. */
  write(message: JsonText, onTaken?: () => void): void {
    this.#stream.write(`${onOneLine(message)}\n`, onTaken);
  }

  /** Resolves when a client that reads slowly has caught up. */
  drained(): Promise<void> {
    const stream = this.#stream;
    if (!stream.writableNeedDrain || stream.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        stream.off("drain", done).off("close", done);
        resolve();
      };
      stream.once("drain", done).once("close", done);
    });
  }

  /** Resolves when all of it is in the pipe, or never can be. */
  flushed(): Promise<void> {
    return new Promise((resolve) => {
      this.#stream.write("", () => resolve());
    });
  }
}

/** What one sender may have written that is not in the pipe yet; then it gets rid of no more. */
const MAX_BEHIND_CHARS = 1_048_576;

export interface TellerOptions {
  /** 1 MiB unless given. */
  readonly maxBehindChars?: number;
  /** Called when the client has read all that was written, if something could not be told meanwhile. */
  readonly onCaughtUp?: () => void;
}

/** One of those who write what a client may miss: each is measured by what it has written itself, as all share one stream. */
export class Teller {
  readonly #output: ClientOutput;
  readonly #options: TellerOptions;
  #behind = 0;
  #hasMissed = false;

  constructor(output: ClientOutput, options: TellerOptions = {}) {
    this.#output = output;
    this.#options = options;
  }

  /** Says whether it was sent, or will be. */
  tell(message: JsonText): boolean {
    const { maxBehindChars = MAX_BEHIND_CHARS } = this.#options;
    this.#hasMissed ||= this.#behind > maxBehindChars;
    if (this.#behind > maxBehindChars) return false;
    this.#behind += message.length;
    this.#output.write(message, () => this.#taken(message.length));
    return true;
  }

  #taken(chars: number): void {
    this.#behind -= chars;
    if (!this.#hasMissed || this.#behind > 0) return;
    this.#hasMissed = false;
    this.#options.onCaughtUp?.();
  }
}

/** Between the parts of a JSON text a line break is space like any other, and within them there is none. */
function onOneLine(message: JsonText): string {
  return /[\r\n]/.test(message) ? message.replace(/[\r\n]+/g, " ") : message;
}
