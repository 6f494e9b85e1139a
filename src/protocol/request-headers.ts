import type { Headers } from "./headers.ts";
import { isObject, type JsonObject } from "./jsonrpc.ts";

/** W3C Trace Context and Baggage: also the names that they have in `_meta` (2026-07-28, Overview §_meta). */
const TRACE_CONTEXT = ["traceparent", "tracestate", "baggage"] as const;
/** Names, and families of names, of headers that frameworks, proxies and tracers make anew for each request. */
const NAMES_ONE_REQUEST: readonly RegExp[] = [
  /^(?:traceparent|tracestate|baggage|b3|uber-trace-id|sentry-trace|cf-ray|x-amz-cf-id)$/,
  /^(?:elastic-apm-traceparent|newrelic|grpc-trace-bin|x-ot-span-context)$/,
  /^(?:x-b3-|x-datadog-)/,
  /^(?:x-)?(?:request|correlation|trace|span|amzn-trace|cloud-trace)-(?:id|context)$/,
  /^x-(?:amzn|ms|client|ms-client)-(?:request|correlation|trace)-?id$/,
  /^(?:(?:x-)?idempotency-key|x-(?:request|queue)-start)$/,
];

/**
 * Whether a header is another one in each request: then it goes with the request, and says nothing of who sends it.
 * @param name in lower case
 */
export function namesOneRequest(name: string): boolean {
  return NAMES_ONE_REQUEST.some((pattern) => pattern.test(name));
}

/**
 * The headers of a client's request that go along with that request only: the trace context, and whatever else of the kind is to be
 * forwarded. Names in lower case.
 * @param forwarded the names that the configuration says are passed on
 */
export function requestHeaders(
  headers: Headers,
  forwarded: readonly string[],
): Readonly<Record<string, string>> {
  const names = [...TRACE_CONTEXT, ...forwarded.filter(namesOneRequest)];
  const given = names.flatMap((name) => {
    const value = headers[name];
    return value === undefined ? [] : [[name, typeof value === "string" ? value : value.join(", ")] as const];
  });
  return Object.fromEntries(given);
}

/**
 * Params with the trace context of the headers in `_meta`, for servers that see no headers. What the client has put there stays, and is not
 * mixed with anything else: a `tracestate` belongs to its `traceparent`.
 */
export function withTraceContext(params: JsonObject, headers: Readonly<Record<string, string>>): JsonObject {
  const meta = isObject(params._meta) ? params._meta : {};
  const given = TRACE_CONTEXT.flatMap((name) => {
    const value = headers[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  if (given.length === 0 || TRACE_CONTEXT.some((name) => meta[name] !== undefined)) return params;
  return { ...params, _meta: { ...meta, ...Object.fromEntries(given) } };
}
