/** How two answers are compared: every place in which they differ, as text. */

import type { Answer } from "../support/modern-client.ts";

/** The places, sorted, as `path: what one has | what the other has`, where `-` is nothing. */
export function differences(one: Answer, other: Answer): string[] {
  const isSameKind = kindOf(one) === kindOf(other);
  const [left, right] = isSameKind ? [flat(one), flat(other)] : [summary(one), summary(other)];
  const paths = [...new Set([...left.keys(), ...right.keys()])].sort();
  return paths
    .filter((path) => left.get(path) !== right.get(path))
    .map((path) => `${path}: ${left.get(path) ?? "-"} | ${right.get(path) ?? "-"}`);
}

/** Headers that say something about the protocol. */
const HEADERS = ["content-type", "allow"] as const;
/** What is said in words, and what the SDK adds to it, is for people. */
const WORDS = ["/error/message", "/error/data/mismatch", "/error/data/envelope"];

function kindOf({ message }: Answer): string {
  if (message === undefined) return "nothing";
  return message.error === undefined ? "result" : "error";
}

/** Where one is a result and the other an error, no more can be compared. */
function summary(answer: Answer): Map<string, string> {
  const { status, message } = answer;
  const code = message?.error?.code;
  return new Map([
    ["status", String(status)],
    ["/id", JSON.stringify(message?.id)],
    ["answer", code === undefined ? kindOf(answer) : `error ${code}`],
  ]);
}

function flat({ status, headers, message, before }: Answer): Map<string, string> {
  const found = new Map([["status", String(status)]]);
  const visit = (value: unknown, path: string): void => {
    const isLeaf = typeof value !== "object" || value === null || Object.keys(value).length === 0;
    if (WORDS.includes(path)) found.set(path, "…");
    else if (isLeaf) found.set(path, JSON.stringify(value));
    else for (const [key, inner] of Object.entries(value)) visit(inner, `${path}/${key}`);
  };
  for (const name of HEADERS) if (headers[name] !== undefined) visit(headers[name], name);
  for (const [index, earlier] of before.entries()) visit(earlier, `before/${index}`);
  if (message !== undefined) visit(message, "");
  return found;
}
