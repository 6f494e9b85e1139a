import type { ServerResponse } from "node:http";
import { OwnSignal, type Signal } from "../lib/signal.ts";
import type { QuotaKey } from "../limits/counter.ts";
import type { CountedCall } from "../observers/calls/call-counts.ts";
import { type RpcError, rpc } from "../protocol/errors.ts";
import {
  type Accepts,
  BEGUN_JSON_HEADERS,
  EVENT_STREAM_HEADERS,
  KEEP_ALIVE,
  KEEP_ALIVE_JSON,
} from "../protocol/headers.ts";
import { type JsonRpcNotification, type JsonText, type RequestId, toJson } from "../protocol/jsonrpc.ts";
import { errorMessage, resultMessage } from "../protocol/modern.ts";
import { beatsBy } from "../requests/keep-alive.ts";
import type { Reply } from "../requests/request.ts";
import { endUnread } from "./unread.ts";
import type { Unsent } from "./unsent.ts";

export interface ReplyOptions {
  /** `null` when the request's id could not be read. */
  readonly id: RequestId | null;
  /** The content types that the client reads. */
  readonly accepts: Accepts;
  /** How long the connection may be quiet. */
  readonly keepAliveMs: number;
  /** Whether white space may come before the JSON for a client that reads no streams. Absent: no. */
  readonly keepsJsonAlive?: boolean;
  /** Room for large messages, shared by all replies. Absent: unlimited. */
  readonly unsent?: Unsent | undefined;
  /** The quota key of the client. */
  readonly quotaKey?: QuotaKey;
}

/** A client this far behind gets no more progress until it has caught up; answers are never dropped. */
const MAX_BEHIND_BYTES = 1_048_576;
/** Smaller messages take no room. */
const LARGE_CHARS = 65_536;
const NEEDS_NONE = () => {};
/** Made once: an error with its stack would be most of the cost of a signal. */
const HUNG_UP = new Error("the client hung up");

/**
 * The answer to one POST: plain JSON, or server-sent events once there is a message before the answer. Before JSON that takes long there may
 * be white space, and then the answer's status is 200, whatever it turns out to be.
 */
export class HttpReply implements Reply {
  counted: CountedCall | undefined;
  readonly #response: ServerResponse;
  readonly #options: ReplyOptions;
  #gone: OwnSignal | undefined;
  #keepAlive: NodeJS.Timeout | undefined;
  /** Gives back the room that the answer has already. */
  #reserved: (() => void) | undefined;
  #isStream = false;
  /** Whether the head and white space of an answer in JSON have been sent. */
  #isBegunJson = false;
  #isDone = false;

  constructor(response: ServerResponse, options: ReplyOptions) {
    this.#response = response;
    this.#options = options;
  }

  get readsStreams(): boolean {
    return this.#options.accepts.stream;
  }

  get gone(): Signal {
    if (this.#gone === undefined) {
      const gone = new OwnSignal();
      this.#gone = gone;
      const onClose = () => {
        const isAnswered = this.#isDone;
        this.#stop();
        if (!isAnswered) gone.abort(HUNG_UP);
      };
      if (this.#response.destroyed || this.#response.closed) onClose();
      else this.#response.once("close", onClose);
    }
    return this.#gone;
  }

  async room(chars: number): Promise<void> {
    const { unsent, quotaKey } = this.#options;
    if (chars <= LARGE_CHARS || unsent === undefined) return;
    this.#reserved = await unsent.wait(this.#response, chars, { quotaKey, gone: this.gone });
    if (this.#reserved === undefined) throw rpc.answersUnread();
  }

  result(result: JsonText, isInterim = false): void {
    if (isInterim) this.counted?.end("interim");
    this.#end(200, resultMessage(this.#options.id ?? "", result));
  }

  error(error: RpcError): void {
    this.#end(error.httpStatus, errorMessage(this.#options.id, error), sayable(error.headers));
  }

  notify(message: JsonRpcNotification | JsonText): boolean {
    if (this.#isDone || this.#response.writableLength > MAX_BEHIND_BYTES) return false;
    this.#stream();
    if (!this.#isStream || this.#response.destroyed) return this.#isStream;
    const text = typeof message === "string" ? message : toJson(message);
    const give = this.#roomFor(text);
    // A client that comes back gets the state of that moment.
    if (give === undefined) this.#response.destroy();
    else this.#event(text, give);
    return give !== undefined;
  }

  acknowledge(): void {
    this.#stop();
    this.#response.writeHead(202, { "Content-Length": 0 });
    this.#response.end();
  }

  drop(): void {
    this.counted?.end("abandoned");
    this.#stream();
    this.#stop();
    this.#response.end();
  }

  open(): void {
    if (!this.#options.accepts.stream) throw rpc.notAcceptable("text/event-stream");
    this.#stream();
    this.beat();
  }

  keepAlive(): void {
    const mayBeat = this.#options.accepts.stream || this.#mayBeginJson;
    if (this.#keepAlive !== undefined || this.#isDone || !mayBeat || this.gone.aborted) return;
    this.#keepAlive = setInterval(() => this.beat(), this.#options.keepAliveMs);
    beatsBy(this.#response, this);
  }

  /** Writes a comment, if the client reads streams and is not behind; a JSON answer becomes a stream for it. Otherwise white space. */
  beat(): void {
    if (this.#isDone || this.#response.destroyed) return;
    this.#stream();
    this.#beginJson();
    if (this.#response.writableLength > 0) return;
    if (this.#isStream) this.#response.write(KEEP_ALIVE);
    if (this.#isBegunJson) this.#response.write(KEEP_ALIVE_JSON);
  }

  drained(): Promise<void> | undefined {
    const response = this.#response;
    const isLeaving = response.writableEnded && !response.writableFinished;
    if (!(response.writableNeedDrain || isLeaving) || response.destroyed) return undefined;
    const events = ["drain", "finish", "close"];
    return new Promise((resolve) => {
      const done = () => {
        for (const event of events) response.off(event, done);
        resolve();
      };
      for (const event of events) response.once(event, done);
    });
  }

  /**
   * Makes the answer a stream from here on, if the client reads one. The first event or comment that has to follow takes the head along: a
   * proxy may wait for it.
   */
  #stream(): void {
    if (this.#isStream || this.#isDone || !this.#options.accepts.stream || this.#response.headersSent) return;
    this.#isStream = true;
    this.#response.writeHead(200, EVENT_STREAM_HEADERS);
    beatsBy(this.#response, this);
  }

  get #mayBeginJson(): boolean {
    const { accepts, keepsJsonAlive = false } = this.#options;
    return keepsJsonAlive && accepts.json && !accepts.stream;
  }

  /** Sends the head of the answer before there is one, if it is going to be JSON. The white space that has to follow goes with it. */
  #beginJson(): void {
    if (this.#response.headersSent || !this.#mayBeginJson) return;
    this.#isBegunJson = true;
    this.#response.writeHead(200, BEGUN_JSON_HEADERS);
  }

  #end(status: number, message: JsonText, headers: Readonly<Record<string, string>> = {}): void {
    if (this.#isDone) return;
    if (this.#roomFor(message) === undefined) return this.error(rpc.answersUnread());
    // An error needs its status, and a stream has none of its own: refusals are JSON.
    if (!this.#options.accepts.json && status === 200) this.#stream();
    this.#stop();
    if (this.#response.destroyed) return;
    if (this.#isStream) {
      this.#event(message);
      this.#response.end();
    } else if (this.#isBegunJson) {
      this.#response.end(message);
    } else if (this.#response.headersSent) {
      // Another answer has begun: all that can be done is that it does not look complete.
      this.#response.destroy();
    } else {
      const length = Buffer.byteLength(message);
      this.#response.writeHead(status, {
        "Content-Type": "application/json",
        "Content-Length": length,
        ...headers,
      });
      if (this.#response.req.complete) this.#response.end(message);
      else endUnread(this.#response, message);
    }
  }

  /** JSON here has no line breaks, so a message is one line of data. */
  #event(message: JsonText, onWritten?: () => void): void {
    this.#response.write(`event: message\ndata: ${message}\n\n`, onWritten);
  }

  /** Gives the function to call when the message has been sent; `undefined` when there is no room. Small messages need none. */
  #roomFor(message: JsonText): (() => void) | undefined {
    if (this.#reserved !== undefined) return this.#reserved;
    const { unsent, quotaKey } = this.#options;
    const isLarge = message.length > LARGE_CHARS && !this.#response.destroyed;
    return isLarge && unsent !== undefined
      ? unsent.take(this.#response, message.length, quotaKey)
      : NEEDS_NONE;
  }

  #stop(): void {
    this.#isDone = true;
    clearInterval(this.#keepAlive);
  }
}

/**
 * The headers that node:http takes (RFC 9110 §5.5). A challenge may repeat a client's text, and one that cannot be sent must not keep the
 * client from its answer.
 */
function sayable(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => IN_A_HEADER.test(value)));
}

const IN_A_HEADER = /^[\t\x20-\x7e\x80-\xff]*$/;
