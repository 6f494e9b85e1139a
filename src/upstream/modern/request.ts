import type { EventSourceMessage } from "eventsource-parser";
import { onAbort } from "../../lib/signal.ts";
import type { AnswerRoom } from "../../limits/answers.ts";
import { routingHeaders } from "../../protocol/headers.ts";
import {
  isObject,
  isSameId,
  type JsonObject,
  type JsonRpcNotification,
  type JsonRpcRequest,
  type JsonRpcResponse,
  type RequestId,
} from "../../protocol/jsonrpc.ts";
import { MODERN_VERSION } from "../../protocol/modern.ts";
import { messageText } from "../../protocol/raw-json.ts";
import { toFailure, type UpstreamFailure, unanswered, unusableAnswer, wantsLogin } from "../failure.ts";
import type { CookieJar } from "../transports/cookies.ts";
import { EVENT_STREAM, type HttpOptions, JSON_TYPE, UpstreamExchange } from "../transports/exchange.ts";
import { readIncoming, readWhole, shown, UnusableAnswer } from "../transports/unusable-answer.ts";

/** One request of a client's that the server shall answer. */
export interface ModernAsking {
  readonly id: RequestId;
  readonly method: string;
  readonly params: JsonObject;
  /** Headers of the client's request that are passed on, unless the gateway computes them itself. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The cookies of the call that the request belongs to. Absent: cookies that the server sets are dropped. */
  readonly cookies?: CookieJar;
  /** Aborting it closes the stream, which cancels the request. */
  readonly signal: AbortSignal;
  /** Where the answer finds room while it is read. Absent: it is not counted. */
  readonly room?: AnswerRoom | undefined;
  onNotification(notification: JsonRpcNotification): void;
  onAccepted?(): void;
}

export interface ModernRequestOptions {
  readonly url: URL;
  /** Names in lower case. Headers that mirror the body are added, and win. */
  readonly headers: Readonly<Record<string, string>>;
  readonly http: HttpOptions;
  /** Aborting it closes the stream, which cancels the request (Streamable HTTP §Cancellation). */
  readonly signal: AbortSignal;
  onNotification?(notification: JsonRpcNotification): void;
  /** Called when the server has not refused the request. */
  onAccepted?(): void;
  /** Where the answer finds room while it is read. Absent: it is not counted. */
  readonly room?: AnswerRoom | undefined;
  /** Whether the JSON-RPC error in a refusal is an answer: unless given, if the server wants no login. */
  isAnswer?(refusal: UpstreamFailure): boolean;
}

/**
 * Sends one request of 2026-07-28 over Streamable HTTP, as a POST of its own, and returns the server's answer. A JSON-RPC error is an answer
 * whatever its HTTP status, unless `isAnswer` says that it is none.
 * @throws UpstreamFailure when there is no answer, or none can come any more
 */
export async function askModern(
  request: JsonRpcRequest,
  options: ModernRequestOptions,
): Promise<JsonRpcResponse> {
  const { signal, isAnswer = (refusal) => !wantsLogin(refusal) } = options;
  if (signal.aborted) throw toFailure(signal.reason);
  let stopListening = () => {};
  try {
    return await new Promise((resolve, reject) => {
      const exchange = send(request, options, resolve, reject);
      stopListening = onAbort(signal, () => exchange.close(toFailure(signal.reason)));
    });
  } catch (error) {
    const failure = toFailure(error);
    const { rpcError } = failure.facts;
    if (rpcError === undefined || !isAnswer(failure)) throw failure;
    return { jsonrpc: "2.0", id: request.id, error: rpcError };
  } finally {
    stopListening();
  }
}

/** Calls `answer` or `fail` once, as soon as it is known which; reads the answer to its end to keep the connection. */
function send(
  request: JsonRpcRequest,
  { url, headers, http, room, onNotification = () => {}, onAccepted = () => {} }: ModernRequestOptions,
  answer: (response: JsonRpcResponse) => void,
  fail: (error: unknown) => void,
): UpstreamExchange {
  const onEvent = ({ event = "message", data }: EventSourceMessage) => {
    if (event !== "message") return;
    for (const part of readIncoming(data)) {
      if (part === undefined) continue;
      if (part instanceof UnusableAnswer) fail(unusableAnswer(part.why));
      else if (!("method" in part)) {
        const [response, why] = answerIn(part, request.id);
        if (response === undefined) fail(unusableAnswer(why));
        else answer(response);
      } else {
        if (isNotification(part)) onNotification(part);
        continue;
      }
      return exchange.leave();
    }
  };
  const exchange = UpstreamExchange.send(
    {
      method: "POST",
      url,
      headers: {
        ...headers,
        "content-type": JSON_TYPE,
        accept: `${JSON_TYPE}, ${EVENT_STREAM}`,
        "mcp-protocol-version": MODERN_VERSION,
        ...routingHeaders(request.method, request.params),
      },
      body: messageText(request),
    },
    http,
    { room, onHead: onAccepted, onEvent },
  );
  exchange.ended
    .then(({ type, text }) => {
      if (type === EVENT_STREAM) throw unanswered();
      answer(readAnswer(text, request));
    })
    .catch(fail);
  return exchange;
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
