import { describe, expect, test } from "vitest";
import { type JsonObject, RawJson } from "../../src/protocol/jsonrpc.ts";
import { olderCapabilities, olderQuestion, olderResult } from "../../src/protocol/older.ts";

const INFO = "io.modelcontextprotocol/serverInfo";
const text = (what: string) => [{ type: "text", text: what }];

describe("a result", () => {
  test.each<[string, string, JsonObject, JsonObject]>([
    [
      "loses what only 2026-07-28 has",
      "prompts/list",
      { resultType: "complete", prompts: [], ttlMs: 1, cacheScope: "public", _meta: { [INFO]: {} } },
      { prompts: [] },
    ],
    [
      "keeps everything else",
      "x/y",
      { resultType: "complete", ttlMs: 1, a: [1], _meta: { [INFO]: {}, b: 2 } },
      { ttlMs: 1, a: [1], _meta: { b: 2 } },
    ],
    [
      "of another kind is what it was",
      "tools/call",
      { resultType: "input_required", requestState: "s" },
      { resultType: "input_required", requestState: "s" },
    ],
    ["need not name its kind", "ping", {}, {}],
    [
      "keeps a schema of objects",
      "tools/list",
      { tools: [{ name: "t", outputSchema: { type: "object", a: 1 } }] },
      { tools: [{ name: "t", outputSchema: { type: "object", a: 1 } }] },
    ],
    [
      "loses any other schema, and no tool",
      "tools/list",
      { tools: [{ name: "t", outputSchema: { type: "array" }, x: 1 }, "odd"] },
      { tools: [{ name: "t", x: 1 }, "odd"] },
    ],
    [
      "keeps a structured object",
      "tools/call",
      { content: [], structuredContent: { a: 1 } },
      { content: [], structuredContent: { a: 1 } },
    ],
    [
      "has any other value as text",
      "tools/call",
      { content: [], structuredContent: [1, 2] },
      { content: text("[1,2]") },
    ],
    [
      "… also one that came as text",
      "tools/call",
      { structuredContent: new RawJson("[1.0]") },
      { content: text("[1]") },
    ],
    [
      "… unless it says something already",
      "tools/call",
      { content: text("two"), structuredContent: 2 },
      { content: text("two") },
    ],
  ])("%s", (_, method, result, older) => {
    expect(olderResult(method, result)).toEqual(older);
  });
});

test("a server's capabilities are without tasks of a kind that clients do not know", () => {
  const extensions = { "io.modelcontextprotocol/tasks": {}, "a/b": { c: 1 } };
  expect(olderCapabilities({ tools: {}, extensions })).toEqual({
    tools: {},
    extensions: { "a/b": { c: 1 } },
  });
  expect(olderCapabilities({ extensions: { "io.modelcontextprotocol/tasks": {} } })).toEqual({});
});

test("only a page to visit gets an id, and keeps one that it has", () => {
  const page = (params: JsonObject) => ({ method: "elicitation/create", params });
  expect(olderQuestion(page({ mode: "url", url: "u" }), "e")).toEqual(
    page({ elicitationId: "e", mode: "url", url: "u" }),
  );
  const named = page({ mode: "url", elicitationId: "theirs" });
  expect(olderQuestion(named, "e")).toEqual(named);
  expect(olderQuestion(page({ mode: "form" }), "e")).toEqual(page({ mode: "form" }));
  expect(olderQuestion({ method: "roots/list" }, "e")).toEqual({ method: "roots/list" });
});
