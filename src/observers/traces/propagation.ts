import {
  type Context,
  ROOT_CONTEXT,
  type Span,
  type TextMapGetter,
  type TextMapSetter,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import type { CallOptions } from "../../calls/call.ts";
import { isObject } from "../../protocol/jsonrpc.ts";
import { withTraceContext } from "../../protocol/request-headers.ts";
import type { TraceContext } from "../../protocol/trace-context.ts";

type Fields = Readonly<Record<string, unknown>>;

const W3C = new W3CTraceContextPropagator();
const GETTER: TextMapGetter<Fields> = {
  keys: Object.keys,
  get: (fields, name) => {
    const value = fields[name];
    return typeof value === "string" ? value : undefined;
  },
};
const SETTER: TextMapSetter<Record<string, string>> = {
  set: (fields, name, value) => {
    fields[name] = value;
  },
};
/** Those of Trace Context, level 2: sampled, and a random trace id. The propagator writes others in a form that nobody reads. */
const KNOWN_FLAGS = TraceFlags.SAMPLED | 0x02;

/** The trace context in these headers, or in this `_meta`; the root if there is none, or none in the right form. */
export function contextIn(fields: Fields): Context {
  const context = W3C.extract(ROOT_CONTEXT, fields, GETTER);
  const span = trace.getSpanContext(context);
  if (span === undefined) return ROOT_CONTEXT;
  return trace.setSpanContext(context, { ...span, traceFlags: span.traceFlags & KNOWN_FLAGS });
}

/** The trace context of a request: that in `_meta`, which is about this request alone, else that in its headers. */
export function contextOf(params: unknown, headers: Fields): Context {
  const meta = isObject(params) && isObject(params._meta) ? contextIn(params._meta) : ROOT_CONTEXT;
  return meta === ROOT_CONTEXT ? contextIn(headers) : meta;
}

/** The opposite of `contextIn`; `undefined` for the root. */
export function fieldsOf(context: Context): TraceContext | undefined {
  const fields: Record<string, string> = {};
  W3C.inject(context, fields, SETTER);
  const { traceparent, tracestate = "" } = fields;
  if (traceparent === undefined) return undefined;
  return tracestate === "" ? { traceparent } : { traceparent, tracestate };
}

/** The trace context of a span as the next ones see it; `undefined` where nobody keeps spans, and it is its parent again. */
export function ownFieldsOf(span: Span, parent: Context): TraceContext | undefined {
  const isParent = span.spanContext().spanId === trace.getSpanContext(parent)?.spanId;
  return isParent ? undefined : fieldsOf(trace.setSpan(parent, span));
}

type Sent = Pick<CallOptions, "params" | "headers">;

/** What goes to the server with this trace context, in its headers and in `_meta`, and with no other. */
export function sentIn(given: TraceContext, { params, headers = {} }: Sent): Sent {
  const { _meta: meta = {} } = params;
  return {
    headers: { ...withoutContext(headers), ...given },
    // What is no object is the server's to refuse.
    params: isObject(meta) ? { ...params, _meta: { ...withoutContext(meta), ...given } } : params,
  };
}

/** What goes to the server with this trace context wherever it has none. */
export function sentInUnlessGiven(given: TraceContext, { params, headers = {} }: Sent): Sent {
  const own = headers.traceparent === undefined ? { ...headers, ...given } : headers;
  return { headers: own, params: withTraceContext(params, own) };
}

function withoutContext<T extends Fields>(fields: T): Omit<T, keyof TraceContext> {
  const { traceparent: _, tracestate: __, ...rest } = fields as T & Partial<TraceContext>;
  return rest;
}
