import { Document, isCollection, isMap, isScalar } from "yaml";
import { oneLine } from "../ops/one-line.ts";
import { isObject, type JsonObject } from "../protocol/jsonrpc.ts";
import type { Facts } from "./facts.ts";
import { type SuggestedRule, suggestRules } from "./rules.ts";

/** Names whose paths belong to the gateway. */
const TAKEN: readonly string[] = ["health", "metrics"];
const MAX_NAME_CHARS = 64;

/**
 * The configuration file that the facts speak for, with the report as comments before it.
 * @param upstream where the server is, as it was given: variables of the environment are not filled in
 */
export function suggest(facts: Facts, upstream: JsonObject, report: readonly string[]): string {
  const name = nameOf(facts);
  const rules = suggestRules(facts).filter(differs);
  const server = {
    upstream: { ...given(upstream), ...transportOf(facts), ...sessionsOf(facts), ...startTimeoutOf(facts) },
    ...(rules.length === 0 ? {} : { tools: rules.map(({ reason: _, ...rule }) => rule) }),
  };
  const document = new Document({ servers: { [name]: server } });
  document.commentBefore = report.map(commented).join("\n");
  if (hasPlainHeader(upstream)) explain(document, ["servers", name, "upstream"], "headers", SECRETS);
  explain(document, ["servers", name, "upstream"], "sessions", "it takes one session at a time");
  explain(
    document,
    ["servers", name, "upstream"],
    "startTimeout",
    "it starts slowly: three times what it took",
  );
  rules.forEach((rule, index) => {
    explainRule(document, ["servers", name, "tools", index], rule);
  });
  return document.toString({ lineWidth: 0 });
}

const SECRETS = `a secret is better taken from the environment, as $\{NAME}`;

function hasPlainHeader({ headers }: JsonObject): boolean {
  return isObject(headers) && Object.values(headers).some((value) => !String(value).includes(`$\{`));
}

/** A name for the server, of its own: `example-servers/everything` is called `everything`. */
export function nameOf({ server }: Facts): string {
  const last = (server.name ?? "").split("/").at(-1) ?? "";
  let name = last
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, "-")
    .slice(0, MAX_NAME_CHARS)
    .replace(/^[^a-z0-9]+/, "");
  while (name.endsWith("-")) name = name.slice(0, -1);
  if (name === "") return "server";
  return TAKEN.includes(name) ? `${name}-server` : name;
}

/** Whether a rule says anything that does not hold for every tool anyway. */
function differs({ mode, waitFor }: SuggestedRule): boolean {
  return mode !== "auto" || waitFor !== undefined;
}

/** Empty lists and mappings are what holds anyway. */
function given(upstream: JsonObject): JsonObject {
  const isEmpty = (value: unknown) =>
    value === undefined || (typeof value === "object" && Object.keys(value ?? {}).length === 0);
  return Object.fromEntries(Object.entries(upstream).filter(([, value]) => !isEmpty(value)));
}

/** What is started by a command has no other. */
function transportOf({ transport }: Facts): JsonObject {
  return transport === "stdio" ? {} : { transport };
}

function sessionsOf({ legacy }: Facts): JsonObject {
  const verdict = legacy?.secondSession?.verdict;
  return verdict === undefined || verdict === "works" ? {} : { sessions: "single" };
}

/** A process that has taken so long may take longer than the half minute that it is given. */
const SLOW_START_MS = 10_000;

function startTimeoutOf({ legacy }: Facts): JsonObject {
  const { startMs = 0 } = legacy ?? {};
  return startMs < SLOW_START_MS ? {} : { startTimeout: `${Math.ceil((startMs * 3) / 1_000)}s` };
}

/** Says why a setting is what it is, where it is there. */
function explain(document: Document, path: readonly string[], setting: string, reason: string): void {
  const section = document.getIn(path, true);
  const key = isMap(section)
    ? section.items.map((pair) => pair.key).find((found) => isScalar(found) && found.value === setting)
    : undefined;
  if (isScalar(key)) key.commentBefore = commented(reason);
}

function explainRule(
  document: Document,
  path: readonly (string | number)[],
  { reason }: SuggestedRule,
): void {
  const rule = document.getIn(path, true);
  if (!isCollection(rule)) return;
  rule.commentBefore = commented(reason);
  rule.flow = true;
}

function commented(line: string): string {
  return ` ${oneLine(line)}`.trimEnd();
}
