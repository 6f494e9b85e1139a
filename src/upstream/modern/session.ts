import { setTimeout as sleep } from "node:timers/promises";
import { onAbort } from "../../lib/signal.ts";
import {
  isObject,
  isSameId,
  type JsonObject,
  type JsonRpcNotification,
  type JsonRpcResponse,
  type RequestId,
} from "../../protocol/jsonrpc.ts";
import { toFailure, UpstreamFailure } from "../failure.ts";
import { nextRequestId } from "../request-ids.ts";
import {
  type CallSession,
  hasProgress,
  type RequestAnswer,
  type RequestListener,
  type SessionHolder,
  type UpstreamRequest,
} from "../sessions/session.ts";
import type { ModernAsking } from "./request.ts";

/** Sends one request and waits for its answer. @throws UpstreamFailure */
export type SendModern = (
  method: string,
  params: JsonObject,
  listener: Omit<ModernAsking, "method" | "params"> & { onAccepted(): void },
) => Promise<JsonRpcResponse>;

/** A server that asks again and again is given up, and so is one that asks more at once than anybody would answer. */
const MAX_ROUNDS = 1_000;
const MAX_QUESTIONS = 100;
/** Every round carries the state back, and a client would have to send it as well. */
const MAX_STATE_LENGTH = 1_048_576;
/** How long to wait before the next round when the server asked nothing: at first, and at most. */
const RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;

/**
 * What a call uses in place of a session where the server has none. It turns the server's questions in a result into requests of the server,
 * and their answers into another round of the same request (2026-07-28, MRTR §Basic Workflow).
 */
export class ModernSession implements CallSession {
  readonly #send: SendModern;
  readonly #holder: SessionHolder;
  readonly #open = new Set<AbortController>();
  readonly #questions = new Map<RequestId, (answer: RequestAnswer) => void>();

  constructor(options: {
    readonly send: SendModern;
    readonly holder: SessionHolder;
  }) {
    this.#send = options.send;
    this.#holder = options.holder;
  }

  request(method: string, params: JsonObject = {}, listener: RequestListener = {}): UpstreamRequest {
    return this.#begin((signal) => this.#converse(method, params, listener, signal));
  }

  goOn(
    method: string,
    params: JsonObject,
    { names, ...state }: Parameters<NonNullable<CallSession["goOn"]>>[2],
    listener: RequestListener,
  ): UpstreamRequest {
    return this.#begin(async (signal) => {
      const inputResponses = await this.#collect(
        names.map((name) => ({ key: name, what: name, answer: this.#answerTo(name, signal) })),
      );
      await listener.beforeRound?.();
      signal.throwIfAborted();
      return this.#converse(
        method,
        { ...withoutAnswers(params), inputResponses, ...state },
        listener,
        signal,
      );
    });
  }

  async respond(id: RequestId, answer: RequestAnswer): Promise<void> {
    this.#questions.get(id)?.(answer);
  }

  /** 2026-07-28 has no notification that a server would act on. */
  notify(): void {}

  /** Everything that belongs to a request arrives on its own stream. */
  hear(): boolean {
    return false;
  }

  /** Every request names its log level itself. */
  async setLogLevel(): Promise<void> {}

  /** Aborts the requests that are still open. */
  close(): void {
    for (const stopped of this.#open) stopped.abort(cancelled("the session was closed"));
  }

  #begin(converse: (signal: AbortSignal) => Promise<JsonRpcResponse>): UpstreamRequest {
    const stopped = new AbortController();
    this.#open.add(stopped);
    const response = converse(stopped.signal)
      .catch((error: unknown) => Promise.reject(toFailure(error)))
      .finally(() => this.#open.delete(stopped));
    return { id: nextRequestId(), response, cancel: (reason) => stopped.abort(cancelled(reason)) };
  }

  async #converse(
    method: string,
    params: JsonObject,
    listener: RequestListener,
    signal: AbortSignal,
  ): Promise<JsonRpcResponse> {
    const request = withoutAnswers(params);
    let round = params;
    let retryMs = RETRY_MS;
    for (let count = 0; count < MAX_ROUNDS; count += 1) {
      const response = await this.#ask(method, round, listener, signal);
      // A server that was not told of the Tasks extension must not answer with a task (Tasks §Capability Negotiation).
      if ("result" in response && response.result.resultType === "task") throw untold();
      if ("error" in response || response.result.resultType !== "input_required") return response;
      const { inputRequests, requestState } = response.result;
      if (requestState !== undefined && !isState(requestState))
        throw unusable(`its requestState is no text of ${MAX_STATE_LENGTH} characters at most`);
      const state = requestState === undefined ? {} : { requestState };
      const questions = readQuestions(inputRequests);
      if (questions.length > 0) {
        const asking = questions.map((question) => this.#askHolder(question, signal));
        const answering = this.#collect(asking);
        listener.onPause?.({ ...state, names: new Map(asking.map(({ id, key }) => [id, key])) });
        const inputResponses = await answering;
        await listener.beforeRound?.();
        signal.throwIfAborted();
        round = { ...request, inputResponses, ...state };
      } else if (requestState === undefined) {
        throw unusable("it neither asked anything nor gave a requestState");
      } else {
        await sleep(retryMs, undefined, { signal });
        retryMs = Math.min(2 * retryMs, MAX_RETRY_MS);
        round = { ...request, ...state };
      }
    }
    throw unusable(`it did so ${MAX_ROUNDS} times`);
  }

  /** Sends one round: a request of its own, with its own id and progress token. */
  #ask(
    method: string,
    params: JsonObject,
    { headers, room, onProgress = () => {}, onAccepted = () => {} }: RequestListener,
    signal: AbortSignal,
  ): Promise<JsonRpcResponse> {
    const id = nextRequestId();
    const meta = { progressToken: id, ...(isObject(params._meta) ? params._meta : {}) };
    const onNotification = (notification: JsonRpcNotification) => {
      if (notification.method !== "notifications/progress") return this.#holder.onNotification(notification);
      const { progressToken, ...progress } = notification.params ?? {};
      if (isSameId(progressToken, meta.progressToken) && hasProgress(progress)) onProgress(progress);
    };
    return this.#send(
      method,
      { ...params, _meta: meta },
      { headers, id, signal, onNotification, onAccepted, room },
    );
  }

  /** Passes a question to the holder. */
  #askHolder({ key, request }: Question, signal: AbortSignal): Asked & { readonly id: RequestId } {
    const id = nextRequestId();
    const answer = this.#answerTo(id, signal);
    if (!signal.aborted) this.#holder.onRequest({ ...request, jsonrpc: "2.0", id }, this, key);
    return { id, key, what: request.method, answer };
  }

  /** The holder's answer to the question with that id. */
  #answerTo(id: RequestId, signal: AbortSignal): Promise<RequestAnswer> {
    return new Promise<RequestAnswer>((resolve, reject) => {
      const stopListening = onAbort(signal, () => reject(signal.reason));
      this.#questions.set(id, (answer) => {
        stopListening();
        resolve(answer);
      });
    }).finally(() => this.#questions.delete(id));
  }

  /** Resolves when all questions are answered. */
  async #collect(asked: readonly Asked[]): Promise<JsonObject> {
    const answers: (readonly [string, unknown])[] = [];
    await Promise.all(
      asked.map(async ({ key, what, answer }) => {
        const given = await answer;
        if ("error" in given) {
          const message = `The server asked for ${what}, which was answered with an error: ${given.error.message}`;
          throw new UpstreamFailure(message, { mayHaveRun: true });
        }
        answers.push([key, given.result]);
      }),
    );
    return Object.fromEntries(answers);
  }
}

/** A question that the holder has. */
interface Asked {
  /** The server's own name for the question. */
  readonly key: string;
  /** For a person. */
  readonly what: string;
  readonly answer: Promise<RequestAnswer>;
}

interface Question {
  /** The server's own name for the question. */
  readonly key: string;
  readonly request: JsonObject & { readonly method: string; readonly params?: JsonObject };
}

/** The params that all rounds of a request share. */
function withoutAnswers({
  inputResponses: _responses,
  requestState: _state,
  ...request
}: JsonObject): JsonObject {
  return request;
}

/** @throws UpstreamFailure */
function readQuestions(inputRequests: unknown): Question[] {
  if (inputRequests === undefined) return [];
  if (!isObject(inputRequests)) throw unusable("inputRequests is no object");
  const entries = Object.entries(inputRequests);
  if (entries.length > MAX_QUESTIONS)
    throw unusable(`it asked ${entries.length} things at once, ${MAX_QUESTIONS} at most can be`);
  return entries.map(([key, request]) => {
    if (!isObject(request) || typeof request.method !== "string")
      throw unusable(`inputRequests[${JSON.stringify(key)}] is no request`);
    const { params, ...asked } = request as Question["request"];
    return { key, request: isObject(params) ? { ...asked, params } : asked };
  });
}

function isState(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_STATE_LENGTH;
}

function untold(): UpstreamFailure {
  const message =
    "The server answered with a task of its own, though it was not told that the client knows any";
  return new UpstreamFailure(message, { mayHaveRun: true });
}

function unusable(why: string): UpstreamFailure {
  return new UpstreamFailure(`The server wants input before it goes on, but ${why}`, { mayHaveRun: true });
}

function cancelled(reason: string): UpstreamFailure {
  return new UpstreamFailure(`The request was cancelled: ${reason}`, { mayHaveRun: true });
}
