import { defaults } from "../config/schema.ts";
import { parseDuration } from "../config/units.ts";
import type { CallFacts, Facts, ToolFacts } from "./facts.ts";

/** A rule of the file, with the reason for it. */
export interface SuggestedRule {
  readonly match: string;
  readonly mode: "auto" | "always" | "required";
  readonly waitFor?: string;
  readonly reason: string;
}

/** What the tools are given that no rule is for. */
const WAIT_FOR_MS = parseDuration(defaults.tasks.waitFor) ?? 0;
/** An answer that comes so soon is better waited for than polled for. */
const WORTH_WAITING_MS = 5_000;
/** Most clients that know no tasks give a call up after a minute. */
const TOO_LONG_MS = 50_000;

/**
 * Rules for what was measured, and for what tools say of themselves. A tool that neither of them says anything about has none:
 * nothing is guessed from names or descriptions.
 */
export function suggestRules(facts: Facts): readonly SuggestedRule[] {
  if (hasOwnTasks(facts)) return [];
  const { listed, call } = facts;
  const measured = call === undefined ? [] : measuredRule(call);
  const known = new Set(measured.map(({ match }) => match));
  return [...measured, ...listed.tools.flatMap(annotatedRule).filter(({ match }) => !known.has(match))];
}

/** Whether calls become tasks of the server's own. Over stdio it is spoken to as a legacy server, which has none. */
export function hasOwnTasks({ modern, transport }: Facts): boolean {
  return modern?.hasTasks === true && transport !== "stdio";
}

function measuredRule({ tool, endedMs, end, questions }: CallFacts): readonly SuggestedRule[] {
  const match = exactly(tool);
  if (end.kind === "late")
    return [
      {
        match,
        mode: "required",
        reason: `not done after ${seconds(endedMs)}: clients without tasks are told so at once`,
      },
    ];
  // What failed, or waited for nobody to answer, does not say how long a call takes.
  if (end.kind !== "result" || end.isError || questions.length > 0) return [];
  const took = `one call took ${endedMs} ms`;
  if (endedMs > TOO_LONG_MS)
    return [
      { match, mode: "required", reason: `${took}: most clients without tasks give up after a minute` },
    ];
  if (endedMs <= WAIT_FOR_MS) return [{ match, mode: "auto", reason: `${took}: it is answered directly` }];
  if (endedMs > WORTH_WAITING_MS)
    return [{ match, mode: "auto", reason: `${took}: it is a task for clients that know them` }];
  const waitFor = `${Math.ceil((endedMs * 2) / 1_000)}s`;
  return [
    { match, mode: "auto", waitFor, reason: `${took}: twice that is waited for before it becomes a task` },
  ];
}

function annotatedRule({
  name,
  readOnlyHint,
  destructiveHint,
  idempotentHint,
}: ToolFacts): readonly SuggestedRule[] {
  const match = exactly(name);
  if (readOnlyHint === true) return [{ match, mode: "auto", reason: "says that it only reads" }];
  if (destructiveHint !== true || idempotentHint === true) return [];
  const reason =
    "says that it destroys and may not be repeated: from the start a task, whose outcome can be looked up";
  return [{ match, mode: "always", reason }];
}

/** A glob for this name and no other. */
function exactly(name: string): string {
  return name.replace(/[\\*?[\]{}()!+@|]/g, "\\$&");
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1_000)} s`;
}
