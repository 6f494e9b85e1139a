import { expect, test } from "vitest";
import { checkAnswer, InputKeys, modernInputRequest, readInputResponses } from "../../src/calls/input.ts";

const hinted = (key: unknown) => ({
  method: "elicitation/create",
  params: { _meta: { "mcp-taskgate/key": key } },
});

test("keys are the server's suggestions where they can be, and unique in any case", () => {
  const keys = new InputKeys();
  const asked = [
    hinted("name"),
    hinted("name"),
    hinted(""),
    hinted(7),
    hinted("x".repeat(129)),
    hinted("elicitation-7"),
    { method: "elicitation/create" },
    { method: "sampling/createMessage", params: {} },
    { method: "roots/list" },
    hinted("__proto__"),
  ];
  expect(asked.map((request) => keys.next(request))).toEqual([
    "name",
    "elicitation-2",
    "elicitation-3",
    "elicitation-4",
    "elicitation-5",
    "elicitation-7",
    "elicitation-8",
    "sampling-8",
    "roots-9",
    "__proto__",
  ]);
});

test("a question keeps all but what only made sense on the server's own session", () => {
  const params = {
    mode: "url",
    elicitationId: "e",
    url: "https://x.example",
    "x-unknown": { deep: true },
    _meta: {
      progressToken: 1,
      "mcp-taskgate/key": "k",
      "io.modelcontextprotocol/related-task": { taskId: "t" },
      traceparent: "00-",
    },
  };
  expect(modernInputRequest({ method: "elicitation/create", params })).toEqual({
    method: "elicitation/create",
    params: {
      mode: "url",
      url: "https://x.example",
      "x-unknown": { deep: true },
      _meta: { traceparent: "00-" },
    },
  });
  expect(modernInputRequest({ method: "roots/list" })).toEqual({ method: "roots/list" });
  expect(modernInputRequest({ method: "roots/list", params: { _meta: { progressToken: 0 } } })).toEqual({
    method: "roots/list",
    params: {},
  });
});

const TEXT = { type: "text", text: "hi" };
const GOOD: [string, object][] = [
  ["elicitation/create", { action: "accept", content: { name: "Ada", "x-extra": 1, tags: ["a"] } }],
  ["elicitation/create", { action: "accept" }],
  ["elicitation/create", { action: "decline", "x-unknown": {} }],
  ["elicitation/create", { action: "cancel" }],
  ["sampling/createMessage", { role: "assistant", model: "m", content: TEXT }],
  ["sampling/createMessage", { role: "assistant", model: "m", stopReason: "endTurn", content: [TEXT] }],
  ["roots/list", { roots: [] }],
  ["roots/list", { roots: [{ uri: "file:///a", name: "A" }] }],
];

test.each(GOOD)("an answer to %s stays as it is: %j", (method, answer) => {
  expect(checkAnswer("k", method, answer)).toBe(answer);
});

const BAD: [string, unknown, string][] = [
  ["elicitation/create", undefined, '"k"] must be an object'],
  ["elicitation/create", null, '"k"] must be an object'],
  ["elicitation/create", "accept", '"k"] must be an object'],
  ["elicitation/create", [], '"k"] must be an object'],
  ["elicitation/create", {}, '"k"]["action"'],
  ["elicitation/create", { action: "maybe" }, '"k"]["action"'],
  ["elicitation/create", { action: "accept", content: { name: { no: 1 } } }, '"k"]["content"]'],
  ["sampling/createMessage", { role: "assistant", content: TEXT }, '"k"]["model"]'],
  ["sampling/createMessage", { action: "accept" }, '"k"]'],
  ["roots/list", {}, '"k"]["roots"]'],
  ["roots/list", { roots: [{ name: "A" }] }, '"k"]["roots"][0]["uri"]'],
];

test.each(BAD)("an answer to %s of another shape is refused, saying where: %j", (method, answer, where) => {
  expect(() => checkAnswer("k", method, answer)).toThrow(
    expect.objectContaining({ code: -32602, message: expect.stringContaining(where) }),
  );
});

test.each([[{}], [{ inputResponses: {} }], [{ inputResponses: { a: 1 } }]])(
  "reads responses from %j",
  (params) => {
    expect(readInputResponses(params)).toEqual(("inputResponses" in params && params.inputResponses) || {});
  },
);

test.each([null, [], "a", 0])("responses must be an object, and not %j", (inputResponses) => {
  expect(() => readInputResponses({ inputResponses })).toThrow("inputResponses must be an object");
});

test("the questions of a call that is made again are other ones, whatever the server calls them", () => {
  const keys = new InputKeys([], 2);
  expect(keys.next({ method: "roots/list" })).toBe("roots-1~2");
  expect(keys.next({ method: "elicitation/create" }, "consent")).toBe("consent~2");
  expect(keys.next({ method: "elicitation/create" }, "consent")).toBe("elicitation-3~2");
});
