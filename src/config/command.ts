import { z } from "zod";
import { list, text } from "./fields.ts";

/** What a process is started with. A null character ends a text for the system, which takes none that has one. */

/** The program, by its path or by a name that is looked for in `PATH`. */
export function program() {
  return text("a program to start", (given) => given !== "" && hasNoNull(given));
}

export function programArguments() {
  return list(word()).meta({ values: "list of texts" });
}

export function directory() {
  return text("a directory", (given) => given !== "" && hasNoNull(given)).meta({ values: "path" });
}

/** Environment variables by name with their values. No message says a value: they are secrets. */
export function variables() {
  const expected = "must be the name of a variable: letters, digits and underscores, no digit first";
  const name = z.string({ error: expected }).regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: expected });
  return z
    .record(name, word(), { error: "must be a mapping from names of variables to texts" })
    .meta({ values: "mapping" });
}

/** A number in a file is no text, which people do not think of. */
function word() {
  return text("text without null characters, in quotes where it looks like a number", hasNoNull);
}

function hasNoNull(given: string): boolean {
  return !given.includes("\0");
}
