import { formatPath, type Path, type Problem } from "./problems.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Substituted {
  readonly value: unknown;
  readonly problems: readonly Problem[];
}

/**
 * Replaces references in every text of a document: `${NAME}` becomes the variable's value, `$${` a plain `${`. It does not replace
 * references inside the values of variables. A text with a problem stays as it is.
 */
export function substituteEnvironment(document: unknown, env: Environment): Substituted {
  const problems: Problem[] = [];
  const visit = (node: unknown, path: Path, above: readonly object[]): unknown => {
    const problem = (message: string, unset?: string) =>
      problems.push({ path: formatPath(path), message, ...(unset === undefined ? {} : { unset }) });
    if (typeof node === "string") return fill(node, env, problem);
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
  return { value: visit(document, [], []), problems };
}

function fill(text: string, env: Environment, problem: (message: string, unset?: string) => void): string {
  let isComplete = true;
  const filled = text.replace(/\$\$\{|\$\{([^}]*)\}?/g, (reference: string, name: string | undefined) => {
    if (name === undefined) return "${";
    const value = Object.hasOwn(env, name) ? env[name] : undefined;
    if (value !== undefined && reference.endsWith("}")) return value;
    isComplete = false;
    if (isReference(reference, name)) problem(`the environment variable ${name} is not set`, name);
    else
      problem(
        `${JSON.stringify(reference)} does not name an environment variable; a plain "\${" is written "$\${"`,
      );
    return reference;
  });
  return isComplete ? filled : text;
}

function isReference(reference: string, name: string): boolean {
  return reference.endsWith("}") && /^[A-Za-z_][A-Za-z0-9_]*$/.test(name);
}
