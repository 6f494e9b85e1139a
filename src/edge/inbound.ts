import { isUtf8 } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { rpc } from "../protocol/errors.ts";
import { isDeeperThan } from "../protocol/json-depth.ts";
import type { Accepts } from "./outbound.ts";

/** A body, and what it says. */
export interface Body {
  readonly bytes: Buffer;
  /** The same as text; `undefined`: it is no UTF-8. */
  readonly text: string | undefined;
  /** `undefined`: it is no JSON, and `fault` says why. */
  readonly json: unknown;
  readonly fault?: string;
}

export interface BodyLimits {
  readonly maxBodyBytes: number;
  /** How deep its objects and arrays may be nested; absent for a body that need not be JSON, and is not looked into. */
  readonly maxDepth?: number;
}

/**
 * Reads a body, whatever it is.
 * @throws 413, and 400 for one that is nested too deep
 */
export async function readBody(
  request: IncomingMessage,
  { maxBodyBytes, maxDepth }: BodyLimits,
): Promise<Body> {
  const bytes = await readBytes(request, maxBodyBytes);
  if (maxDepth !== undefined && isDeeperThan(bytes, maxDepth)) throw rpc.tooDeep(maxDepth);
  if (!isUtf8(bytes)) return { bytes, text: undefined, json: undefined, fault: "the body is not UTF-8" };
  const text = bytes.toString("utf8");
  try {
    return { bytes, text, json: JSON.parse(text) };
  } catch {
    return { bytes, text, json: undefined, fault: "the body is not JSON" };
  }
}

/** @throws 415 */
export function checkContentType({ headers }: IncomingMessage): void {
  const contentType = headers["content-type"] ?? "";
  if (!/^application\/json\s*(?:;|$)/i.test(contentType)) throw rpc.unsupportedMediaType(contentType);
}

const JSON_RANGE = /(?:^|,)\s*(?:application\/(?:json|\*)|\*\/\*)\s*(?:;|,|$)/i;
const STREAM_RANGE = /(?:^|,)\s*(?:text\/(?:event-stream|\*)|\*\/\*)\s*(?:;|,|$)/i;

/** What the client can read; all of it when it does not say. */
export function readAccept(accept: string | undefined): Accepts {
  if (accept === undefined) return { json: true, stream: true };
  return { json: JSON_RANGE.test(accept), stream: STREAM_RANGE.test(accept) };
}

/** @throws HTTP 406 when the client can read nothing that we have */
export function checkAcceptable(accept: string | undefined): void {
  const { json, stream } = readAccept(accept);
  if (!json && !stream) throw rpc.notAcceptable("application/json or text/event-stream");
}

/**
 * A buffer costs a hundred bytes and more, whatever it holds, and a client may send one byte in each chunk: after so many they
 * are put together.
 */
const MAX_LOOSE = 1_024;

function readBytes(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  if (Number(request.headers["content-length"]) > maxBytes) return Promise.reject(rpc.bodyTooLarge(maxBytes));
  // Nothing of it would ever come, and the client would wait for ever.
  if (request.readableEnded)
    return Promise.reject(new Error("the body has been read: no body parser may come before the gateway"));
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    /** How many chunks there are behind the last block. */
    let loose = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= maxBytes) {
        chunks.push(chunk);
        loose += 1;
        if (loose < MAX_LOOSE) return;
        loose = 0;
        chunks.push(Buffer.concat(chunks.splice(-MAX_LOOSE)));
      } else {
        // What is still to come is not worth reading.
        request.removeAllListeners("data").pause();
        reject(rpc.bodyTooLarge(maxBytes));
      }
    });
    request.once("end", () =>
      resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)),
    );
    const onBroken = () => reject(rpc.parseError("the body is incomplete"));
    request.once("error", onBroken);
    request.once("close", () => request.complete || onBroken());
    // The client may have left before anybody looked.
    if (request.destroyed) onBroken();
  });
}
