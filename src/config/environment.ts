import { formatPath, type Path, type Problem } from "./problems.ts";
import { type FileText, readSecretFile } from "./secret-file.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Substituted {
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** What files held, and the setting that it was put into. */
  readonly fromFiles: readonly FromFile[];
}

export interface FromFile {
  readonly path: Path;
  readonly text: string;
}

/**
 * Replaces references in every text of a document: `${NAME}` becomes the variable's value, `${file:PATH}` the text of a file, `$${` a plain
 * `${`. It does not replace references inside the values of variables, nor of files. A text with a problem stays as it is.
 */
export function substituteEnvironment(document: unknown, env: Environment): Substituted {
  const problems: Problem[] = [];
  const fromFiles: FromFile[] = [];
  const visit = (node: unknown, path: Path, above: readonly object[]): unknown => {
    const problem = (message: string, unset?: string) =>
      problems.push({ path: formatPath(path), message, ...(unset === undefined ? {} : { unset }) });
    if (typeof node === "string") return fill(node, env, problem, (text) => fromFiles.push({ path, text }));
    if (typeof node !== "object" || node === null) return node;
    if (above.includes(node)) {
      problem("refers to itself");
      return null;
    }
    const inside = [...above, node];
    if (Array.isArray(node)) return node.map((item, index) => visit(item, [...path, index], inside));
    return Object.fromEntries(
      Object.entries(node).flatMap(([key, item]) => {
        // No later step notices this key, so the gateway would silently ignore it.
        if (key === "__proto__")
          problems.push({ path: formatPath([...path, key]), message: "is not a setting" });
        return key === "__proto__" ? [] : [[key, visit(item, [...path, key], inside)]];
      }),
    );
  };
  return { value: visit(document, [], []), problems, fromFiles };
}

function fill(
  text: string,
  env: Environment,
  problem: (message: string, unset?: string) => void,
  onFile: (text: string) => void,
): string {
  let isComplete = true;
  const filled = text.replace(/\$\$\{|\$\{([^}]*)\}?/g, (reference: string, name: string | undefined) => {
    if (name === undefined) return "${";
    const found: Found = reference.endsWith("}")
      ? textOf(reference, name, env)
      : { fault: noName(reference) };
    if ("fault" in found) {
      isComplete = false;
      problem(found.fault, "unset" in found ? found.unset : undefined);
      return reference;
    }
    if (name.startsWith(FILE)) onFile(found.text);
    return found.text;
  });
  return isComplete ? filled : text;
}

/** Begins the name of a reference to a file. */
const FILE = "file:";

/** The text that stands for a reference, or why there is none, and the variable that is not set. */
type Found = FileText | { readonly fault: string; readonly unset?: string };

function textOf(reference: string, name: string, env: Environment): Found {
  if (name.startsWith(FILE)) return readSecretFile(name.slice(FILE.length), env);
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  if (value !== undefined) return { text: value };
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
    return { fault: `the environment variable ${name} is not set`, unset: name };
  return { fault: noName(reference) };
}

function noName(reference: string): string {
  return `${JSON.stringify(reference)} does not name an environment variable; a plain "\${" is written "$\${"`;
}
