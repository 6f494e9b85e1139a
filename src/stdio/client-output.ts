import type { Writable } from "node:stream";
import type { JsonText } from "../protocol/jsonrpc.ts";

/** While a client leaves more than this unread, the gateway does not read from it either, so that no further answers pile up. */
const MAX_UNREAD_BYTES = 64 * 1_048_576;

/** The stream that one client reads: lines, each of them one message (2026-07-28, stdio). */
export class ClientOutput {
  /** Settles when the client no longer reads, so that nothing more can be written. */
  readonly broken: Promise<void>;
  readonly #stream: Writable;

  constructor(stream: Writable) {
    this.#stream = stream;
    this.broken = new Promise((resolve) => {
      // `on`, not `once`: every later write fails again.
      stream.on("error", () => resolve()).once("close", resolve);
    });
  }

  get isClogged(): boolean {
    return this.#stream.writableLength > MAX_UNREAD_BYTES;
  }

  /** Writes a message, which the client reads when it likes. Calls `onTaken` when the message is in the pipe, or never can be. */
  write(message: JsonText, onTaken?: () => void): void {
    this.#stream.write(`${onOneLine(message)}\n`, onTaken);
  }

  /** Resolves when a slow client has caught up. */
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

  /** Resolves when everything written is in the pipe, or never can be. */
  flushed(): Promise<void> {
    return new Promise((resolve) => {
      this.#stream.write("", () => resolve());
    });
  }
}

/** How many characters of one sender may wait for the pipe; beyond that, its messages are dropped. */
const MAX_BEHIND_CHARS = 1_048_576;

export interface TellerOptions {
  /** 1 MiB unless given. */
  readonly maxBehindChars?: number;
  /** Called when the client has read everything, if messages were dropped meanwhile. */
  readonly onCaughtUp?: () => void;
}

/** Writes messages that a client may miss. All tellers share one stream, so each is limited by what it has written itself. */
export class Teller {
  readonly #output: ClientOutput;
  readonly #options: TellerOptions;
  #behind = 0;
  #hasMissed = false;

  constructor(output: ClientOutput, options: TellerOptions = {}) {
    this.#output = output;
    this.#options = options;
  }

  /** Returns whether the message was sent, or will be. */
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

/** A line break between JSON tokens is space like any other, and within a token there is none. */
function onOneLine(message: JsonText): string {
  return /[\r\n]/.test(message) ? message.replace(/[\r\n]+/g, " ") : message;
}
