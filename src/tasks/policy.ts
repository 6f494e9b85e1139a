import picomatch from "picomatch";
import type { ServerConfig, ToolPolicy } from "../config/config.ts";

/** What the configuration of a server says of each of its tools. */
export type Policy = (tool: string) => ToolPolicy;

/** The first rule whose glob matches the tool's name; the server's own settings where none does. */
export function policyOf({ tasks, tools }: Pick<ServerConfig, "tasks" | "tools">): Policy {
  // Tool names are no paths: a star stands for everything, slashes and leading dots included.
  const rules = tools.map((rule) => ({ rule, matches: picomatch(rule.match, { dot: true, bash: true }) }));
  return (tool) => rules.find(({ matches }) => matches(tool))?.rule ?? tasks;
}
