import { z } from "zod";
import { list, text } from "./fields.ts";

/** The settings that start a process. The operating system accepts no text with a null character, which would end it. */

/** The program, by its path or by a name to look up in `PATH`. */
export function program() {
  return text("a program to start", (given) => given !== "" && hasNoNull(given));
}

export function programArguments() {
  return list(word()).meta({ values: "list of texts" });
}

export function directory() {
  return text("a directory", (given) => given !== "" && hasNoNull(given)).meta({ values: "path" });
}

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

export function isVariableName(text: string): boolean {
  return VARIABLE.test(text);
}

/** Environment variables by name. No message quotes a value: values are secrets. */
export function variables() {
  const expected = "must be the name of a variable: letters, digits and underscores, no digit first";
  const name = z.string({ error: expected }).regex(VARIABLE, { error: expected });
  return z
    .record(name, word(), { error: "must be a mapping from names of variables to texts" })
    .meta({ values: "mapping" });
}

/** The message mentions quotes because people forget that an unquoted number in a file is no text. */
function word() {
  return text("text without null characters, in quotes where it looks like a number", hasNoNull);
}

function hasNoNull(given: string): boolean {
  return !given.includes("\0");
}
