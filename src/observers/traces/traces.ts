import { AsyncLocalStorage } from "node:async_hooks";
import { type Context, type Span, SpanKind, type Tracer, trace } from "@opentelemetry/api";
import { Call, type CallOptions } from "../../calls/call.ts";
import type { NewCall } from "../../calls/new-call.ts";
import { taskName } from "../../log/task-name.ts";
import { toRpcError } from "../../protocol/errors.ts";
import type { Headers } from "../../protocol/headers.ts";
import { isObject, isRequestId } from "../../protocol/jsonrpc.ts";
import type { TraceContext } from "../../protocol/trace-context.ts";
import type { Outcome, TaskRecord } from "../../store/task-store.ts";
import type { Observer } from "../../tasks/task-event.ts";
import { CallSpans } from "./call-spans.ts";
import { contextIn, contextOf, fieldsOf, ownFieldsOf, sentIn, sentInUnlessGiven } from "./propagation.ts";
import { fail, TOOL_ERROR, toldOf, toldOfTask } from "./words.ts";

export interface TracesOptions {
  /** An SDK's, or that of the API alone: it keeps no spans, and passes on what the client gave. */
  readonly tracer: Tracer;
  /** Sends the spans that are left, for a limited time. Never rejects. Absent: there is nothing to send. */
  readonly close?: () => Promise<void>;
}

/** A message of a client as it arrived. */
export interface Arrived {
  /** As the configuration names it. */
  readonly server: string;
  readonly message: unknown;
  /** Names in lower case. Empty where the transport has none. */
  readonly headers: Headers;
}

/** The span of a request that is being answered, and the context of what happens in it. */
interface OpenRequest {
  readonly span: Span;
  readonly context: Context;
}

/**
 * The traces of a gateway (`tracing`): a span for each request of a client, each call with its questions, and each task, in the trace that the
 * client names. They do not say who called, with which arguments, or what the result was, and they name a task as the log does.
 *
 * A task outlives the request that created it, and perhaps the gateway. So its record keeps the trace context of that request: whoever goes on
 * with the task, or ends it, adds spans there.
 */
export class Traces {
  readonly close: () => Promise<void>;
  readonly #tracer: Tracer;
  /** Tells what happens meanwhile which request it belongs to. */
  readonly #answering = new AsyncLocalStorage<OpenRequest>();

  constructor({ tracer, close = async () => {} }: TracesOptions) {
    this.#tracer = tracer;
    this.close = close;
  }

  /**
   * Has a message answered: within a span if it is a request, and none is being answered with it.
   * @param answer gets the trace context with which to pass the message on; `undefined`: with its own. What it throws is the error of the span,
   * and so is a status of HTTP from 400 on, if it resolves with one
   */
  async serve(
    { server, message, headers }: Arrived,
    answer: (given: TraceContext | undefined) => Promise<unknown>,
  ): Promise<void> {
    if (!isRequest(message) || this.#answering.getStore() !== undefined)
      return void (await answer(undefined));
    const parent = contextOf(message.params, headers);
    const { name, attributes } = toldOf(server, message.method, message.params);
    const span = this.#tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, parent);
    const context = trace.setSpan(parent, span);
    const own = ownFieldsOf(span, parent);
    try {
      const status = await this.#answering.run({ span, context }, answer, own);
      if (typeof status === "number" && status >= 400) fail(span, String(status));
    } catch (error) {
      fail(span, String(toRpcError(error).code));
      throw error;
    } finally {
      span.end();
    }
  }

  /** Makes a call in a span that the server sees as the parent of its own. */
  readonly newCall: NewCall = (server, options, task) => {
    const { method, params, headers = {} } = options;
    const request = task === undefined ? this.#answering.getStore() : undefined;
    const kept = task?.trace;
    // Without a record that keeps it, the client's.
    const parent =
      kept === undefined ? (request?.context ?? contextOf(params, headers)) : contextIn({ ...kept });
    const { name, attributes } = toldOf(server, method, params);
    const span = this.#tracer.startSpan(name, { kind: SpanKind.CLIENT, attributes }, parent);
    const context = trace.setSpan(parent, span);
    const own = ownFieldsOf(span, parent);
    const call = new Call({
      ...options,
      ...(own === undefined ? passedOn(options, kept) : sentIn(own, options)),
      trace: fieldsOf(parent) ?? own,
    });
    call.listen(new CallSpans({ tracer: this.#tracer, server, call, span, context, request: request?.span }));
    return call;
  };

  readonly observe: Observer = (event) => {
    switch (event.kind) {
      case "created":
      case "detached":
      case "read":
      case "answered":
      case "cancelled":
        return this.#isAbout(event.task);
      case "ended":
        return this.#ended(event.task, event.outcome);
      // The spans of calls say it, or the task's when it ends.
      case "sent":
      case "progress":
      case "asked":
      case "adopted":
      case "left":
      case "listed":
      case "refused":
        return;
    }
  };

  /** Links the request that is being answered, if one is, to the task that it is about: that may be in another trace. */
  #isAbout(task: TaskRecord): void {
    const span = this.#answering.getStore()?.span;
    if (!span?.isRecording()) return;
    span.setAttribute("taskgate.task", taskName(task.id));
    const created = trace.getSpanContext(contextIn({ ...task.trace }));
    if (created !== undefined && created.spanId !== span.spanContext().spanId)
      span.addLink({ context: created });
  }

  /** One span for the whole task: from the one gateway whose outcome counts, wherever the task began. */
  #ended(task: TaskRecord, outcome: Outcome): void {
    const { id, route, tool, createdAt, story = [] } = task;
    const { name, attributes } = toldOfTask(route, tool);
    const own = { "taskgate.task": taskName(id), "taskgate.outcome": outcome.kind };
    // Dates: a number from before the start of this process would be taken for one of another clock.
    const startTime = new Date(createdAt);
    const context = contextIn({ ...task.trace });
    const span = this.#tracer.startSpan(name, { startTime, attributes: { ...attributes, ...own } }, context);
    for (const { what, count, at } of story)
      span.addEvent(what, count === undefined ? {} : { "taskgate.count": count }, new Date(at));
    const failure = failureOf(outcome);
    if (failure !== undefined) fail(span, failure);
    span.end(new Date(Math.max(createdAt, outcome.endedAt)));
  }
}

function isRequest(message: unknown): message is { readonly method: string; readonly params?: unknown } {
  return isObject(message) && typeof message.method === "string" && isRequestId(message.id);
}

/** What goes to the server where the gateway adds no spans: what the client sent, of which the headers have gone with its gateway. */
function passedOn(options: CallOptions, kept: TraceContext | undefined): Partial<CallOptions> {
  return kept === undefined ? {} : sentInUnlessGiven(kept, options);
}

/** The type of the error with which a task ended; `undefined`: with none. */
function failureOf(outcome: Outcome): string | undefined {
  switch (outcome.kind) {
    case "completed":
      return outcome.failure === undefined ? undefined : TOOL_ERROR;
    case "failed":
      return String(outcome.error.code);
    case "cancelled":
    case "lost":
      return outcome.kind;
  }
}
