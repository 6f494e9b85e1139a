import { expect, test } from "vitest";
import {
  contextIn,
  contextOf,
  fieldsOf,
  sentIn,
  sentInUnlessGiven,
} from "../../src/observers/traces/propagation.ts";
import { traceIds } from "../../src/protocol/trace-context.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const own = (flags: string) => ({ traceparent: `00-${TRACE}-${SPAN}-${flags}` });

test.each<[string, object, object | undefined]>([
  ["as it is", own("01"), own("01")],
  ["with what vendors add", { ...own("01"), tracestate: "a=1,b=2" }, { ...own("01"), tracestate: "a=1,b=2" }],
  ["not without vendors' texts that are none", { ...own("01"), tracestate: "?" }, own("01")],
  ["unsampled", own("00"), own("00")],
  ["without flags that nobody knows", own("ff"), own("03")],
  ["of a later version", { traceparent: `01-${TRACE}-${SPAN}-01-more` }, own("01")],
  ["not of a forbidden version", { traceparent: `ff-${TRACE}-${SPAN}-01` }, undefined],
  ["not with more than its version has", { traceparent: `00-${TRACE}-${SPAN}-01-more` }, undefined],
  ["not in capitals", { traceparent: `00-${TRACE.toUpperCase()}-${SPAN}-01` }, undefined],
  ["not without a trace", { traceparent: `00-${"0".repeat(32)}-${SPAN}-01` }, undefined],
  ["not if it is no text", { traceparent: [own("01").traceparent] }, undefined],
  ["not from elsewhere", { tracestate: "a=1" }, undefined],
])("a trace context is read %s", (_, given, read) => expect(fieldsOf(contextIn({ ...given }))).toEqual(read));

test.each<[string, unknown, object, object | undefined]>([
  ["_meta before headers", { _meta: own("01") }, own("00"), own("01")],
  ["headers where _meta has none", { _meta: { a: 1 } }, own("00"), own("00")],
  ["headers where that in _meta is none", { _meta: { traceparent: "1" } }, own("00"), own("00")],
  ["headers without params", undefined, own("00"), own("00")],
  ["nothing", { _meta: null }, {}, undefined],
])("a request's trace context is in %s", (_, params, headers, read) =>
  expect(fieldsOf(contextOf(params, { ...headers }))).toEqual(read),
);

test("a call is sent in its own trace context alone", () => {
  const stale = { traceparent: "1", tracestate: "a=1", baggage: "b=1" };
  const params = { name: "t", _meta: { ...stale, progressToken: 1 } };
  expect(sentIn(own("01"), { params, headers: { ...stale, "x-custom": "c" } })).toEqual({
    params: { name: "t", _meta: { ...own("01"), baggage: "b=1", progressToken: 1 } },
    headers: { ...own("01"), baggage: "b=1", "x-custom": "c" },
  });
  expect(sentIn(own("01"), { params: { _meta: null } }).params).toEqual({ _meta: null });
});

test("a call that is made again is sent in the trace context that it had", () => {
  expect(sentInUnlessGiven(own("01"), { params: {} })).toEqual({
    params: { _meta: own("01") },
    headers: own("01"),
  });
  const given = { params: { _meta: own("00") }, headers: own("00") };
  expect(sentInUnlessGiven(own("01"), given)).toEqual(given);
});

test("log lines name it by its ids", () =>
  expect(traceIds(own("01"))).toEqual({ trace_id: TRACE, span_id: SPAN }));
