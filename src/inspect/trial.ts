import { isObject, type JsonObject, type JsonRpcRequest, type JsonRpcResponse } from "../protocol/jsonrpc.ts";
import type { RequestAnswer } from "../upstreams/session.ts";
import type { CallEnd, CallFacts, Question } from "./facts.ts";
import { wordsOf } from "./unfit.ts";

/** More questions and longer texts than that say nothing more. */
const MAX_QUESTIONS = 20;
const MAX_TEXT_CHARS = 200;

/** One call that is watched from the moment it is sent. */
export class Trial {
  readonly tool: string;
  readonly args: JsonObject;
  /** Those that mirror arguments, for a server of 2026-07-28. */
  readonly headers: Readonly<Record<string, string>>;
  /** How long the call may take. */
  readonly timeoutMs: number;
  readonly #questions: Question[] = [];
  #sentAt = performance.now();
  #acceptedMs: number | undefined;
  #firstWordMs: number | undefined;
  #progress: CallFacts["progress"] = { count: 0 };
  #ended: Pick<CallFacts, "end" | "endedMs"> | undefined;

  constructor({ tool, args, headers, timeoutMs }: Pick<Trial, "tool" | "args" | "headers" | "timeoutMs">) {
    this.tool = tool;
    this.args = args;
    this.headers = headers;
    this.timeoutMs = timeoutMs;
  }

  /** What `tools/call` is asked with. */
  get params(): JsonObject {
    return { name: this.tool, arguments: this.args };
  }

  /** The call is on its way: its clock starts. */
  sent(): void {
    this.#sentAt = performance.now();
  }

  accepted(): void {
    this.#acceptedMs ??= this.#now();
  }

  progressed(params: JsonObject): void {
    this.heard();
    const last = typeof params.message === "string" ? params.message : undefined;
    this.#progress = {
      count: this.#progress.count + 1,
      ...(last === undefined ? {} : { last: shortened(last) }),
    };
  }

  heard(): void {
    this.#firstWordMs ??= this.#now();
  }

  /** Takes note of a question, and says how it is turned down. */
  asked({ method, params }: Pick<JsonRpcRequest, "method" | "params">): RequestAnswer {
    this.heard();
    const { said, answer } = refusalOf(method);
    this.#note(method, params ?? {}, said);
    return answer;
  }

  answered(response: JsonRpcResponse): void {
    this.heard();
    if ("error" in response) return this.ended(errorEnd(response.error));
    const { resultType, inputRequests } = response.result;
    if (resultType === "input_required") this.#left(inputRequests);
    this.ended(resultEnd(response.result));
  }

  /** Questions that come as a result (2026-07-28, Multi Round-Trip Requests) are left as they are. */
  #left(inputRequests: unknown): void {
    for (const request of isObject(inputRequests) ? Object.values(inputRequests) : []) {
      if (!isObject(request) || typeof request.method !== "string") continue;
      this.#note(request.method, isObject(request.params) ? request.params : {}, "left unanswered");
    }
  }

  failed(error: unknown): void {
    this.ended({ kind: "failed", message: wordsOf(error) });
  }

  /** The first end counts. */
  ended(end: CallEnd): void {
    this.#ended ??= { end, endedMs: this.#now() };
  }

  get facts(): CallFacts {
    if (this.#ended === undefined) throw new Error("the call has not ended");
    return {
      tool: this.tool,
      ...(this.#acceptedMs === undefined ? {} : { acceptedMs: this.#acceptedMs }),
      ...(this.#firstWordMs === undefined ? {} : { firstWordMs: this.#firstWordMs }),
      progress: this.#progress,
      questions: this.#questions,
      ...this.#ended,
    };
  }

  #note(method: string, { message }: JsonObject, answer: string): void {
    if (this.#questions.length === MAX_QUESTIONS) return;
    const said = typeof message === "string" ? { message: shortened(message) } : {};
    this.#questions.push({ method, ...said, answer, afterMs: this.#now() });
  }

  #now(): number {
    return Math.round(performance.now() - this.#sentAt);
  }
}

/** Nobody sits here to be asked: each kind of question is turned down in its own way. */
export function refusalOf(method: string): { readonly said: string; readonly answer: RequestAnswer } {
  switch (method) {
    case "elicitation/create":
      return { said: "declined", answer: { result: { action: "decline" } } };
    case "sampling/createMessage":
      return { said: "rejected", answer: { error: { code: -1, message: "User rejected sampling request" } } };
    case "roots/list":
      return { said: "told that there are none", answer: { result: { roots: [] } } };
    default:
      return { said: "not understood", answer: { error: { code: -32601, message: "Method not found" } } };
  }
}

function errorEnd({ code, message }: { readonly code: number; readonly message: string }): CallEnd {
  return { kind: "error", code, message: shortened(message) };
}

function resultEnd(result: JsonObject): CallEnd {
  if (result.resultType === "task") return { kind: "task" };
  if (result.resultType === "input_required") return { kind: "asks" };
  const [first] = Array.isArray(result.content) ? result.content : [];
  const text = isObject(first) && typeof first.text === "string" ? first.text : undefined;
  return {
    kind: "result",
    bytes: Buffer.byteLength(JSON.stringify(result)),
    isError: result.isError === true,
    ...(text === undefined ? {} : { text: shortened(text) }),
  };
}

function shortened(text: string): string {
  return text.length > MAX_TEXT_CHARS ? `${text.slice(0, MAX_TEXT_CHARS)}…` : text;
}
