import { expect, test } from "vitest";
import { type Due, faultsOf, type Seen, saidFaults } from "./verdict.ts";

const ANSWER = { jsonrpc: "2.0", id: 7, result: {} };
const SEEN: Seen = {
  status: 200,
  contentType: "application/json",
  body: JSON.stringify(ANSWER),
  isComplete: true,
  isLate: false,
};
const DUE: Due = { isWhole: true, isJsonRpc: true, sent: '{"jsonrpc":"2.0","id":7,"method":"ping"}' };

const bodied = (message: unknown): Partial<Seen> => ({ body: JSON.stringify(message) });
const refused = { jsonrpc: "2.0", id: null, error: { code: -32600, message: "no" } };

test.each<[string, Partial<Seen>, Partial<Due>]>([
  ["an answer", {}, {}],
  ["an error", bodied({ jsonrpc: "2.0", id: 7, error: { code: -1, message: "" } }), {}],
  ["a refusal before the id was read", { status: 400, ...bodied(refused) }, {}],
  ["a stream", { contentType: "text/event-stream", body: `: hi\n\ndata: ${SEEN.body}\n\n` }, {}],
  ["a stream that was left", { contentType: "text/event-stream", body: "data: {", isComplete: false }, {}],
  ["nothing to what is no request", { status: 0, body: "" }, { isWhole: false }],
  [
    "a page to what is no request",
    { status: 400, contentType: "text/html", body: "<p>" },
    { isWhole: false },
  ],
  ["what a server says itself", { body: "<p>" }, { isJsonRpc: false }],
  ["nothing to a notification", { status: 202, contentType: "", body: "" }, {}],
])("%s is in order", (_, seen, due) => {
  expect(faultsOf({ ...SEEN, ...seen }, { ...DUE, ...due })).toEqual([]);
});

test.each<[string, Partial<Seen>, string]>([
  ["no answer in time", { isLate: true }, "no answer in time"],
  ["no answer at all", { status: 0, body: "" }, "closed without an answer"],
  ["a status that is none", { status: 600 }, "status 600"],
  ["what is no JSON", { body: "{" }, "not JSON"],
  ["an event that is no JSON", { contentType: "text/event-stream", body: "data: {\n\n" }, "not JSON"],
  ["another version", bodied({ ...ANSWER, jsonrpc: "1.0" }), "jsonrpc is not 2.0"],
  ["another id", bodied({ ...ANSWER, id: 8 }), "id 8 for 7"],
  ["an id of another type", bodied({ ...ANSWER, id: "7" }), 'id "7" for 7'],
  ["no id though it was read", bodied({ ...ANSWER, id: null }), "id null for 7"],
  ["an id that is none", bodied({ ...ANSWER, id: {} }), "an id that is none"],
  ["a result and an error", bodied({ ...ANSWER, error: {} }), "neither a result nor an error, or both"],
  ["a result that is none", bodied({ ...ANSWER, result: 1 }), "a result that is no object"],
  [
    "a code that is none",
    bodied({ ...refused, id: 7, error: { code: "x", message: "" } }),
    "an error without code and message",
  ],
  [
    "two answers",
    { contentType: "text/event-stream", body: `data: ${SEEN.body}\n\n`.repeat(2) },
    "2 answers",
  ],
  ["no answer on a stream", { contentType: "text/event-stream", body: "" }, "0 answers"],
  ["where it came from", bodied({ ...ANSWER, result: { at: "x\n    at f (a:1:2)" } }), "a stack trace"],
])("%s is a fault", (_, seen, fault) => {
  expect(faultsOf({ ...SEEN, ...seen }, DUE)).toContain(fault);
});

test("what the process says of itself is a fault, with where it was", () => {
  const warning = "(node:1) MaxListenersExceededWarning: many\n    at a (b:1:2)\n    at c (d:3:4)";
  expect(saidFaults(`{"level":40,"msg":"the server says too much"}\n${warning}\n{"level":40}`)).toEqual([
    warning,
  ]);
});
