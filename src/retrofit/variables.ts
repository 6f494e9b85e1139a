import type { Client, Syntax } from "./clients.ts";

/** How each syntax looks; the first group is the variable's name. `$` alone must come after the longer ones. */
const SYNTAXES: readonly (readonly [Syntax, RegExp])[] = [
  ["secrets", /\$\{\{\s*(?:secrets|inputs)\.([\w.-]+)\s*\}\}/g],
  ["{{x}}", /\{\{\s*([\w.-]+)\s*\}\}/g],
  ["env in braces", /\$\{env:(\w+)\}/g],
  ["braces with default", /\$\{([A-Za-z_]\w*):-[^${}]*\}/g],
  ["braces with colon", /\$\{([A-Za-z_]\w*):[^${}]*\}/g],
  ["braces", /\$\{([A-Za-z_]\w*)\}/g],
  ["$env:X", /\$env:(\w+)/g],
  ["{env:X}", /\{env:(\w+)\}/g],
  ["$X", /\$([A-Za-z_]\w*)/g],
];

/** Whether any client would fill in something in the text. */
export function hasVariable(text: string): boolean {
  return /\$|\{\{|\{env:|\{file:|%\w+%/.test(text);
}

export interface Translated {
  /** The text with the gateway's `${NAME}` in place of the client's variables. */
  readonly text: string;
  readonly names: readonly string[];
  /** What the gateway cannot fill in, if there is something. */
  readonly refusal?: string;
}

/** A text of a client's file as the gateway's file has it. */
export function translated(text: string, { variables = [] }: Client): Translated {
  const asked =
    /\$\{(?:input|workspace|userHome|file|command|pathSeparator|\/)[^${}]*\}|\{file:[^${}]*\}/.exec(text);
  if (asked !== null) {
    const refusal = `${asked[0]} is known to the client only`;
    return { text, names: [], refusal };
  }
  const names: string[] = [];
  const marked = SYNTAXES.filter(([syntax]) => variables.includes(syntax)).reduce(
    (before, [, pattern]) =>
      before.replace(pattern, (_, name: string) => {
        names.push(name.replaceAll(/\W/g, "_"));
        return `\0${names.length - 1}\0`;
      }),
    text,
  );
  const plain = marked.replaceAll(`$\{`, () => `$$\{`);
  return { text: plain.replace(/\0(\d+)\0/g, (_, index: string) => `$\{${names[Number(index)]}}`), names };
}
