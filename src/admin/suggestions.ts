import { Document } from "yaml";
import { makesTasks } from "../calls/policy.ts";
import { commented, ruleList, type SuggestedRule, WORTH_WAITING_MS } from "../calls/suggested-rule.ts";
import type { TaskMode, ToolPolicy } from "../config/config.ts";
import { globFor } from "../glob.ts";
import { durationText } from "../lib/duration-text.ts";
import type { CallCount, ToolCount } from "../observers/calls/call-counts.ts";
import { Durations } from "../observers/calls/durations.ts";
import { OTHER } from "../observers/per-tool.ts";
import type { Route } from "../requests/request.ts";
import { isoTime } from "../tasks/state.ts";

/** What the calls that were counted suggest for the configuration file. Nothing is changed. */
export interface Suggestions {
  /** The gateway that counted: each counts its own calls, from its start on. */
  readonly replica: string;
  readonly since: string;
  readonly servers: readonly ServerSuggestions[];
  /** The rules for the file, with their reasons as comments. */
  readonly yaml: string;
}

export interface ServerSuggestions {
  readonly name: string;
  readonly tools: readonly ToolFigures[];
  /** Those that differ from what the configuration says now. */
  readonly rules: readonly SuggestedRule[];
}

/** How long a tool's calls took, those included that their clients gave up. */
export interface ToolFigures {
  /** `_other`: all tools that the server does not list here. */
  readonly tool: string;
  /** In the configuration as it is. */
  readonly mode: TaskMode;
  readonly calls: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly maxMs: number;
  /** How many calls ran longer than `waitFor`, and would have become tasks in mode `auto`. */
  readonly long: number;
  /** How many calls their clients gave up, and after how long most of them. */
  readonly abandoned: number;
  readonly abandonedMs?: number;
  /** `rule`: there is one for it. `fits`: the configuration does. */
  readonly verdict: "rule" | "fits" | "not enough seen" | "not listed";
}

/** Fewer calls say little. */
const ENOUGH_CALLS = 10;
/** Some clients leave whatever a gateway does; these are too many. */
const ABANDONED = { calls: 3, share: 0.05 } as const;
/** What ends the first word of a name. */
const WORD = /^[^_.-]+[_.-]/;

export interface SuggestionsOptions {
  readonly routes: readonly Route[];
  readonly count: CallCount;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly replica: string;
}

export function suggestionsOf({ routes, count, now, replica }: SuggestionsOptions): Suggestions {
  const servers = routes.map((route) => suggestFor(route, count.servers.get(route.config.name) ?? []));
  const since = isoTime(now - count.sinceMs);
  return { replica, since, servers, yaml: yamlOf(servers, `since ${since}, at gateway ${replica}`) };
}

type Advised = Pick<SuggestedRule, "mode" | "waitFor">;

/** One tool and what it needs; `undefined`: what it has. */
interface Judged {
  readonly tool: string;
  readonly figures: Omit<ToolFigures, "verdict">;
  readonly count: ToolCount;
  readonly verdict: ToolFigures["verdict"];
  readonly advice: Advised | undefined;
}

function suggestFor({ config, policy }: Route, counts: readonly ToolCount[]): ServerSuggestions {
  const judged = counts.map((count) => judge(count, policy(count.tool)));
  return {
    name: config.name,
    tools: judged.map(({ figures, verdict }) => ({ ...figures, verdict })),
    rules: grouped(judged).map(([match, those]) => ruleFor(match, those, policy)),
  };
}

function judge(count: ToolCount, policy: ToolPolicy): Judged {
  const figures = figuresOf(count, policy);
  const { tool } = count;
  const judged = { tool, figures, count };
  if (tool === OTHER || tool === "") return { ...judged, verdict: "not listed", advice: undefined };
  if (figures.calls < ENOUGH_CALLS) return { ...judged, verdict: "not enough seen", advice: undefined };
  const advice = adviceFor(figures, count.abandoned.above(policy.waitForMs), policy);
  return { ...judged, verdict: advice === undefined ? "fits" : "rule", advice };
}

function figuresOf({ tool, answered, abandoned }: ToolCount, { mode, waitForMs }: ToolPolicy) {
  const all = new Durations().add(answered).add(abandoned);
  return {
    tool,
    mode,
    calls: all.count,
    p50Ms: Math.round(all.quantile(0.5)),
    p95Ms: Math.round(all.quantile(0.95)),
    maxMs: Math.round(all.maxMs),
    long: all.above(waitForMs),
    abandoned: abandoned.count,
    ...(abandoned.count === 0 ? {} : { abandonedMs: Math.round(abandoned.quantile(0.5)) }),
  };
}

/**
 * What suits the calls; `undefined`: the policy as it is.
 * @param abandoned how many calls were given up so late that a task would have helped
 */
function adviceFor(
  { calls, p50Ms, p95Ms }: Omit<ToolFigures, "verdict">,
  abandoned: number,
  { mode, waitForMs }: ToolPolicy,
): Advised | undefined {
  const isAbandoned = abandoned >= Math.max(ABANDONED.calls, ABANDONED.share * calls);
  if (isAbandoned || p50Ms > WORTH_WAITING_MS)
    return mode === "always" || mode === "required" ? undefined : { mode: "always" };
  if (p95Ms <= waitForMs) return mode === "always" ? { mode: "auto" } : undefined;
  if (p95Ms > WORTH_WAITING_MS) return makesTasks(mode) ? undefined : { mode: "auto" };
  return { mode: mode === "required" ? mode : "auto", waitFor: `${Math.ceil(p95Ms / 1_000)}s` };
}

/** The tools that need a rule, by what matches them: all with the same first word where all that were called need the same. */
function grouped(judged: readonly Judged[]): readonly (readonly [string, readonly Judged[]])[] {
  const groups = new Map<string, Judged[]>();
  for (const each of judged) {
    const { tool, advice } = each;
    if (advice === undefined) continue;
    const [word] = WORD.exec(tool) ?? [];
    const kin = judged.filter((other) => word !== undefined && other.tool.startsWith(word));
    const areAlike = kin.length > 1 && kin.every((other) => isSame(other.advice, advice));
    const match = areAlike ? `${globFor(word ?? "")}*` : globFor(tool);
    groups.set(match, [...(groups.get(match) ?? []), each]);
  }
  return [...groups];
}

function isSame(one: Advised | undefined, other: Advised): boolean {
  return one?.mode === other.mode && one.waitFor === other.waitFor;
}

function ruleFor(match: string, those: readonly Judged[], policy: Route["policy"]): SuggestedRule {
  const [first] = those;
  if (first?.advice === undefined) throw new Error("a rule needs an advice");
  const sum = { tool: first.tool, answered: new Durations(), abandoned: new Durations() };
  for (const { count } of those) {
    sum.answered.add(count.answered);
    sum.abandoned.add(count.abandoned);
  }
  const reason = `${figuresText(figuresOf(sum, policy(first.tool)))}: ${WHY[first.advice.mode](first.advice)}`;
  return { match, ...first.advice, reason };
}

const WHY: Readonly<Record<Advised["mode"], (advice: Advised) => string>> = {
  always: () => "a task at once",
  auto: ({ waitFor }) =>
    waitFor === undefined
      ? "a task when it takes long"
      : `nearly all are answered directly within ${waitFor}`,
  required: ({ waitFor }) => `nearly all are answered directly within ${waitFor}`,
};

function figuresText({
  calls,
  p50Ms,
  p95Ms,
  abandoned,
  abandonedMs = 0,
}: Omit<ToolFigures, "verdict">): string {
  const took = `p50 ${durationText(p50Ms)}, p95 ${durationText(p95Ms)}`;
  return abandoned === 0
    ? `${took} of ${calls} calls`
    : `${took}, ${abandoned} of ${calls} calls abandoned at ${durationText(abandonedMs)}`;
}

function yamlOf(servers: readonly ServerSuggestions[], counted: string): string {
  const document = new Document({ servers: {} });
  const withRules = servers.filter(({ rules }) => rules.length > 0);
  for (const { name, rules } of withRules)
    document.setIn(["servers", name], document.createNode({ tools: ruleList(document, rules) }));
  const head =
    withRules.length === 0
      ? `no rule to suggest from the calls counted ${counted}`
      : `from the calls counted ${counted}; the first rule that matches decides, so these go before others`;
  const rest = servers.flatMap(({ name, tools }) =>
    tools
      .filter(({ verdict }) => verdict !== "rule")
      .map((figures) => `${name}: ${figures.tool}: ${figuresText(figures)}: ${restText(figures)}`),
  );
  const comments = (lines: readonly string[]) => lines.map(commented).join("\n");
  if (withRules.length === 0) return `${[head, ...rest].map((line) => `#${commented(line)}`).join("\n")}\n`;
  document.commentBefore = comments([head]);
  if (rest.length > 0) document.comment = comments(rest);
  return document.toString({ lineWidth: 0 });
}

function restText({ verdict, mode }: ToolFigures): string {
  return verdict === "fits" ? `${mode} fits` : verdict;
}
