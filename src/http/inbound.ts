import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import type { HeldBytes } from "../limits/bytes.ts";
import { rpc } from "../protocol/errors.ts";
import { MAX_BATCH } from "../protocol/legacy.ts";
import { MAX_PARSED_VALUES, readJson } from "../protocol/raw-json.ts";

/** A body, read and parsed. */
export interface Body {
  readonly bytes: Buffer;
  /** Bulky values in it are `RawJson`. `undefined`: the body is no JSON, and `fault` says why. */
  readonly json: unknown;
  readonly fault?: string;
}

/** The memory that one of the smallest values takes besides its text: an empty object, a member with its name. */
const VALUE_BYTES = 96;

/**
 * Parses a body.
 * @param maxDepth how deep objects and arrays may be nested; absent for a body that need not be JSON, and is not parsed
 * @throws 400 when it is nested too deep, or too large to be parsed
 */
export function readBody(bytes: Buffer, held: HeldBytes, maxDepth?: number): Body {
  if (maxDepth === undefined) return { bytes, json: undefined };
  if (!isUtf8(bytes)) return { bytes, json: undefined, fault: "the body is not UTF-8" };
  const read = readJson(bytes, maxDepth, MAX_BATCH);
  switch (read.kind) {
    case "json":
      held.add(read.values * VALUE_BYTES);
      return { bytes, json: read.value };
    case "invalid":
      return { bytes, json: undefined, fault: "the body is not JSON" };
    case "tooDeep":
      throw rpc.tooDeep(maxDepth);
    case "tooManyValues":
      throw rpc.tooManyValues(MAX_PARSED_VALUES);
    case "tooManyElements":
      throw rpc.batchTooLong(MAX_BATCH);
  }
}

/**
 * A buffer costs a hundred bytes and more, whatever it holds, and a client may send one byte in each chunk: so many chunks are joined
 * to one.
 */
const MAX_LOOSE = 1_024;

/** Reads a body of any kind in one step or in two: a beginning, and the rest once the gateway knows the caller. */
export class BodyReader {
  readonly #request: IncomingMessage;
  readonly #maxBytes: number;
  readonly #held: HeldBytes;
  readonly #chunks: Buffer[] = [];
  /** How many chunks follow the last block. */
  #loose = 0;
  #bytes = 0;
  /** At how many bytes it stops for now. */
  #pauseAt = 0;
  #isEnded = false;
  #fault: Error | undefined;
  #settle: (() => void) | undefined;

  /** @param held counts the bytes that arrive */
  constructor(request: IncomingMessage, maxBytes: number, held: HeldBytes) {
    this.#request = request;
    this.#maxBytes = maxBytes;
    this.#held = held;
  }

  /**
   * The whole body, unless it is longer than `maxBytes`: then `undefined`, and the rest is not read.
   * @throws 400 when it breaks off, 413 when it is too large, 429 or 503 when there is no room for it
   */
  async upTo(maxBytes: number): Promise<Buffer | undefined> {
    const length = Number(this.#request.headers["content-length"] ?? 0);
    if (length > this.#maxBytes) throw rpc.bodyTooLarge(this.#maxBytes);
    if (length > maxBytes) return undefined;
    return this.#read(maxBytes);
  }

  /** The whole body. @throws as `upTo` does */
  async all(): Promise<Buffer> {
    const length = Number(this.#request.headers["content-length"] ?? 0);
    if (length > this.#maxBytes) throw rpc.bodyTooLarge(this.#maxBytes);
    // Refuse before the client sends a body that has no room.
    this.#held.expect(Math.max(0, length - this.#bytes));
    return (await this.#read(this.#maxBytes)) ?? Promise.reject(rpc.bodyTooLarge(this.#maxBytes));
  }

  async #read(maxBytes: number): Promise<Buffer | undefined> {
    const isFirst = this.#pauseAt === 0;
    this.#pauseAt = maxBytes;
    if (this.#bytes <= maxBytes && !this.#isEnded && this.#fault === undefined) {
      const over = new Promise<void>((resolve) => {
        this.#settle = resolve;
      });
      if (isFirst) this.#listen();
      else this.#request.resume();
      await over;
    }
    if (this.#fault !== undefined) throw this.#fault;
    if (!this.#isEnded) return undefined;
    const [first] = this.#chunks;
    return this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks);
  }

  #listen(): void {
    const request = this.#request;
    // The body would never arrive, and the client would wait for ever.
    if (request.readableEnded)
      return this.#fail(new Error("the body has been read: no body parser may come before the gateway"));
    request.on("data", (chunk: Buffer) => this.#take(chunk));
    request.once("end", () => {
      this.#isEnded = true;
      this.#over();
    });
    const onBroken = () => this.#fail(rpc.parseError("the body is incomplete"));
    request.once("error", onBroken);
    request.once("close", () => request.complete || onBroken());
    // The client may have left before the gateway began to read.
    if (request.destroyed) onBroken();
  }

  #take(chunk: Buffer): void {
    try {
      this.#held.grow(chunk.length);
    } catch (error) {
      return this.#fail(error as Error);
    }
    if (this.#bytes === 0) this.#arrive();
    this.#bytes += chunk.length;
    this.#chunks.push(chunk);
    this.#loose += 1;
    if (this.#loose === MAX_LOOSE) {
      this.#loose = 0;
      this.#chunks.push(Buffer.concat(this.#chunks.splice(-MAX_LOOSE)));
    }
    if (this.#bytes > this.#maxBytes) this.#fail(rpc.bodyTooLarge(this.#maxBytes));
    else if (this.#bytes > this.#pauseAt) this.#over();
  }

  /** Until the body is complete, it may be given up for others that are. */
  #arrive(): void {
    const arrived = this.#held.arriving((refusal) => this.#fail(refusal));
    this.#request.once("end", arrived).once("close", arrived);
  }

  /** Stops reading the body, and drops what has arrived, which is of no use. */
  #fail(fault: Error): void {
    if (this.#isEnded) return;
    this.#fault ??= fault;
    this.#request.removeAllListeners("data");
    this.#chunks.length = 0;
    this.#over();
  }

  #over(): void {
    if (!this.#isEnded) this.#request.pause();
    this.#settle?.();
  }
}
