import { readFile } from "node:fs/promises";
import { LineCounter, parseDocument } from "yaml";
import { withoutAnnotations } from "./annotations.ts";
import type { Config } from "./config.ts";
import { conflicts } from "./conflicts.ts";
import { type Environment, substituteEnvironment } from "./environment.ts";
import { ConfigError, type Problem, schemaProblems, UnreadableFile } from "./problems.ts";
import { resolve } from "./resolve.ts";
import { fileSchema } from "./schema.ts";
import { warnings } from "./warnings.ts";

export interface Loaded {
  readonly config: Config;
  readonly warnings: readonly Problem[];
}

/** Reads a YAML or JSON file. Every reason why it cannot be used is in the `ConfigError` that is thrown. */
export async function loadConfig(file: string, env: Environment = process.env): Promise<Loaded> {
  return readConfig(await loadDocument(file), env);
}

/** What a file holds, before it is judged. @throws ConfigError when it cannot be read or parsed */
export async function loadDocument(file: string): Promise<unknown> {
  return parseText(await read(file));
}

/** The configuration in the text of a file. JSON is YAML, so one parser gives both their line numbers. */
export function parseConfig(text: string, env: Environment): Loaded {
  return readConfig(parseText(text), env);
}

/** The same for a document that is parsed already: the shape of the file, `${ENV}` still in it. */
export function readConfig(written: unknown, env: Environment): Loaded {
  const document = withoutAnnotations(written);
  const { value, problems: unset } = substituteEnvironment(document, env);
  const parsed = fileSchema.safeParse(value);
  const invalid = parsed.success ? [] : schemaProblems(parsed.error, document);
  // A text whose variable is unset has that one problem, whatever else its placeholder may look like.
  const known = new Set(unset.map(({ path }) => path));
  const problems = [...unset, ...[...invalid, ...conflicts(value)].filter(({ path }) => !known.has(path))];
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems, warnings(value));
  return { config: resolve(parsed.data), warnings: warnings(value) };
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UnreadableFile([{ path: "", message: `cannot be read: ${reason}` }]);
  }
}

function parseText(text: string): unknown {
  const lineCounter = new LineCounter();
  // Pretty errors quote the line, which may hold a secret. `<<: *anchor` is of YAML 1.1, and what anchors are mostly used for.
  const document = parseDocument(text, { lineCounter, prettyErrors: false, merge: true });
  const faults = [...document.errors, ...document.warnings].map(({ message, pos }) => {
    const { line, col } = lineCounter.linePos(pos[0]);
    return { path: "", message: `line ${line}, column ${col}: ${withoutSource(message)}` };
  });
  if (faults.length > 0) throw new ConfigError(faults);
  try {
    return document.toJS();
  } catch (cause) {
    // An alias without an anchor, or aliases that would expand without end, show only here.
    throw new ConfigError([{ path: "", message: cause instanceof Error ? cause.message : String(cause) }]);
  }
}

/** Some messages end with the text that was not understood. */
function withoutSource(message: string): string {
  return message.replace(/: ".*$/s, "");
}
