import { setMaxListeners } from "node:events";
import { setImmediate } from "node:timers/promises";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import type { Dispatcher } from "undici";
import type { AnswerRoom } from "../../limits/answers.ts";
import { SMALL_BYTES } from "../../limits/bytes.ts";
import { isJsonRpcError } from "../../protocol/errors.ts";
import { EventSplitter } from "../../protocol/event-stream.ts";
import { isEventStream } from "../../protocol/headers.ts";
import { JsonLimits, MAX_DEPTH } from "../../protocol/json-limits.ts";
import {
  isAnswerTo,
  isObject,
  type JsonRpcError,
  parseJson,
  type RequestId,
} from "../../protocol/jsonrpc.ts";
import { toFailure, UpstreamFailure } from "../failure.ts";
import type { AnswersPast } from "./answers-past.ts";
import type { CookieJar } from "./cookies.ts";
import { masked, secretsIn } from "./masked.ts";
import { MAX_REDIRECTS, redirectTarget } from "./redirect.ts";

export interface UpstreamFetchOptions {
  readonly dispatcher: Dispatcher;
  /** The largest JSON answer, or event of a stream. */
  readonly maxMessageBytes: number;
  /** How deep an answer may be nested; 128 unless given. */
  readonly maxDepth?: number | undefined;
  /** The session's cookies. Absent: cookies that the server sets are dropped. */
  readonly cookies?: CookieJar | undefined;
}

/** What the sender of a request knows of the answer, and how it hears of it. */
export interface Expected {
  readonly answerTo: RequestId;
  /** Called when the server has accepted the request, however late it answers. */
  onAccepted(): void;
  /** Called when a stream is given up for exceeding a limit: the transport only sees that it breaks. */
  onOverflow(failure: UpstreamFailure): void;
  /** For the SDK's transports, which drop answers that do not fit their schemas: provides placeholders for them. */
  readonly answers?: AnswersPast;
  /** Where the answer finds room while it is read. Absent: it is not counted. */
  readonly room?: AnswerRoom | undefined;
}

export type UpstreamFetch = (url: string | URL, init?: RequestInit, expected?: Expected) => Promise<Response>;

/**
 * The `fetch` for the SDK's transports: bounded in memory, unbounded in time. It throws refusals as `UpstreamFailure`s with the server's
 * words.
 */
export function upstreamFetch({
  dispatcher,
  maxMessageBytes,
  maxDepth = MAX_DEPTH,
  cookies,
}: UpstreamFetchOptions): UpstreamFetch {
  return async (url, init, expected) => {
    // All requests of a session share one signal, and a server may ask so much at once that there are many of them.
    if (init?.signal) setMaxListeners(0, init.signal);
    const response = await ask(dispatcher, new URL(url), init, cookies).catch((error: unknown) =>
      Promise.reject(toFailure(error)),
    );
    const { statusCode: status, headers, body } = response;
    // Destroying a body emits an error on it, and an error without a listener would end the process.
    body.on("error", () => {});
    if (headers["content-encoding"] !== undefined && headers["content-encoding"] !== "identity") {
      body.destroy();
      throw new UpstreamFailure("The server compressed an answer that was to be plain", { mayHaveRun: true });
    }
    // With 405 the server says that it has no stream to listen to (2025-11-25, Transports §Listening for Messages).
    if (status >= 400 && !(status === 405 && init?.method === "GET")) {
      throw await refusal(response, { maxMessageBytes, maxDepth }, new Headers(init?.headers));
    }
    expected?.onAccepted();
    const plain = flat(headers);
    if (NULL_BODY.has(status)) {
      body.destroy();
      return new Response(null, { status, headers: plain });
    }
    if (!isEventStream(plain["content-type"])) {
      const content = await text(
        body,
        new MessageLimit({ maxMessageBytes, maxDepth }, false),
        expected?.room,
      );
      const { answers } = expected ?? {};
      return lightResponse(status, plain, content, () => answers?.whole(content) ?? JSON.parse(content));
    }
    const limit = new MessageLimit({ maxMessageBytes, maxDepth }, true);
    const gate = new Gate(limit, expected?.room);
    const take = (chunk: Buffer) => {
      try {
        return { bytes: chunk, lines: limit.take(chunk) };
      } catch (error) {
        body.destroy();
        expected?.onOverflow(toFailure(error));
        throw error;
      }
    };
    const chunks = body[Symbol.asyncIterator]();
    const read = async () => {
      const { done, value } = await chunks.next().catch((error: unknown) => {
        gate.end();
        throw error;
      });
      if (done || value === undefined) {
        gate.end();
        return undefined;
      }
      const piece = take(value);
      await gate.passed();
      return piece;
    };
    // A stream to listen to may stay silent; one that carries an answer does not.
    const first = init?.method === "POST" ? await read() : undefined;
    const answer = first && expected && quickAnswer(first.bytes, expected);
    if (answer !== undefined) {
      void readToEnd(chunks, body);
      const json = { ...plain, "content-type": "application/json" };
      return lightResponse(
        status,
        json,
        answer,
        () => expected?.answers?.whole(answer) ?? JSON.parse(answer),
      );
    }
    const pieces = handedOver(first, read);
    const events =
      expected?.answers === undefined ? pieces : replaced(pieces, expected.answers, maxMessageBytes);
    return new Response(bounded(events, body), { status, headers: plain });
  };
}

/**
 * Sends a request, and sends it again where the server redirects it without having taken it (`redirectTarget`), to another path on the same
 * origin only. Returns any other redirect to the caller.
 */
async function ask(
  dispatcher: Dispatcher,
  first: URL,
  init: RequestInit | undefined,
  cookies: CookieJar | undefined,
): Promise<Dispatcher.ResponseData> {
  // A compressed answer could grow without a limit.
  const sent = { ...Object.fromEntries(new Headers(init?.headers)), "accept-encoding": "identity" };
  let target = first;
  for (let redirects = 0; ; redirects += 1) {
    const response = await dispatcher.request({
      origin: target.origin,
      path: target.pathname + target.search,
      method: (init?.method ?? "GET") as Dispatcher.HttpMethod,
      headers: cookies?.addTo(sent, target) ?? sent,
      body: (init?.body ?? null) as string | null,
      signal: init?.signal ?? null,
      highWaterMark: MAX_BEHIND_BYTES,
    });
    const { statusCode, headers, body } = response;
    cookies?.take(target, [headers["set-cookie"] ?? []].flat());
    const next = redirectTarget(statusCode, headers.location, target);
    if (next?.origin !== target.origin || redirects === MAX_REDIRECTS) return response;
    body.on("error", () => {}).destroy();
    target = next;
  }
}

/** A reader that is a few turns behind should not slow the server down; one that does not read at all should. */
const MAX_BEHIND_BYTES = 1_048_576;
const NULL_BODY = new Set([204, 205, 304]);
/** How much to keep of a refusal in words; one in JSON may be an answer, with data for the client. */
const MAX_REFUSAL_BYTES = 16_384;

async function refusal(
  { statusCode: status, headers, body }: Dispatcher.ResponseData,
  limits: MessageLimits,
  sent: Headers,
): Promise<UpstreamFailure> {
  const maxMessageBytes = isJson(headers["content-type"]) ? limits.maxMessageBytes : MAX_REFUSAL_BYTES;
  const whole = await text(body, new MessageLimit({ ...limits, maxMessageBytes }, false)).catch(() => "");
  // Servers repeat what they dislike about a request, and others than its sender may read the refusal.
  const said = masked(whole, secretsIn(sent));
  const rpcError = readRpcError(said);
  const wwwAuthenticate = flat(headers)["www-authenticate"];
  const detail =
    rpcError?.message ?? (isHtml(headers["content-type"]) ? "an HTML page" : said.slice(0, 200).trim());
  return new UpstreamFailure(`The server answered HTTP ${status}${detail === "" ? "" : `: ${detail}`}`, {
    // With a 4xx the server did not act on the request; a 5xx says nothing about that.
    mayHaveRun: status >= 500,
    status,
    ...(rpcError === undefined ? {} : { rpcError }),
    ...(wwwAuthenticate === undefined ? {} : { wwwAuthenticate }),
  });
}

interface MessageLimits {
  readonly maxMessageBytes: number;
  readonly maxDepth: number;
}

/** Counts the bytes and the depth of one message, and throws when either exceeds its limit. */
class MessageLimit {
  readonly #maxBytes: number;
  readonly #isStream: boolean;
  readonly #jsonLimits: JsonLimits;
  #bytes = 0;

  constructor({ maxMessageBytes, maxDepth }: MessageLimits, isStream: boolean) {
    this.#maxBytes = maxMessageBytes;
    this.#isStream = isStream;
    this.#jsonLimits = new JsonLimits(maxDepth, isStream ? "events" : "lines");
  }

  /** How long the message is so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Returns how many lines end in the chunk. @throws UpstreamFailure */
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
      return this.#jsonLimits.take(chunk);
    } catch (error) {
      throw toFailure(error);
    }
  }
}

/** Reads on only where there is room for what has come. */
class Gate {
  readonly #limit: MessageLimit;
  readonly #room: AnswerRoom | undefined;
  /** How much of the message has found room. */
  #bytes = 0;

  constructor(limit: MessageLimit, room: AnswerRoom | undefined) {
    this.#limit = limit;
    this.#room = room;
  }

  /** Settles when there is room for the message as far as it has come; what is small needs none. */
  async passed(): Promise<void> {
    const { bytes } = this.#limit;
    if (this.#room === undefined || bytes <= SMALL_BYTES) return;
    // Another message has begun, so that the one before was not the answer.
    if (bytes < this.#bytes) this.#room.restart();
    const more = bytes < this.#bytes ? bytes : bytes - this.#bytes;
    this.#bytes = bytes;
    await this.#room.arrive(more);
  }

  end(): void {
    if (this.#bytes > 0) this.#room?.arrived();
  }
}

async function text(
  body: Dispatcher.ResponseData["body"],
  limit: MessageLimit,
  room?: AnswerRoom,
): Promise<string> {
  const gate = new Gate(limit, room);
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of body) {
      limit.take(chunk);
      await gate.passed();
      chunks.push(chunk);
    }
  } finally {
    gate.end();
  }
  return Buffer.concat(chunks).toString("utf8");
}

/**
 * The answer of a stream whose first bytes are the whole answer and nothing else, as with most calls: a chain of web streams for it would be
 * most of the cost of a quick call. `undefined`: the transport has to read the stream.
 */
function quickAnswer(chunk: Buffer, { answerTo }: Expected): string | undefined {
  if (chunk.length > MAX_QUICK_BYTES || !chunk.subarray(-2).equals(BLANK_LINE)) return undefined;
  const events: EventSourceMessage[] = [];
  createParser({ onEvent: (event) => events.push(event) }).feed(chunk.toString("utf8"));
  const [event] = events;
  if (event === undefined || events.length > 1 || (event.event ?? "message") !== "message") return undefined;
  return isAnswerTo(parseJson(event.data), answerTo) ? event.data : undefined;
}

/** Reads the rest of a stream after its answer, which keeps the connection; a server that does not end the stream in time loses it. */
async function readToEnd(chunks: Chunks, body: Dispatcher.ResponseData["body"]): Promise<void> {
  const timer = setTimeout(() => body.destroy(), STREAM_GRACE_MS);
  try {
    while (!(await chunks.next()).done);
  } catch {
    // The answer is here; how the stream ends does not matter.
  } finally {
    clearTimeout(timer);
  }
}

/** How long a server may take to close a stream after its answer. */
export const STREAM_GRACE_MS = 1_000;
const MAX_QUICK_BYTES = 65_536;
const BLANK_LINE = Buffer.from("\n\n");

/** The part of a `Response` that the transport reads of a JSON answer. */
function lightResponse(
  status: number,
  headers: Record<string, string>,
  text: string,
  json: () => unknown,
): Response {
  const read = { json: async () => json(), text: async () => text };
  const ok = status >= 200 && status < 300;
  return { ok, status, statusText: "", headers: new Headers(headers), body: null, ...read } as Response;
}

type Chunks = AsyncIterator<Buffer, void>;

interface Piece {
  readonly bytes: Buffer;
  /** How many lines end in `bytes`. */
  readonly lines: number;
}

type Read = () => Promise<Piece | undefined>;

/** The body as a web stream, read no faster than its consumer reads. */
function bounded(
  slices: AsyncGenerator<Buffer, void>,
  body: Dispatcher.ResponseData["body"],
): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await slices.next();
        if (done) return controller.close();
        controller.enqueue(value);
      },
      cancel: () => void body.destroy(),
    },
    { highWaterMark: 0 },
  );
}

/**
 * The chunks as they came, except that a chunk of many short lines is cut into slices: parsing such lines takes a thousand times as long as
 * receiving them, and other work gets its turn in between.
 */
async function* handedOver(first: Piece | undefined, read: Read): AsyncGenerator<Buffer, void> {
  for (let piece = first ?? (await read()); piece !== undefined; piece = await read()) {
    const { bytes, lines } = piece;
    const sliceBytes = lines <= MAX_LINES ? bytes.length : Math.ceil((bytes.length * MAX_LINES) / lines);
    for (let at = 0; at < bytes.length; at += sliceBytes) {
      if (at > 0) await setImmediate();
      yield bytes.subarray(at, at + sliceBytes);
    }
  }
}

/** The same slices, regrouped into whole events, with placeholders for the answers in them. */
async function* replaced(
  slices: AsyncGenerator<Buffer, void>,
  answers: AnswersPast,
  maxEventBytes: number,
): AsyncGenerator<Buffer, void> {
  const splitter = new EventSplitter(maxEventBytes);
  for await (const slice of slices) {
    const events = splitter.push(slice);
    if (events.length > 0) yield Buffer.concat(events.map((event) => answers.event(event)));
  }
  const rest = splitter.rest();
  if (rest.length > 0) yield rest;
}

/** How many lines are parsed at a stretch. */
const MAX_LINES = 128;

function flat(headers: Dispatcher.ResponseData["headers"]): Record<string, string> {
  const entries = Object.entries(headers).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]));
}

function readRpcError(body: string): JsonRpcError | undefined {
  const parsed = parseJson(body);
  return isObject(parsed) && isJsonRpcError(parsed.error) ? parsed.error : undefined;
}

function isJson(contentType: unknown): boolean {
  return typeof contentType === "string" && contentType.toLowerCase().startsWith("application/json");
}

function isHtml(contentType: unknown): boolean {
  return typeof contentType === "string" && contentType.toLowerCase().startsWith("text/html");
}
