import { readFile } from "node:fs/promises";
import { type ParseError, parse as parseJson, printParseErrorCode } from "jsonc-parser";
import { type Document, isMap, isNode, isPair, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import { withoutAnnotations } from "./annotations.ts";
import type { Config } from "./config.ts";
import { conflicts } from "./conflicts.ts";
import { type Environment, substituteEnvironment } from "./environment.ts";
import { ConfigError, type Problem, schemaProblems, UnreadableFile, withoutCredentials } from "./problems.ts";
import { resolve } from "./resolve.ts";
import { fileSchema } from "./schema.ts";
import { warnings } from "./warnings.ts";

export interface Loaded {
  readonly config: Config;
  readonly warnings: readonly Problem[];
}

/** Reads a YAML or JSON file. @throws ConfigError with every reason why the gateway cannot use the file */
export async function loadConfig(file: string, env: Environment = process.env): Promise<Loaded> {
  const { document, located } = await loadSource(file);
  return located(() => readConfig(document, env));
}

/** A file's document before the checks, with the lines of its settings. */
export interface Source {
  readonly document: unknown;
  /** Runs `judge` and adds lines to its problems and warnings, in the file's order. */
  located<T extends Loaded>(judge: () => T): T;
}

/** @throws ConfigError when the file cannot be read or parsed */
export async function loadSource(file: string): Promise<Source> {
  const text = await read(file);
  if (file.toLowerCase().endsWith(".json")) checkJson(text);
  const { document, lineOf } = parseText(text);
  const inOrder = (problems: readonly Problem[]) =>
    problems.map((problem) => withLine(problem, lineOf)).sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  const located: Source["located"] = (judge) => {
    try {
      const judged = judge();
      return { ...judged, warnings: inOrder(judged.warnings) };
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      throw new ConfigError(inOrder(error.problems), inOrder(error.warnings));
    }
  };
  return { document, located };
}

function withLine(problem: Problem, lineOf: (path: string) => number | undefined): Problem {
  const line = problem.path === "" ? undefined : lineOf(problem.path);
  return line === undefined ? problem : { ...problem, line };
}

/** The configuration in a file's text. JSON is YAML, so one parser gives line numbers for both. */
export function parseConfig(text: string, env: Environment): Loaded {
  return readConfig(parseText(text).document, env);
}

/** The configuration in a parsed document that still contains references to the environment and to files. */
export function readConfig(written: unknown, env: Environment): Loaded {
  const document = withoutAnnotations(written);
  const { value, problems: unset, fromFiles } = substituteEnvironment(document, env);
  const parsed = fileSchema.safeParse(value);
  const invalid = parsed.success ? [] : schemaProblems(parsed.error, document);
  // A text with an unset variable gets only that problem, whatever the schema thinks of its placeholder.
  const known = new Set(unset.map(({ path }) => path));
  const problems = [...unset, ...[...invalid, ...conflicts(value)].filter(({ path }) => !known.has(path))];
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems, warnings(value));
  return { config: resolve(parsed.data, fromFiles), warnings: warnings(value) };
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    const reason = (cause instanceof Error ? cause.message : String(cause)).replaceAll(
      file,
      withoutCredentials(file),
    );
    throw new UnreadableFile([{ path: "", message: `cannot be read: ${reason}` }]);
  }
}

/** Reports syntax errors of a JSON file in JSON's terms; the parser for both formats would use YAML's. */
function checkJson(text: string): void {
  const errors: ParseError[] = [];
  parseJson(text, errors, { disallowComments: true, allowTrailingComma: false });
  if (errors.length === 0) return;
  throw new ConfigError(
    // Further errors are mostly consequences of the first.
    errors.slice(0, 1).map(({ error, offset }) => {
      const before = text.slice(0, offset).split("\n");
      const what = printParseErrorCode(error)
        .replace(/(?<=[a-z])(?=[A-Z])/g, " ")
        .toLowerCase();
      return {
        path: "",
        message: `line ${before.length}, column ${(before.at(-1) ?? "").length + 1}: is not JSON: ${what}`,
      };
    }),
  );
}

function parseText(text: string): Pick<Source, "document"> & { lineOf(path: string): number | undefined } {
  const lineCounter = new LineCounter();
  // Pretty errors quote the line, which may contain a secret. `merge` allows `<<: *anchor` of YAML 1.1, the main use of anchors.
  const document = parseDocument(text, { lineCounter, prettyErrors: false, merge: true });
  const faults = [...document.errors, ...document.warnings].map(({ message, pos }) => {
    const { line, col } = lineCounter.linePos(pos[0]);
    return { path: "", message: `line ${line}, column ${col}: ${withoutSource(message)}` };
  });
  if (faults.length > 0) throw new ConfigError(faults);
  const lineOf = (path: string) => lineIn(document, lineCounter, keysOf(path));
  try {
    return { document: document.toJS(), lineOf };
  } catch (cause) {
    // Only `toJS` finds aliases without an anchor, or with endless expansion.
    throw new ConfigError([{ path: "", message: cause instanceof Error ? cause.message : String(cause) }]);
  }
}

/** Removes the offending text, which some messages end with. */
function withoutSource(message: string): string {
  return message.replace(/: ".*$/s, "");
}

/** The keys of a path from `formatPath`. */
function keysOf(path: string): readonly string[] {
  return [...path.matchAll(/\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|([^.[\]]+)/g)].map(([, quoted, index, name]) =>
    quoted === undefined ? (index ?? name ?? "") : String(JSON.parse(`"${quoted}"`)),
  );
}

/** The line of the setting at a path or, if it is missing, of the section that lacks it. */
function lineIn(document: Document, counter: LineCounter, keys: readonly string[]): number | undefined {
  let node: unknown = document.contents;
  let offset = isNode(node) ? node.range?.[0] : undefined;
  for (const key of keys) {
    const next = isMap(node)
      ? node.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === key)
      : isSeq(node)
        ? node.items[Number(key)]
        : undefined;
    if (next === undefined) break;
    const start = isPair(next) ? next.key : next;
    offset = (isNode(start) ? start.range?.[0] : undefined) ?? offset;
    node = isPair(next) ? next.value : next;
  }
  return keys.length === 0 || offset === undefined ? undefined : counter.linePos(offset).line;
}
