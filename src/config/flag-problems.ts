import {
  COMMAND,
  type FlagName,
  type Flags,
  HTTP_FLAGS,
  looksLikeRule,
  NAME,
  SETTINGS,
  serveFlags,
  textsOf,
} from "./flags.ts";
import type { Problem } from "./problems.ts";

const OF_URL: readonly FlagName[] = ["upstream", "header", "forward-header"];
const REPEATED = "is given more than once";

/** What can be wrong with flags as such, before it is asked what they say. */
export function misuse(flags: Flags): readonly Problem[] {
  const names = Object.keys(serveFlags) as FlagName[];
  const given = names.filter((name) => flags[name] !== undefined);
  const isRepeated = (name: FlagName) => !("array" in serveFlags[name]) && Array.isArray(flags[name]);
  return [
    ...given.filter(isRepeated).map((name) => ({ path: `--${name}`, message: REPEATED })),
    ...malformedTools(textsOf(flags.tool)),
    ...malformedHeaders(textsOf(flags.header)),
    ...contradictions(given, flags["--"] !== undefined),
  ];
}

/** The same for `stdio`. */
export function misuseOfStdio(flags: Flags): readonly Problem[] {
  const useless = HTTP_FLAGS.filter((name) => flags[name] !== undefined).map((name) => `--${name}`);
  return [
    ...useless.map((path) => ({ path, message: "makes no sense with stdio, where nothing comes over HTTP" })),
    ...misusedServer(flags),
    ...misuse(flags).filter(({ path }) => !useless.includes(path)),
  ];
}

/** The problem as seen by somebody who wrote flags; what no flag can say keeps the path of the file. */
export function sayOfFlag({ path, message }: Problem, flags: Flags): Problem {
  if (path === COMMAND) return { path: "--", message };
  const found = settings().find(
    ([, setting]) => path.startsWith(setting) && /^($|[.[])/.test(path.slice(setting.length)),
  );
  if (found === undefined) return { path, message };
  const [name, setting] = found;
  const rest = path.slice(setting.length);
  const index = /^\[(\d+)\]/.exec(rest)?.[1];
  const which = index === undefined ? rest.replace(/^\./, "") : (itemsOf(name, flags)[Number(index)] ?? rest);
  return { path: which === "" ? `--${name}` : `--${name} ${which}`, message };
}

function misusedServer({ server, config }: Flags): readonly Problem[] {
  const path = "--server";
  if (Array.isArray(server)) return [{ path, message: REPEATED }];
  if (server === undefined || config !== undefined) return [];
  return [{ path, message: "names a server of a file, and there is no --config" }];
}

function malformedTools(rules: readonly string[]): readonly Problem[] {
  return rules
    .filter((rule) => !looksLikeRule(rule))
    .map((rule) => ({ path: "--tool", message: `must look like GLOB=MODE, got ${JSON.stringify(rule)}` }));
}

/** What is not understood is not repeated: half of it is a secret. */
function malformedHeaders(headers: readonly string[]): readonly Problem[] {
  const names = headers.map((header) => /^([^:]+):/.exec(header)?.[1]);
  return names.flatMap((name, index) => {
    if (name === undefined) return [{ path: "--header", message: 'must look like "Name: value"' }];
    return names.indexOf(name) < index ? [{ path: `--header ${name}`, message: REPEATED }] : [];
  });
}

/** A file, a URL and a command: one of them is needed, and no two can be had. */
function contradictions(given: readonly FlagName[], hasCommand: boolean): readonly Problem[] {
  if (given.includes("config")) return besidesFile(given, hasCommand);
  if (hasCommand) return besidesCommand(given);
  return given.includes("upstream")
    ? []
    : [{ path: "--upstream", message: "is needed, or -- COMMAND, or --config FILE" }];
}

function besidesFile(given: readonly FlagName[], hasCommand: boolean): readonly Problem[] {
  const flags = settings()
    .filter(([name]) => given.includes(name))
    .map(([name, setting]) => [`--${name}`, setting] as const);
  const all = hasCommand ? [...flags, ["--", COMMAND] as const] : flags;
  return all.map(([path, setting]) => ({
    path,
    message: `cannot go with --config, where it is ${setting.replace(`.${NAME}.`, ".<name>.")}`,
  }));
}

function besidesCommand(given: readonly FlagName[]): readonly Problem[] {
  return given
    .filter((name) => OF_URL.includes(name))
    .map((name) => ({ path: `--${name}`, message: "cannot go with a command behind --" }));
}

/** The texts that became a list of the document, in its order. */
function itemsOf(name: FlagName, flags: Flags): readonly string[] {
  return textsOf(flags[name]).filter((text) => name !== "tool" || looksLikeRule(text));
}

function settings(): readonly (readonly [Exclude<FlagName, "config">, string])[] {
  return Object.entries(SETTINGS) as [Exclude<FlagName, "config">, string][];
}
