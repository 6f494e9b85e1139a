import type { ServerConfig, TaskMode, ToolPolicy } from "../config/config.ts";
import { compileGlob } from "../glob.ts";

/** The configured policy of each of a server's tools, by name. */
export type Policy = (tool: string) => ToolPolicy;

/** Whether calls in this mode may become tasks. */
export function makesTasks(mode: TaskMode): boolean {
  return mode !== "never" && mode !== "observe";
}

/** The first rule whose glob matches the tool's name; the server's own settings when none does. */
export function policyOf({ tasks, tools }: Pick<ServerConfig, "tasks" | "tools">): Policy {
  const rules = tools.map((rule) => ({ rule, matches: compileGlob(rule.match) }));
  return (tool) => rules.find(({ matches }) => matches(tool))?.rule ?? tasks;
}
