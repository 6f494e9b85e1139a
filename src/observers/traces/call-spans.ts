import { type Attributes, type Context, type Span, SpanKind, type Tracer } from "@opentelemetry/api";
import type { Call } from "../../calls/call.ts";
import type { CallEnd, CallListener } from "../../calls/call-end.ts";
import { fail, TOOL_ERROR, toldOf } from "./words.ts";

export interface CallSpansOptions {
  readonly tracer: Tracer;
  readonly server: string;
  readonly call: Call;
  /** The span of the call, and the context of its own spans. */
  readonly span: Span;
  readonly context: Context;
  /** The span of the request that made the call; it may be over. Absent: no request did. */
  readonly request: Span | undefined;
}

/** The spans of one call: its own until it has ended, how long it waited to be sent, and each question of its server. */
export class CallSpans implements CallListener {
  readonly #options: CallSpansOptions;
  #queue: Span | undefined;
  /** By key; absent until the first question. */
  #questions: Map<string, Span> | undefined;

  constructor(options: CallSpansOptions) {
    this.#options = options;
    const { call, tracer, context, server } = options;
    const attributes: Attributes = { "taskgate.server": server };
    // Another process has sent a call that is resumed.
    if (call.state === "queued") this.#queue = tracer.startSpan("queue", { attributes }, context);
  }

  onSent(): void {
    this.#queue?.end();
    this.#queue = undefined;
  }

  onQuestions(): void {
    const { call, tracer, context, server } = this.#options;
    const open = call.inputRequests;
    this.#questions ??= new Map();
    const spans = this.#questions;
    for (const [key, span] of spans) {
      if (Object.hasOwn(open, key)) continue;
      span.end();
      spans.delete(key);
    }
    for (const [key, { method }] of Object.entries(open)) {
      if (spans.has(key)) continue;
      const { name, attributes } = toldOf(server, method, undefined);
      spans.set(key, tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }, context));
    }
  }

  onEnd(end: CallEnd): void {
    const { span, request } = this.#options;
    for (const question of this.#questions?.values() ?? []) question.end();
    this.#questions = undefined;
    this.onSent();
    const failure = failureOf(end);
    if (failure !== undefined) fail(span, failure);
    // The answer to the request has no error of JSON-RPC then.
    if (failure === TOOL_ERROR && request?.isRecording()) fail(request, failure);
    span.end();
  }
}

/** The type of the error with which a call ended; `undefined`: with none. */
function failureOf(end: CallEnd): string | undefined {
  switch (end.kind) {
    case "result":
      return end.result.isError === true ? TOOL_ERROR : undefined;
    case "error":
    case "ours":
      return String(end.error.code);
    case "cancelled":
      return "cancelled";
    case "handedOff":
      return undefined;
  }
}
