/** The manual page, made from what `--help` prints, from the exit codes and from the table of them in the manual. */

import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { EXIT } from "../../src/exit-codes.ts";
import { VERBS } from "../../src/verbs.ts";

export const manPage = new URL("../../config/mcp-taskgate.1", import.meta.url);
const operations = new URL("../../docs/operations.md", import.meta.url);
const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const NAME = "mcp-taskgate";
const MAX_LINE = 78;
/** Of the release that it describes; mdoc(7) wants a date. */
const DATE = "November 30, 2026";

/** One entry of a list in a help text: `--port`, `<url>`, and what it says of it. */
interface Entry {
  readonly name: string;
  readonly says: string;
}

interface Help {
  readonly usage: string;
  readonly does: string;
  readonly positionals: readonly Entry[];
  readonly options: readonly Entry[];
  readonly examples: readonly string[];
}

/** The page in mdoc(7). The command line has to be built. */
export async function manText(): Promise<string> {
  if (!existsSync(cli)) throw new Error(`${cli} is missing; npm run build makes it`);
  const helps = await Promise.all(VERBS.map(async (verb) => [verb, await helpOf(verb)] as const));
  const [[, serve]] = helps as [(typeof helps)[number]];
  return `${[
    `.\\" Written by test/support/write-man.ts from the help texts and the exit codes.`,
    `.Dd ${DATE}`,
    ".Dt MCP-TASKGATE 1",
    ".Os",
    ".Sh NAME",
    `.Nm ${NAME}`,
    ".Nd durable tasks for MCP servers that you do not change",
    ".Sh SYNOPSIS",
    ...helps.flatMap(([verb, { usage }]) => [`.Nm ${NAME}`, ...synopsis(verb, usage)]),
    ".Sh DESCRIPTION",
    ".Nm",
    "stands in front of an MCP server, at a URL or started by a command.",
    "It answers a slow",
    ".Li tools/call",
    ...filled(
      "with a task of MCP 2026-07-28, makes the call in the background, and keeps the result in a store until the client fetches it.",
    ),
    ".Pp",
    "Without a command it serves: the target is a URL or a file.",
    "The commands are:",
    ...helps.flatMap(([verb, help]) => command(verb, help, verb === "serve" ? undefined : serve)),
    ".Sh ENVIRONMENT",
    ".Bl -tag -width Ds",
    ...environment().flatMap(([name, ...says]) => [`.It Ev ${name}`, ...says]),
    ".El",
    ".Sh FILES",
    ".Bl -tag -width Ds",
    ".It Pa ./taskgate-data",
    "Where tasks are kept unless a store is named.",
    ".It Pa config/",
    ...filled(
      "Of the package: examples of files, a unit of systemd, alerts and a dashboard, and the JSON Schema of the file.",
    ),
    ".El",
    ".Sh EXIT STATUS",
    ".Bl -tag -width Ds",
    ...exitCodes().flatMap(([code, when]) => [`.It ${code}`, ...sentences(when)]),
    ".El",
    ".Sh EXAMPLES",
    ".Bd -literal -offset indent",
    ...serve.examples.map(escaped),
    ".Ed",
    ".Sh SEE ALSO",
    '.Lk https://github.com/mcp-taskgate/mcp-taskgate#manual "the manual"',
  ].join("\n")}\n`;
}

function synopsis(verb: string, usage: string): readonly string[] {
  const words = usage.split(" ").filter((word) => word !== "" && word !== verb);
  const lines = [verb === "serve" ? ".Op Cm serve" : `.Cm ${verb}`, ".Op Ar flags", ...words.map(argument)];
  return verb === "serve" || verb === "stdio" || verb === "inspect"
    ? [...lines, ".Op Fl - Ar command ..."]
    : lines;
}

/** `[file]` and `<url>` as yargs writes them, `[server..]` for several. */
function argument(word: string): string {
  const name = word.replace(/[[\]<>]|\.\.\]?$/g, "").replace(/\.\.$/, "");
  const several = word.includes("..") ? " ..." : "";
  return word.startsWith("[") ? `.Op Ar ${name}${several}` : `.Ar ${name}${several}`;
}

/** @param shared whose flags are not described again */
function command(
  verb: string,
  { does, positionals, options }: Help,
  shared: Help | undefined,
): readonly string[] {
  const isKnown = (entry: Entry) =>
    shared?.options.some(({ name, says }) => name === entry.name && says === entry.says) === true;
  const own = options.filter((entry) => !isKnown(entry));
  const others = options.filter(isKnown).map(({ name }) => name.slice(2));
  return [
    `.Ss ${verb}`,
    ...filled(`${does}.`),
    ...(positionals.length + own.length === 0
      ? []
      : [
          ".Bl -tag -width Ds",
          ...positionals.flatMap(({ name, says }) => [`.It Ar ${name}`, ...filled(says)]),
          ...own.flatMap(({ name, says }) => [`.It Fl -${escaped(name.slice(2))}`, ...filled(says)]),
          ".El",
        ]),
    ...(others.length === 0 || shared === undefined
      ? []
      : [
          ".Pp",
          "As above:",
          ...others.map((name, n) => `.Fl -${name}${n === others.length - 1 ? " ." : " ,"}`),
        ]),
  ];
}

/** What `mcp-taskgate VERB --help` prints; of `serve`, which may be left out, what `--help` does. */
async function helpOf(verb: string): Promise<Help> {
  const args = [cli, ...(verb === "serve" ? [] : [verb]), "--help"];
  const { stdout: text } = await promisify(execFile)(process.execPath, args, { env: {} });
  const [head = "", does = ""] = text.split("\n\n");
  const section = (title: string) =>
    new RegExp(`^${title}:\\n((?: .*\\n|\\n(?= ))+)`, "m").exec(text)?.[1] ?? "";
  return {
    usage: head.replace(`${NAME} `, "").trim(),
    does: does.trim(),
    positionals: entriesOf(section("Positionals")),
    options: entriesOf(section("Options")).filter(({ name }) => !["--help", "--version"].includes(name)),
    examples: section("Examples")
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== ""),
  };
}

/** The entries of a section: each begins at the margin, and its text goes on where it began. */
function entriesOf(section: string): readonly Entry[] {
  const entries: { name: string; says: string }[] = [];
  for (const line of section.split("\n")) {
    const [, name, says = ""] = /^ {2}(\S+) +(.*)$/.exec(line) ?? [];
    if (name !== undefined) entries.push({ name, says });
    else if (entries.length > 0) (entries.at(-1) as { says: string }).says += ` ${line.trim()}`;
  }
  return entries.map(({ name, says }) => ({
    name,
    says: says
      .replaceAll(/ *\[(?:string|boolean|array|number|required|default: \[\])\]/g, "")
      .replaceAll(/\s+/g, " ")
      .trim(),
  }));
}

/** Code and when, from the manual. @throws when the manual has other codes than the program */
function exitCodes(): readonly (readonly [string, string])[] {
  const section = /## Exit codes\n([\s\S]*?)\n## /.exec(readFileSync(operations, "utf8"))?.[1] ?? "";
  const rows = [...section.matchAll(/^\| (\d+) \| (.*) \|$/gm)].map(
    ([, code = "", when = ""]) => [code, when] as const,
  );
  const [told, known] = [rows.map(([code]) => Number(code)), Object.values(EXIT)];
  if (told.join() !== known.join())
    throw new Error(`the manual has the exit codes ${told}, the program ${known}`);
  return rows;
}

function environment(): readonly (readonly string[])[] {
  return [
    [
      "MCP_TASKGATE_ADMIN",
      "Address of the admin listener that",
      ".Cm tasks , servers , suggest",
      "and",
      ".Cm webhooks",
      "ask.",
    ],
    ["MCP_TASKGATE_ADMIN_TOKEN", "Token that they send."],
    ["CREDENTIALS_DIRECTORY", "Where a file finds the credentials of systemd that it names."],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "And other variables of OpenTelemetry: where traces go."],
  ];
}

/** A line for each sentence, as mdoc(7) wants it, without the marks of Markdown. */
function sentences(text: string): readonly string[] {
  return text
    .replaceAll("`", "")
    .split(/(?<=[.;]) /)
    .flatMap(filled);
}

/** In lines that mandoc(1) does not find too long; they are filled again when they are shown. */
function filled(text: string): readonly string[] {
  return (escaped(text).match(new RegExp(`.{1,${MAX_LINE}}(?= |$)`, "g")) ?? []).map((line) =>
    line.trim().replace(/^[.']/, "\\&$&"),
  );
}

/** As roff prints it. */
function escaped(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll(
      /[^\n -~]/gu,
      (letter) => `\\[u${letter.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}]`,
    );
}
