import { expect, test } from "vitest";
import { substituteEnvironment } from "../../src/config/environment.ts";

const env = { KEY: "k1", EMPTY: "", NESTED: "$" + "{KEY}", _A1: "a" };
const ref = (name: string) => `$\{${name}}`;

test.each([
  ["a text without references", "plain $KEY $", "plain $KEY $"],
  ["a variable", ref("KEY"), "k1"],
  ["a variable inside a text", `Bearer ${ref("KEY")}!`, "Bearer k1!"],
  ["several variables", `${ref("KEY")}${ref("_A1")}`, "k1a"],
  ["an empty variable", `<${ref("EMPTY")}>`, "<>"],
  ["an escaped reference", `$${ref("KEY")}`, ref("KEY")],
  ["an escaped reference beside a real one", `$${ref("KEY")} ${ref("KEY")}`, `${ref("KEY")} k1`],
  ["a variable that holds a reference", ref("NESTED"), ref("KEY")],
])("%s", (_, text, expected) => {
  expect(substituteEnvironment(text, env)).toEqual({ value: expected, problems: [], fromFiles: [] });
});

test("texts are filled in at every depth, and everything else stays", () => {
  const document = { a: [{ b: ref("KEY") }, 1, true, null], [ref("KEY")]: 2 };
  expect(substituteEnvironment(document, env)).toEqual({
    value: { a: [{ b: "k1" }, 1, true, null], [ref("KEY")]: 2 },
    problems: [],
    fromFiles: [],
  });
});

test.each<[string, string, string, object?]>([
  ["an unset variable", ref("NOPE"), "the environment variable NOPE is not set", { unset: "NOPE" }],
  [
    "a property that every object has",
    ref("toString"),
    "the environment variable toString is not set",
    { unset: "toString" },
  ],
  [
    "a default, as a shell knows it",
    ref("KEY:-x"),
    `"${ref("KEY:-x")}" does not name an environment variable; a plain "$\{" is written "$$\{"`,
  ],
  [
    "nothing between the braces",
    ref(""),
    `"${ref("")}" does not name an environment variable; a plain "$\{" is written "$$\{"`,
  ],
  [
    "a missing brace",
    "$" + "{KEY",
    `"$\{KEY" does not name an environment variable; a plain "$\{" is written "$$\{"`,
  ],
])("%s is a problem at its path, and the text stays", (_, text, message, more) => {
  expect(substituteEnvironment({ a: [{ "b c": text }] }, env)).toEqual({
    value: { a: [{ "b c": text }] },
    problems: [{ path: 'a[0]["b c"]', message, ...more }],
    fromFiles: [],
  });
});

test("every unset variable of a text is named", () => {
  const { problems } = substituteEnvironment(`${ref("ONE")}${ref("KEY")}${ref("TWO")}`, env);
  expect(problems.map(({ message }) => message)).toEqual([
    "the environment variable ONE is not set",
    "the environment variable TWO is not set",
  ]);
});

test("a document that contains itself is a problem and not an endless walk", () => {
  const document: Record<string, unknown> = { name: "x" };
  document.self = document;
  expect(substituteEnvironment(document, env).problems).toEqual([
    { path: "self", message: "refers to itself" },
  ]);
});

test("the key that objects inherit is a problem", () => {
  const document: unknown = JSON.parse('{"servers":{"__proto__":{"a":1}}}');
  expect(substituteEnvironment(document, env)).toEqual({
    value: { servers: {} },
    problems: [{ path: "servers.__proto__", message: "is not a setting" }],
    fromFiles: [],
  });
});
