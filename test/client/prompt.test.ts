import { PassThrough, Writable } from "node:stream";
import { expect, onTestFinished, test } from "vitest";
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

test("a person who answers field after field leaves nothing behind", async () => {
  const warnings: Error[] = [];
  const note = (warning: Error) => void warnings.push(warning);
  process.on("warning", note);
  onTestFinished(() => void process.off("warning", note));
  const input = new PassThrough();
  const output = new Writable({
    write(chunk, _, done) {
      // As a person would: after the field is asked for, and not before.
      if (String(chunk).endsWith(": ")) setImmediate(() => input.write("yes\n"));
      done();
    },
  });
  const names = Array.from({ length: 30 }, (_, index) => `field${index}`);
  const properties = Object.fromEntries(names.map((name) => [name, { type: "boolean" }]));
  const params = { message: "All of them?", requestedSchema: { type: "object", properties } };
  const prompt = new Prompt(input, output);

  const answer = await prompt.ask({ method: "elicitation/create", params }, new AbortController().signal);

  prompt.close();
  expect(answer).toEqual({
    action: "accept",
    content: Object.fromEntries(names.map((name) => [name, true])),
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(warnings).toEqual([]);
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
