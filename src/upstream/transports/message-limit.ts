import type { AnswerRoom } from "../../limits/answers.ts";
import { SMALL_BYTES } from "../../limits/bytes.ts";
import { JsonLimits, MAX_DEPTH } from "../../protocol/json-limits.ts";
import { toFailure, UpstreamFailure } from "../failure.ts";

export interface MessageLimits {
  /** The largest JSON answer, or event of a stream. */
  readonly maxMessageBytes: number;
  /** How deep a message may be nested; 128 unless given. */
  readonly maxDepth?: number | undefined;
}

/** Bounds the bytes, the depth and the memory of the message that is arriving: a JSON answer, or one event after the other. */
export class MessageLimit {
  readonly #maxBytes: number;
  readonly #isStream: boolean;
  readonly #room: AnswerRoom | undefined;
  readonly #json: JsonLimits;
  /** How long the message is so far, and how much of it has found room. */
  #bytes = 0;
  #housedBytes = 0;

  constructor(
    { maxMessageBytes, maxDepth = MAX_DEPTH }: MessageLimits,
    isStream: boolean,
    room?: AnswerRoom,
  ) {
    this.#maxBytes = maxMessageBytes;
    this.#isStream = isStream;
    this.#room = room;
    this.#json = new JsonLimits(maxDepth, isStream ? "events" : "lines");
  }

  /** Returns how many lines end in the chunk. @throws UpstreamFailure when the message exceeds a limit */
  take(chunk: Buffer): number {
    // A blank line ends an event; missing one that the network cut in two only makes the count stricter.
    const boundary = this.#isStream ? Math.max(chunk.lastIndexOf("\n\n"), chunk.lastIndexOf("\n\r\n")) : -1;
    this.#bytes = boundary === -1 ? this.#bytes + chunk.length : chunk.length - boundary;
    if (this.#bytes > this.#maxBytes) {
      throw new UpstreamFailure(`The server's answer is larger than ${this.#maxBytes} bytes`, {
        mayHaveRun: true,
      });
    }
    try {
      return this.#json.take(chunk);
    } catch (error) {
      throw toFailure(error);
    }
  }

  /** Resolves when there is room for the message as far as it has come. Absent: there is; what is small needs none. */
  room(): Promise<void> | undefined {
    const bytes = this.#bytes;
    if (this.#room === undefined || bytes <= SMALL_BYTES) return undefined;
    // Another message has begun, so that the one before was not the answer.
    if (bytes < this.#housedBytes) this.#room.restart();
    const more = bytes < this.#housedBytes ? bytes : bytes - this.#housedBytes;
    this.#housedBytes = bytes;
    return this.#room.arrive(more);
  }

  /** Call this when nothing more will be read. */
  end(): void {
    if (this.#housedBytes > 0) this.#room?.arrived();
    this.#housedBytes = 0;
  }
}
