import type { ServerResponse } from "node:http";
import { isJsonRpcError, type RpcError, rpc } from "../../protocol/errors.ts";
import { toEvent } from "../../protocol/event-stream.ts";
import { EVENT_STREAM_HEADERS, isEventStream, KEEP_ALIVE } from "../../protocol/headers.ts";
import { JsonLimits } from "../../protocol/json-limits.ts";
import { isObject, type JsonText, parseJson, type RequestId } from "../../protocol/jsonrpc.ts";
import { errorMessage } from "../../protocol/modern.ts";
import { beatsBy } from "../../requests/keep-alive.ts";
import type { OpenStream, OpenStreams } from "../../requests/open-streams.ts";
import { toFailure } from "../../upstream/failure.ts";
import type { AnswerHead, Filter } from "../reverse-proxy.ts";
import { EventFilter } from "./event-filter.ts";

export interface LongAnswerOptions {
  readonly response: ServerResponse;
  readonly id: RequestId;
  /** Whether the client reads event streams. */
  readonly acceptsStream: boolean;
  readonly streams: OpenStreams;
  readonly maxBytes: number;
}

/**
 * The answer to a call of any length, for a client that waits. An answer that comes in time passes as it comes. While the server sends
 * nothing, the client gets an event stream with comments, so that nothing on the way drops the connection; the server's answer is then
 * the last event.
 */
export class LongAnswer implements OpenStream {
  readonly #options: LongAnswerOptions;
  readonly #leave: () => void;
  #isStream = false;
  #events: EventFilter | undefined;
  lastWritten = performance.now();

  constructor(options: LongAnswerOptions) {
    this.#options = options;
    this.#leave = options.acceptsStream ? options.streams.add(this) : () => {};
    if (options.acceptsStream) beatsBy(options.response, this);
  }

  /** Takes the head of the server's answer. Gives the filter for its body; `undefined`: the body passes as it comes. */
  receive(head: AnswerHead): Filter | undefined {
    const { response, streams, acceptsStream } = this.#options;
    // An answer with a length is complete: nothing can be inserted.
    const hasRoom = this.#isStream || head.headers["content-length"] === undefined;
    if (acceptsStream && hasRoom && isEvents(head) && encodingOf(head) === "identity") {
      this.#leave();
      this.#events = new EventFilter(response, streams);
      return this.#events;
    }
    if (this.#isStream) return this.#collect(head);
    this.#leave();
    return undefined;
  }

  /** Sends the error as an event, if the client already has a stream. Returns whether it did. */
  fail(error: RpcError): boolean {
    if (this.#isStream) this.#options.response.end(toEvent(errorMessage(this.#options.id, error)));
    return this.#isStream;
  }

  beat(): void {
    this.#write(KEEP_ALIVE);
  }

  /** Sends a message of the gateway's before the answer, if the client reads it and the moment is good. */
  say(message: JsonText): void {
    if (this.#events !== undefined) this.#events.send(message);
    else if (this.#options.acceptsStream) this.#write(toEvent(message));
  }

  /** To be called when the exchange is over, however it ended. */
  close(): void {
    this.#leave();
    this.#events?.close();
  }

  /** Makes the answer a stream, unless it has begun as something else. */
  #write(text: string): void {
    const { response } = this.#options;
    if (response.destroyed || response.writableEnded || response.writableLength > 0) return;
    if (!this.#isStream) {
      if (response.headersSent) return;
      this.#isStream = true;
      response.writeHead(200, EVENT_STREAM_HEADERS);
    }
    this.lastWritten = performance.now();
    response.write(text);
  }

  /** Makes an answer that is no stream the last event of ours. */
  #collect(head: AnswerHead): Filter {
    const { id, maxBytes } = this.#options;
    const chunks: Buffer[] = [];
    let bytes = 0;
    return {
      take: (chunk) => {
        bytes += chunk.length;
        if (bytes <= maxBytes) chunks.push(chunk);
        else chunks.length = 0;
        return NOTHING;
      },
      finish: () => {
        if (bytes > maxBytes) return toBytes(errorMessage(id, rpc.resultTooLarge(bytes, maxBytes)));
        const encoding = encodingOf(head);
        if (encoding !== "identity")
          return toBytes(
            errorMessage(id, rpc.badGateway(`The server compressed (${encoding}) what was to be plain`)),
          );
        const body = Buffer.concat(chunks);
        const excess = excessOf(body);
        if (excess !== undefined) return toBytes(errorMessage(id, rpc.badGateway(excess)));
        return toBytes(toAnswer(body.toString("utf8"), id, head.status));
      },
      cutOff: () => toBytes(errorMessage(id, rpc.badGateway("The server broke off its answer"))),
    };
  }
}

const NOTHING = Buffer.alloc(0);

function toBytes(message: JsonText): Buffer {
  return Buffer.from(toEvent(message));
}

/** The server's answer as it is, if it answers the request; otherwise an error that says what the server did. */
function toAnswer(body: string, id: RequestId, status: number): JsonText {
  const message = parseJson(body);
  if (isObject(message) && message.id === id && (message.result ?? message.error) !== undefined) {
    return body as JsonText;
  }
  const said = isObject(message) && isJsonRpcError(message.error) ? message.error : undefined;
  return errorMessage(id, said ?? rpc.internal(`The server answered HTTP ${status}`));
}

/** What the body has too much of to be parsed. Its depth does not matter: the gateway reads it, and does not write it again. */
function excessOf(body: Buffer): string | undefined {
  try {
    new JsonLimits(Number.POSITIVE_INFINITY).take(body);
    return undefined;
  } catch (error) {
    return toFailure(error).message;
  }
}

function isEvents({ status, headers }: AnswerHead): boolean {
  return status === 200 && isEventStream(headers["content-type"]);
}

function encodingOf({ headers }: AnswerHead): string {
  return headers["content-encoding"]?.trim().toLowerCase() ?? "identity";
}
