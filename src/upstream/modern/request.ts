import { createParser } from "eventsource-parser";
import type { AnswerRoom } from "../../limits/answers.ts";
import { isEventStream, routingHeaders } from "../../protocol/headers.ts";
import {
  isObject,
  isSameId,
  type JsonRpcNotification,
  type JsonRpcRequest,
  type JsonRpcResponse,
  type RequestId,
} from "../../protocol/jsonrpc.ts";
import { MODERN_VERSION } from "../../protocol/modern.ts";
import { messageText } from "../../protocol/raw-json.ts";
import { toFailure, UpstreamFailure, unanswered, unusableAnswer, wantsLogin } from "../failure.ts";
import { STREAM_GRACE_MS, type UpstreamFetch } from "../transports/fetch.ts";
import { readIncoming, readWhole, shown, UnusableAnswer } from "../transports/unusable-answer.ts";

export interface ModernRequestOptions {
  readonly url: URL;
  /** Names in lower case. Headers that mirror the body are added, and win. */
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: UpstreamFetch;
  /** Aborting it closes the stream, which cancels the request (Streamable HTTP §Cancellation). */
  readonly signal: AbortSignal;
  onNotification?(notification: JsonRpcNotification): void;
  /** Called when the server has not refused the request. */
  onAccepted?(): void;
  /** Where the answer finds room while it is read. Absent: it is not counted. */
  readonly room?: AnswerRoom | undefined;
}

/**
 * Sends one request of 2026-07-28 over Streamable HTTP, as a POST of its own, and returns the server's answer. A JSON-RPC error is an answer
 * whatever its HTTP status, unless the server wants a login.
 * @throws UpstreamFailure when there is no answer, or none can come any more
 */
export async function askModern(
  request: JsonRpcRequest,
  {
    url,
    headers,
    fetch,
    signal,
    room,
    onNotification = () => {},
    onAccepted = () => {},
  }: ModernRequestOptions,
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
    body: messageText(request),
    signal,
  };
  try {
    const expected = { answerTo: request.id, onAccepted, onOverflow: () => {}, room };
    const response = await fetch(url, init, expected);
    if (response.body !== null && isEventStream(response.headers.get("content-type") ?? undefined)) {
      return await readStream(response.body, request, onNotification);
    }
    return readAnswer(await readText(response), request);
  } catch (error) {
    const failure = toFailure(error);
    const { rpcError } = failure.facts;
    if (rpcError === undefined || wantsLogin(failure)) throw failure;
    return { jsonrpc: "2.0", id: request.id, error: rpcError };
  }
}

async function readText(response: Response): Promise<string> {
  if (response.ok) return response.text();
  const { status } = response;
  throw new UpstreamFailure(`The server answered HTTP ${status}`, { mayHaveRun: false, status });
}

/** Reads messages until the answer comes. Ignores what follows it, but reads to the end to keep the connection. */
async function readStream(
  body: ReadableStream<Uint8Array>,
  request: JsonRpcRequest,
  onNotification: (notification: JsonRpcNotification) => void,
): Promise<JsonRpcResponse> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let answer: JsonRpcResponse | undefined;
  let fault: string | undefined;
  const parser = createParser({
    onEvent: ({ event = "message", data }) => {
      for (const part of event === "message" ? readIncoming(data) : []) {
        if (answer !== undefined || fault !== undefined || part === undefined) return;
        if (part instanceof UnusableAnswer) fault = part.why;
        else if (!("method" in part)) [answer, fault] = answerIn(part, request.id);
        else if (isNotification(part)) onNotification(part);
      }
    },
  });
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw unanswered();
    parser.feed(decoder.decode(value, { stream: true }));
    if (answer === undefined && fault === undefined) continue;
    void readToEnd(reader);
    if (answer === undefined) throw unusableAnswer(fault ?? "");
    return answer;
  }
}

async function readToEnd(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  const patience = setTimeout(() => void reader.cancel().catch(() => {}), STREAM_GRACE_MS);
  try {
    while (!(await reader.read()).done);
  } catch {
    // The answer is here; how the stream ends does not matter.
  } finally {
    clearTimeout(patience);
  }
}

/** @throws UpstreamFailure when the text contains no answer to the request */
function readAnswer(text: string, { id }: JsonRpcRequest): JsonRpcResponse {
  let fault: string | undefined;
  for (const part of readWhole(text)) {
    if (part instanceof UnusableAnswer) fault ??= part.why;
    if (part instanceof UnusableAnswer || "method" in part) continue;
    const [answer, why] = answerIn(part, id);
    if (answer !== undefined) return answer;
    fault ??= why;
  }
  throw unusableAnswer(fault ?? "it has neither a result nor an error");
}

/** The answer under the id of the request, or why it is not one. */
function answerIn(
  answer: JsonRpcResponse,
  id: RequestId,
): readonly [JsonRpcResponse, undefined] | readonly [undefined, string] {
  if (!isSameId(answer.id, id)) return [undefined, `its id is ${shown(answer.id)}, expected ${shown(id)}`];
  return ["error" in answer ? { jsonrpc: "2.0", id, error: answer.error } : { ...answer, id }, undefined];
}

/** On a stream of this revision the server must not send requests (Streamable HTTP §Receiving Messages). */
function isNotification(message: JsonRpcRequest | JsonRpcNotification): message is JsonRpcNotification {
  return (
    !("id" in message && message.id !== undefined) &&
    (message.params === undefined || isObject(message.params))
  );
}
