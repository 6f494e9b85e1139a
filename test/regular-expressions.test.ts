/**
 * No regular expression of `src` takes more than linear time, whatever it is applied to: a tool name, a header, a server's words.
 * The proof is by automata, for polynomial growth as well as exponential; what cannot be proved is as wrong as what is refuted.
 */

import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { type Node, SyntaxKind } from "typescript/unstable/ast";
import { API } from "typescript/unstable/sync";
import { expect, test } from "vitest";

const SRC = join(import.meta.dirname, "../src");

/** What may stay without a proof, by file and literal, with the reason. */
const EXEMPT: Readonly<Record<string, string>> = {};

interface Diagnosis {
  readonly status: "safe" | "vulnerable" | "unknown";
  readonly checker?: string;
  readonly complexity?: { readonly summary: string };
  readonly error?: { readonly message?: string };
}
type Check = (source: string, flags: string, settings: object) => Diagnosis;

/** By automata alone, with room for every counted repetition. Its fuzzing finds faults, and proves nothing. */
const SETTINGS = {
  checker: "automaton",
  maxRepeatCount: 1_000,
  maxNFASize: 200_000,
  maxPatternSize: 5_000,
  timeout: 60_000,
};

test("every regular expression is linear", () => {
  // In this process, and not in a program of its own.
  process.env.RECHECK_BACKEND = "pure";
  const { checkSync } = createRequire(import.meta.url)("recheck") as { readonly checkSync: Check };
  const literals = regularExpressions();
  expect(literals.length).toBeGreaterThan(50);
  const faults = literals
    .filter(({ name }) => EXEMPT[name] === undefined)
    .map(({ name, source, flags }) => [name, faultOf(checkSync(source, flags, SETTINGS))] as const)
    .filter(([, fault]) => fault !== undefined);
  expect(faults).toEqual([]);
  expect(faultOf(checkSync("^[ \\t]+|[ \\t]+$", "g", SETTINGS))).toBe("2nd degree polynomial");
  expect(faultOf(checkSync("^(a+)+$", "", SETTINGS))).toBe("exponential");
}, 300_000);

test("none is made of a text, whose time nobody has proved", () => {
  const made = nodes().filter(({ node }) => isMadeOfText(node));
  expect(made.map(({ file, node }) => `${file}: ${node.getText()}`)).toEqual([]);
});

test("nothing is exempt that is not there", () => {
  const names = regularExpressions().map(({ name }) => name);
  expect(Object.keys(EXEMPT).filter((name) => !names.includes(name))).toEqual([]);
});

function faultOf({ status, checker, complexity, error }: Diagnosis): string | undefined {
  if (status === "safe" && checker === "automaton") return undefined;
  return complexity?.summary ?? `not proved: ${error?.message ?? status}`;
}

interface Found {
  readonly file: string;
  readonly node: Node;
}

let found: readonly Found[] | undefined;

/** Every node of every file of `src`, as the compiler sees it. */
function nodes(): readonly Found[] {
  if (found !== undefined) return found;
  const api = new API({ cwd: join(SRC, "..") });
  try {
    const snapshot = api.updateSnapshot({ openProject: join(SRC, "tsconfig.json") });
    const [project] = snapshot.getProjects();
    if (project === undefined) throw new Error("src is no project");
    const all: Found[] = [];
    const files = project.program
      .getSourceFileNames()
      .filter((name) => !relative(SRC, name).startsWith(".."));
    for (const name of files) {
      const file = relative(SRC, name);
      const walk = (node: Node): undefined => {
        all.push({ file, node });
        node.forEachChild(walk);
      };
      walk(project.program.getSourceFile(name) as unknown as Node);
    }
    found = all;
    return all;
  } finally {
    api.close();
  }
}

function regularExpressions() {
  return nodes()
    .filter(({ node }) => node.kind === SyntaxKind.RegularExpressionLiteral)
    .map(({ file, node }) => {
      const literal = node.getText();
      const end = literal.lastIndexOf("/");
      return { name: `${file} ${literal}`, source: literal.slice(1, end), flags: literal.slice(end + 1) };
    });
}

/** `RegExp(…)`, with or without `new`, and the methods of texts that make one of what they are given. */
function isMadeOfText(node: Node): boolean {
  if (node.kind !== SyntaxKind.NewExpression && node.kind !== SyntaxKind.CallExpression) return false;
  const text = node.getText();
  return (
    /^(?:new\s+)?(?:globalThis\.)?RegExp\b/.test(text) ||
    /^[\w.]+\.(?:match|matchAll|search)\(["'`]/.test(text)
  );
}
