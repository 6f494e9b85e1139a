import type { Writable } from "node:stream";
import { UpstreamFailure } from "../failure.ts";

/** How many bytes may wait for the process to read them, not counting the next message. */
const MAX_WAITING_BYTES = 1_048_576;

/** The standard input of a process that may read it late or never. */
export class ChildInput {
  readonly #stream: Writable;
  readonly #patienceMs: number;

  /** @param patienceMs how long the process may leave a message unread that does not fit into the pipe */
  constructor(stream: Writable, patienceMs: number) {
    this.#stream = stream;
    this.#patienceMs = patienceMs;
  }

  /**
   * Writes a line. Settles when it is in the pipe, which does not mean that the process has read it.
   * @throws UpstreamFailure when the process does not read, and the stream's own error when the pipe is broken
   */
  write(line: string): Promise<void> {
    const waiting = this.#stream.writableLength;
    if (waiting > MAX_WAITING_BYTES) {
      const message = `The server does not read what it is sent: ${waiting} bytes are waiting`;
      return Promise.reject(new UpstreamFailure(message, { mayHaveRun: false }));
    }
    return new Promise((resolve, reject) => {
      // The line cannot be taken back: if the process reads it later, it will act on it.
      const giveUp = () => {
        const message = `The server has not read what it was sent within ${this.#patienceMs} ms`;
        reject(new UpstreamFailure(message, { mayHaveRun: true }));
      };
      const timer = setTimeout(giveUp, this.#patienceMs);
      this.#stream.write(line, (error) => {
        clearTimeout(timer);
        if (error) reject(error);
        else resolve();
      });
    });
  }
}
