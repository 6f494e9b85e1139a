import type { Headers } from "./headers.ts";
import { isObject, type JsonObject } from "./jsonrpc.ts";

/** The headers of W3C Trace Context and Baggage; they have the same names in `_meta` (2026-07-28, Overview §_meta). */
const TRACE_CONTEXT = ["traceparent", "tracestate", "baggage"] as const;
/** Where a request has its idempotency key if it has no header `Idempotency-Key`. */
export const IDEMPOTENCY_META = "mcp-taskgate/idempotencyKey";
/** Names, and families of names, of headers that frameworks, proxies and tracers generate for each request. */
const NAMES_ONE_REQUEST: readonly RegExp[] = [
  /^(?:traceparent|tracestate|baggage|b3|uber-trace-id|sentry-trace|cf-ray|x-amz-cf-id)$/,
  /^(?:elastic-apm-traceparent|newrelic|grpc-trace-bin|x-ot-span-context)$/,
  /^(?:x-b3-|x-datadog-)/,
  /^(?:x-)?(?:request|correlation|trace|span|amzn-trace|cloud-trace)-(?:id|context)$/,
  /(?:^|-)(?:request|correlation|trace|transaction|operation|flow)-?id$/,
  /^x-(?:azure-ref|vercel-id)$/,
  /^(?:(?:x-)?idempotency-key|x-(?:request|queue)-start)$/,
];

/**
 * Whether a header's value differs with each request: then it belongs to the request and does not identify the caller.
 * @param name in lower case
 */
export function namesOneRequest(name: string): boolean {
  return NAMES_ONE_REQUEST.some((pattern) => pattern.test(name));
}

/**
 * The headers of a client's request that belong to this request only: the trace context, and forwarded headers for which `namesOneRequest`
 * is true. Names in lower case.
 * @param forwarded the names of the headers that the configuration forwards
 */
export function requestHeaders(
  headers: Headers,
  forwarded: readonly string[],
): Readonly<Record<string, string>> {
  const given: [string, string][] = [];
  const add = (name: string) => {
    const value = headers[name];
    if (value !== undefined) given.push([name, typeof value === "string" ? value : value.join(", ")]);
  };
  TRACE_CONTEXT.forEach(add);
  for (const name of forwarded) if (namesOneRequest(name)) add(name);
  return given.length === 0 ? NONE : Object.fromEntries(given);
}

const NONE: Readonly<Record<string, string>> = {};

/**
 * Params with the headers' trace context in `_meta`, for servers that see no headers. A trace context that the client put there stays
 * unmixed: a `tracestate` belongs to its `traceparent`.
 */
export function withTraceContext(params: JsonObject, headers: Readonly<Record<string, string>>): JsonObject {
  const { _meta: meta = {} } = params;
  // What is no object is the server's to refuse, and a bulky one is not worth parsing.
  if (!isObject(meta)) return params;
  const given = TRACE_CONTEXT.flatMap((name) => {
    const value = headers[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  if (given.length === 0 || TRACE_CONTEXT.some((name) => meta[name] !== undefined)) return params;
  return { ...params, _meta: { ...meta, ...Object.fromEntries(given) } };
}
