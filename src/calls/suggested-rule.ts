import { type Document, isMap, isSeq, type YAMLSeq } from "yaml";
import { oneLine } from "../log/one-line.ts";

/** A rule of the configuration file, with the reason for it. */
export interface SuggestedRule {
  readonly match: string;
  readonly mode: "auto" | "always" | "required";
  readonly waitFor?: string;
  readonly reason: string;
}

/** An answer that comes this soon is better waited for than polled for. */
export const WORTH_WAITING_MS = 5_000;

/** The rules as a list for `servers.<name>.tools` of a document, each on a line of its own below its reason. */
export function ruleList(document: Document, rules: readonly SuggestedRule[]): YAMLSeq {
  const list = document.createNode(rules.map(({ reason: _, ...rule }) => rule));
  if (!isSeq(list)) throw new Error("a list of rules has become something else");
  list.items.forEach((rule, index) => {
    if (!isMap(rule)) return;
    rule.commentBefore = commented(rules[index]?.reason ?? "");
    rule.flow = true;
  });
  return list;
}

/** A line as a comment of a YAML document, whoever wrote it. */
export function commented(line: string): string {
  return ` ${oneLine(line)}`.trimEnd();
}
