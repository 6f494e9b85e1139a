/** W3C Trace Context, in the words of its headers, which are those of `_meta` as well (2026-07-28, Overview §_meta). */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string;
}

/** Its headers, in lower case: a `tracestate` belongs to its `traceparent`, and goes with it. */
export const TRACE_HEADERS = ["traceparent", "tracestate"] as const;

/** The fields by which a log line names its trace (OpenTelemetry, Trace Context in non-OTLP Log Formats). */
export function traceIds({ traceparent }: TraceContext): {
  readonly trace_id: string;
  readonly span_id: string;
} {
  const [, traceId = "", spanId = ""] = traceparent.split("-", 3);
  return { trace_id: traceId, span_id: spanId };
}
