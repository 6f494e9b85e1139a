import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { Prompt } from "../../src/client/prompt.ts";
import type { JsonObject } from "../../src/protocol/jsonrpc.ts";

test.each<[what: string, field: JsonObject, lines: string, value: unknown]>([
  ["a number, where Enter is none", { type: "number" }, "\n1.5\n", 1.5],
  ["an integer, where Enter is none", { type: "integer" }, "\nfive\n5\n", 5],
  ["yes or no", { type: "boolean" }, "\nY\n", true],
  ["a text, which may be empty", { type: "string" }, "\n", ""],
  ["a text that may not be empty", { type: "string", minLength: 1 }, "\na\n", "a"],
  ["one of several", { enum: ["a", "b"] }, "c\nb\n", "b"],
  ["one of several with titles", { oneOf: [{ const: "a", title: "A" }] }, "A\na\n", "a"],
  ["some of several", { type: "array", items: { enum: ["a", "b"] } }, "a,c\na, b\n", ["a", "b"]],
  ["none of several", { type: "array", items: { anyOf: [{ const: "a", title: "A" }] } }, "\n", []],
  ["one at least", { type: "array", items: { enum: ["a", "b"] }, minItems: 1 }, "\nb\n", ["b"]],
  ["a default", { type: "integer", default: 3 }, "\n", 3],
])("%s", async (_, field, lines, value) => {
  const { ask, output } = asked(lines);
  const question = { properties: { field }, required: ["field"] };
  expect(await ask(question)).toEqual({ action: "accept", content: { field: value } });
  expect(output()).not.toContain("undefined");
});

test("what is not required may be left out, and three wrong answers are enough", async () => {
  const optional = asked("\n");
  expect(await optional.ask({ properties: { field: { type: "integer" } } })).toEqual({
    action: "accept",
    content: {},
  });
  const wrong = asked("a\nb\nc\n4\n");
  const question = { properties: { field: { type: "integer" } }, required: ["field"] };
  expect(await wrong.ask(question)).toEqual({ action: "cancel" });
});

function asked(lines: string) {
  const [input, output] = [new PassThrough(), new PassThrough()];
  input.end(lines);
  const prompt = new Prompt(input, output);
  return {
    ask: (requestedSchema: JsonObject) =>
      prompt.ask(
        { method: "elicitation/create", params: { message: "?", requestedSchema } },
        new AbortController().signal,
      ),
    output: () => String(output.read()),
  };
}
