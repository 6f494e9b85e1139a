import { createParser } from "eventsource-parser";
import { isJsonRpcError } from "../protocol/errors.ts";
import { isEventStream, routingHeaders } from "../protocol/headers.ts";
import {
  isAnswerTo,
  isObject,
  type JsonObject,
  type JsonRpcNotification,
  type JsonRpcRequest,
  type JsonRpcResponse,
  parseJson,
} from "../protocol/jsonrpc.ts";
import { MODERN_VERSION } from "../protocol/modern.ts";
import { toFailure, UpstreamFailure, unanswered, wantsLogin } from "./failure.ts";
import { STREAM_GRACE_MS, type UpstreamFetch } from "./fetch.ts";

export interface ModernRequestOptions {
  readonly url: URL;
  /** Names in lower case. Those that mirror the body are added, and win. */
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: UpstreamFetch;
  /** Closes the stream when it is aborted, which is how a request is cancelled (Streamable HTTP §Cancellation). */
  readonly signal: AbortSignal;
  onNotification?(notification: JsonRpcNotification): void;
  /** The server has not refused the request. */
  onAccepted?(): void;
}

/**
 * Sends one request of 2026-07-28 over Streamable HTTP: a POST of its own, and all that the server says to it. A JSON-RPC error
 * is an answer whatever its HTTP status, unless the server wants a login.
 * @throws UpstreamFailure when there is no answer, or none can come any more
 */
export async function askModern(
  request: JsonRpcRequest,
  { url, headers, fetch, signal, onNotification = () => {}, onAccepted = () => {} }: ModernRequestOptions,
): Promise<JsonRpcResponse> {
  const init = {
    method: "POST",
    headers: {
      ...headers,
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": MODERN_VERSION,
      ...routingHeaders(request.method, request.params),
    },
    body: JSON.stringify(request),
    signal,
  };
  try {
    const expected = { answerTo: request.id, onAccepted, onOverflow: () => {} };
    const response = await fetch(url, init, expected);
    if (response.body !== null && isEventStream(response.headers.get("content-type") ?? undefined)) {
      return await readStream(response.body, request, onNotification);
    }
    return readAnswer(await readJson(response), request);
  } catch (error) {
    const failure = toFailure(error);
    const { rpcError } = failure.facts;
    if (rpcError === undefined || wantsLogin(failure)) throw failure;
    return { jsonrpc: "2.0", id: request.id, error: rpcError };
  }
}

async function readJson(response: Response): Promise<unknown> {
  if (response.ok) return response.json();
  const { status } = response;
  throw new UpstreamFailure(`The server answered HTTP ${status}`, { mayHaveRun: false, status });
}

/** Reads messages until the answer is among them; what comes behind it is of no interest, but its end keeps the connection. */
async function readStream(
  body: ReadableStream<Uint8Array>,
  request: JsonRpcRequest,
  onNotification: (notification: JsonRpcNotification) => void,
): Promise<JsonRpcResponse> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let answer: JsonObject | undefined;
  const parser = createParser({
    onEvent: ({ event = "message", data }) => {
      const message = event === "message" ? parseJson(data) : undefined;
      if (answer !== undefined || !isObject(message)) return;
      if (isAnswerTo(message, request.id)) answer = message;
      else if (isNotification(message)) onNotification(message);
    },
  });
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw unanswered();
    parser.feed(decoder.decode(value, { stream: true }));
    if (answer === undefined) continue;
    void readToEnd(reader);
    return readAnswer(answer, request);
  }
}

async function readToEnd(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  const patience = setTimeout(() => void reader.cancel().catch(() => {}), STREAM_GRACE_MS);
  try {
    while (!(await reader.read()).done);
  } catch {
    // The answer is here: how the stream ends is of no interest.
  } finally {
    clearTimeout(patience);
  }
}

/** @throws UpstreamFailure when the message is no answer to the request */
function readAnswer(message: unknown, { id }: JsonRpcRequest): JsonRpcResponse {
  if (isAnswerTo(message, id)) {
    if (isObject(message.result)) return { jsonrpc: "2.0", id, result: message.result };
    if (isJsonRpcError(message.error)) return { jsonrpc: "2.0", id, error: message.error };
  }
  const cause = new SyntaxError("neither a result nor an error");
  throw new UpstreamFailure("The server's answer is not a JSON-RPC message", { mayHaveRun: true, cause });
}

/** The server must not ask anything on a stream any more (Streamable HTTP §Receiving Messages). */
function isNotification(message: JsonObject): message is JsonObject & JsonRpcNotification {
  return (
    typeof message.method === "string" &&
    message.id === undefined &&
    (message.params === undefined || isObject(message.params))
  );
}
