import { createParser, type EventSourceMessage } from "eventsource-parser";
import { Agent, type Dispatcher } from "undici";
import { isJsonRpcError } from "../protocol/errors.ts";
import { isAnswerTo, isObject, type JsonRpcError, parseJson, type RequestId } from "../protocol/jsonrpc.ts";
import { toFailure, UpstreamFailure } from "./failure.ts";

/** Connections to servers, for sessions to share. */
export interface UpstreamAgents {
  /** The agent for a new session. */
  next(): Dispatcher;
  destroy(): Promise<void>;
}

/** An agent looks at all its connections to find one that is free: thousands of calls had better not share one. */
const AGENTS = 32;

/**
 * Connections without time-outs between bytes: undici's defaults would end every tool that is silent for 300 s; each call
 * has its own deadline instead.
 */
export function upstreamAgents(): UpstreamAgents {
  const options = { headersTimeout: 0, bodyTimeout: 0, connectTimeout: 10_000 };
  const agents = Array.from({ length: AGENTS }, () => new Agent(options));
  let turn = 0;
  return {
    next: () => {
      turn = (turn + 1) % AGENTS;
      return agents[turn] as Agent;
    },
    destroy: async () => {
      await Promise.all(agents.map((agent) => agent.destroy()));
    },
  };
}

export interface UpstreamFetchOptions {
  readonly dispatcher: Dispatcher;
  /** How long a JSON answer, or one event of a stream, may be. */
  readonly maxMessageBytes: number;
}

/** What the sender of a request knows of the answer, and wants to know of it. */
export interface Expected {
  readonly answerTo: RequestId;
  /** The server has taken the request, whenever it will answer. */
  onAccepted(): void;
  /** Hears of a stream that was given up because it carried too much: the transport only sees it break. */
  onOverflow(failure: UpstreamFailure): void;
}

export type UpstreamFetch = (url: string | URL, init?: RequestInit, expected?: Expected) => Promise<Response>;

/**
 * The `fetch` that the SDK's transports are given: bounded in memory, unbounded in time, and with refusals as
 * `UpstreamFailure`s that keep what the server said.
 */
export function upstreamFetch({ dispatcher, maxMessageBytes }: UpstreamFetchOptions): UpstreamFetch {
  return async (url, init, expected) => {
    const target = new URL(url);
    const response = await dispatcher
      .request({
        origin: target.origin,
        path: target.pathname + target.search,
        method: (init?.method ?? "GET") as Dispatcher.HttpMethod,
        // What comes compressed could grow without a limit.
        headers: { ...Object.fromEntries(new Headers(init?.headers)), "accept-encoding": "identity" },
        body: (init?.body ?? null) as string | null,
        signal: init?.signal ?? null,
      })
      .catch((error: unknown) => Promise.reject(toFailure(error)));
    const { statusCode: status, headers, body } = response;
    // Whoever destroys a body is told so by an error, and one that nobody listens to would end the process.
    body.on("error", () => {});
    if (headers["content-encoding"] !== undefined && headers["content-encoding"] !== "identity") {
      body.destroy();
      throw new UpstreamFailure("The server compressed an answer that was to be plain", { mayHaveRun: true });
    }
    // 405 is how a server says that it has no stream to listen to (2025-11-25, Transports §Listening for Messages).
    if (status >= 400 && !(status === 405 && init?.method === "GET")) {
      throw await refusal(response, maxMessageBytes);
    }
    expected?.onAccepted();
    const plain = flat(headers);
    if (NULL_BODY.has(status)) {
      body.destroy();
      return new Response(null, { status, headers: plain });
    }
    if (!isEventStream(headers["content-type"])) {
      const content = await text(body, new MessageLimit(maxMessageBytes, false));
      return lightResponse(status, plain, () => JSON.parse(content));
    }
    const chunks = body[Symbol.asyncIterator]();
    // A stream to listen to need not begin with anything; one that answers does.
    const first = init?.method === "POST" ? await chunks.next() : undefined;
    const answer = first?.value && expected && quickAnswer(first.value, expected);
    if (answer !== undefined) {
      void readToEnd(chunks, body);
      return lightResponse(status, { ...plain, "content-type": "application/json" }, () => answer);
    }
    const limit = new MessageLimit(maxMessageBytes, true);
    const take = (chunk: Buffer) => {
      try {
        limit.take(chunk);
      } catch (error) {
        body.destroy();
        expected?.onOverflow(toFailure(error));
        throw error;
      }
    };
    return new Response(bounded(first, chunks, body, take), { status, headers: plain });
  };
}

const NULL_BODY = new Set([204, 205, 304]);
/** As much of a refusal in words as is worth keeping; one in JSON may be an answer, with data that the client is to have. */
const MAX_REFUSAL_BYTES = 16_384;

async function refusal(
  { statusCode: status, headers, body }: Dispatcher.ResponseData,
  maxMessageBytes: number,
): Promise<UpstreamFailure> {
  const maxBytes = isJson(headers["content-type"]) ? maxMessageBytes : MAX_REFUSAL_BYTES;
  const said = await text(body, new MessageLimit(maxBytes, false)).catch(() => "");
  const rpcError = readRpcError(said);
  const wwwAuthenticate = flat(headers)["www-authenticate"];
  const detail =
    rpcError?.message ?? (isHtml(headers["content-type"]) ? "an HTML page" : said.slice(0, 200).trim());
  return new UpstreamFailure(`The server answered HTTP ${status}${detail === "" ? "" : `: ${detail}`}`, {
    // A 4xx says that the request was not acted upon; a 5xx says nothing.
    mayHaveRun: status >= 500,
    status,
    ...(rpcError === undefined ? {} : { rpcError }),
    ...(wwwAuthenticate === undefined ? {} : { wwwAuthenticate }),
  });
}

/** Counts what one message needs, and refuses when it is too much. */
class MessageLimit {
  readonly #maxBytes: number;
  readonly #isStream: boolean;
  #bytes = 0;

  constructor(maxBytes: number, isStream: boolean) {
    this.#maxBytes = maxBytes;
    this.#isStream = isStream;
  }

  take(chunk: Buffer): void {
    // A blank line ends an event; one that is cut in two by the network only makes the count stricter.
    const boundary = this.#isStream ? Math.max(chunk.lastIndexOf("\n\n"), chunk.lastIndexOf("\n\r\n")) : -1;
    this.#bytes = boundary === -1 ? this.#bytes + chunk.length : chunk.length - boundary;
    if (this.#bytes > this.#maxBytes) {
      throw new UpstreamFailure(`The server's answer is larger than ${this.#maxBytes} bytes`, {
        mayHaveRun: true,
      });
    }
  }
}

async function text(body: Dispatcher.ResponseData["body"], limit: MessageLimit): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) {
    limit.take(chunk);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/**
 * The answer of a stream whose first bytes are the answer and nothing else, as with most calls: then it need not become a
 * chain of web streams, which would be most of the cost of a quick call. `undefined`: this is for the transport to read.
 */
function quickAnswer(chunk: Buffer, { answerTo }: Expected): unknown {
  if (chunk.length > MAX_QUICK_BYTES || !chunk.subarray(-2).equals(BLANK_LINE)) return undefined;
  const events: EventSourceMessage[] = [];
  createParser({ onEvent: (event) => events.push(event) }).feed(chunk.toString("utf8"));
  const [event] = events;
  if (event === undefined || events.length > 1 || (event.event ?? "message") !== "message") return undefined;
  const message = parseJson(event.data);
  return isAnswerTo(message, answerTo) ? message : undefined;
}

/** Only the end is left to come. To read it keeps the connection; a server that does not come to it loses that. */
async function readToEnd(chunks: Chunks, body: Dispatcher.ResponseData["body"]): Promise<void> {
  const timer = setTimeout(() => body.destroy(), STREAM_GRACE_MS);
  try {
    while (!(await chunks.next()).done);
  } catch {
    // The answer is here: how the stream ends is of no interest.
  } finally {
    clearTimeout(timer);
  }
}

/** How long a server may take to close a stream on which it has answered. */
export const STREAM_GRACE_MS = 1_000;
const MAX_QUICK_BYTES = 65_536;
const BLANK_LINE = Buffer.from("\n\n");

/** As much of a `Response` as the transport looks at in a JSON answer. */
function lightResponse(status: number, headers: Record<string, string>, json: () => unknown): Response {
  const read = { json: async () => json(), text: async () => JSON.stringify(json()) };
  const ok = status >= 200 && status < 300;
  return { ok, status, statusText: "", headers: new Headers(headers), body: null, ...read } as Response;
}

type Chunks = AsyncIterator<Buffer, void>;

/** The body as a web stream that is read no faster than it is consumed. */
function bounded(
  first: IteratorResult<Buffer, void> | undefined,
  chunks: Chunks,
  body: Dispatcher.ResponseData["body"],
  take: (chunk: Buffer) => void,
): ReadableStream<Uint8Array> {
  let next = first;
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = next ?? (await chunks.next());
        next = undefined;
        if (done || value === undefined) return controller.close();
        take(value);
        controller.enqueue(value);
      },
      cancel: () => void body.destroy(),
    },
    { highWaterMark: 0 },
  );
}

function flat(headers: Dispatcher.ResponseData["headers"]): Record<string, string> {
  const entries = Object.entries(headers).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]));
}

function readRpcError(body: string): JsonRpcError | undefined {
  const parsed = parseJson(body);
  return isObject(parsed) && isJsonRpcError(parsed.error) ? parsed.error : undefined;
}

function isEventStream(contentType: unknown): boolean {
  return typeof contentType === "string" && contentType.toLowerCase().startsWith("text/event-stream");
}

function isJson(contentType: unknown): boolean {
  return typeof contentType === "string" && contentType.toLowerCase().startsWith("application/json");
}

function isHtml(contentType: unknown): boolean {
  return typeof contentType === "string" && contentType.toLowerCase().startsWith("text/html");
}
