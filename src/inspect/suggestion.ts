import { Document, isMap, isScalar } from "yaml";
import { commented, ruleList, type SuggestedRule, WORTH_WAITING_MS } from "../calls/suggested-rule.ts";
import { defaults } from "../config/schema.ts";
import { parseDuration } from "../config/units.ts";
import { globFor } from "../glob.ts";
import { isObject, type JsonObject } from "../protocol/jsonrpc.ts";
import type { CallFacts, Facts, ToolFacts } from "./facts.ts";

/** Names whose paths the gateway uses itself. */
const TAKEN: readonly string[] = ["health", "metrics"];
const MAX_NAME_CHARS = 64;
/** A process that took this long to start may take longer than the default half minute. */
const SLOW_START_MS = 10_000;
/** How long a call may take to be answered directly. */
const WAIT_FOR_MS = parseDuration(defaults.tasks.waitFor) ?? 0;
/** Most clients without tasks give a call up after a minute. */
const TOO_LONG_MS = 50_000;
const SECRETS = `a secret is better taken from the environment, as $\{NAME}`;

/**
 * Writes the configuration file that the facts suggest, with the report as comments before it.
 * @param upstream the upstream as given by flags: environment variables are not filled in
 */
export function suggest(facts: Facts, upstream: JsonObject, report: readonly string[]): string {
  const { transport, legacy } = facts;
  const name = nameOf(facts);
  const { outcome = "works" } = legacy?.secondSession ?? {};
  const { startMs = 0 } = legacy ?? {};
  const rules = suggestRules(facts).filter(({ mode, waitFor }) => mode !== "auto" || waitFor !== undefined);
  const server = {
    upstream: {
      ...given(upstream),
      ...(transport === "stdio" ? {} : { transport }),
      ...(outcome === "works" ? {} : { sessions: "single" }),
      ...(startMs < SLOW_START_MS ? {} : { startTimeout: `${Math.ceil((startMs * 3) / 1_000)}s` }),
    },
  };
  const document = new Document({ servers: { [name]: server } });
  if (rules.length > 0) document.setIn(["servers", name, "tools"], ruleList(document, rules));
  document.commentBefore = report.map(commented).join("\n");
  const explain = (setting: string, reason: string) => {
    const section = document.getIn(["servers", name, "upstream"], true);
    const key = isMap(section)
      ? section.items.map((pair) => pair.key).find((found) => isScalar(found) && found.value === setting)
      : undefined;
    if (isScalar(key)) key.commentBefore = commented(reason);
  };
  if (hasPlainHeader(upstream)) explain("headers", SECRETS);
  explain("sessions", "it takes one session at a time");
  explain("startTimeout", "it starts slowly: three times what it took");
  return document.toString({ lineWidth: 0 });
}

/** Derives a name from the server's own: `example-servers/everything` becomes `everything`. */
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

/**
 * Suggests rules from the measured call and from the tools' annotations. A tool with neither gets no rule: nothing is guessed from names
 * or descriptions.
 */
export function suggestRules(facts: Facts): readonly SuggestedRule[] {
  if (hasOwnTasks(facts)) return [];
  const { listed, call } = facts;
  const measured = call === undefined ? [] : measuredRule(call);
  const known = new Set(measured.map(({ match }) => match));
  return [...measured, ...listed.tools.flatMap(annotatedRule).filter(({ match }) => !known.has(match))];
}

/** Whether calls become the server's own tasks. Over stdio the gateway speaks to it as to a legacy server, which has none. */
export function hasOwnTasks({ modern, transport }: Facts): boolean {
  return modern?.hasTasks === true && transport !== "stdio";
}

function measuredRule({ tool, endedMs, end, questions }: CallFacts): readonly SuggestedRule[] {
  const match = globFor(tool);
  if (end.kind === "late") {
    const reason = `not done after ${Math.round(endedMs / 1_000)} s: clients without tasks are told so at once`;
    return [{ match, mode: "required", reason }];
  }
  // A call that failed, or waited for answers to questions, does not show how long a call takes.
  if (end.kind !== "result" || end.isError || questions.length > 0) return [];
  const rule = (mode: "auto" | "required", why: string) => {
    return { match, mode, reason: `one call took ${endedMs} ms: ${why}` };
  };
  if (endedMs > TOO_LONG_MS) return [rule("required", "most clients without tasks give up after a minute")];
  if (endedMs <= WAIT_FOR_MS) return [rule("auto", "it is answered directly")];
  if (endedMs > WORTH_WAITING_MS) return [rule("auto", "it is a task for clients that know them")];
  const waitFor = `${Math.ceil((endedMs * 2) / 1_000)}s`;
  return [{ ...rule("auto", "twice that is waited for before it becomes a task"), waitFor }];
}

function annotatedRule({ name, ...says }: ToolFacts): readonly SuggestedRule[] {
  const match = globFor(name);
  if (says.readOnlyHint === true) return [{ match, mode: "auto", reason: "says that it only reads" }];
  if (says.destructiveHint !== true || says.idempotentHint === true) return [];
  const reason =
    "says that it destroys and may not be repeated: from the start a task, whose outcome can be looked up";
  return [{ match, mode: "always", reason }];
}

function hasPlainHeader({ headers }: JsonObject): boolean {
  return isObject(headers) && Object.values(headers).some((value) => !String(value).includes(`$\{`));
}

/** Drops empty lists and mappings, which are the defaults. */
function given(upstream: JsonObject): JsonObject {
  const isEmpty = (value: unknown) =>
    value === undefined || (typeof value === "object" && Object.keys(value ?? {}).length === 0);
  return Object.fromEntries(Object.entries(upstream).filter(([, value]) => !isEmpty(value)));
}
