import { randomBytes } from "node:crypto";

/** What would let somebody in. It is in nothing that the gateway writes, wherever that goes, unless it is sealed. */
export const CREDENTIALS = marked([
  "client-authorization",
  "client-cookie",
  "client-key",
  "config-authorization",
  "config-query",
  "session",
  "environment",
  "store-password",
]);

/** What tasks are about. It may stand in a store that is not encrypted, and nowhere else. */
export const DATA = marked(["argument", "result", "question", "answer", "error", "progress"]);

export type Marks = Readonly<Record<string, string>>;

/** The names of those that are in a text, as they are or as they look in base64, percent-encoded or as JSON. */
export function found(text: string, ...marks: readonly Marks[]): readonly string[] {
  return marks
    .flatMap((each) => Object.entries(each))
    .filter(
      ([, mark]) => text.includes(mark) || text.includes(Buffer.from(mark).toString("base64").slice(2, -4)),
    )
    .map(([name]) => name);
}

function marked<Name extends string>(names: readonly Name[]): Readonly<Record<Name, string>> {
  const entries = names.map((name) => [name, `marked-${name}-${randomBytes(6).toString("hex")}`]);
  return Object.fromEntries(entries) as Record<Name, string>;
}
