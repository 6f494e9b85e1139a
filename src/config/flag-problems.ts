import { isVariableName } from "./command.ts";
import {
  type FlagName,
  type Flags,
  HTTP_FLAGS,
  itemsOf,
  looksLikeRule,
  serveFlags,
  settingsOf,
  textsOf,
} from "./flags.ts";
import { headerNameOf, type Problem } from "./problems.ts";

const OF_URL: readonly FlagName[] = ["upstream", "upstream-from", "header", "header-from", "forward-header"];
const REPEATED = "is given more than once";

/** Problems of the flags themselves, whatever their values mean. */
export function misuse(flags: Flags): readonly Problem[] {
  const names = Object.keys(serveFlags) as FlagName[];
  const given = names.filter((name) => flags[name] !== undefined);
  const isRepeated = (name: FlagName) => !("array" in serveFlags[name]) && Array.isArray(flags[name]);
  return [
    ...given.filter(isRepeated).map((name) => ({ path: `--${name}`, message: REPEATED })),
    ...malformedTools(textsOf(flags.tool)),
    ...malformedHeaders(textsOf(flags.header)),
    ...misnamedVariables(flags),
    ...(flags.quiet === true && flags.verbose === true
      ? [{ path: "--verbose", message: "is the opposite of --quiet" }]
      : []),
    ...contradictions(given, flags["--"] !== undefined),
  ];
}

/** Problems of the flags of `stdio` themselves. */
export function misuseOfStdio(flags: Flags): readonly Problem[] {
  const useless = HTTP_FLAGS.filter((name) => flags[name] !== undefined).map((name) => `--${name}`);
  return [
    ...useless.map((path) => ({ path, message: "makes no sense with stdio, where nothing comes over HTTP" })),
    ...misusedServer(flags),
    ...misuse(flags).filter(({ path }) => !useless.includes(path)),
  ];
}

/**
 * A problem for an operator who wrote flags: it names the flag if a flag gave the setting. Otherwise it keeps its path in the file, with
 * list indexes reduced by the items that flags put in front.
 * @param server the name of the server that the flags are about
 */
export function sayOfFlag(problem: Problem, flags: Flags, server: string): Problem {
  const { path, message } = problem;
  const fitting = settingsOf(server).filter(
    ([, setting]) => path.startsWith(setting) && /^($|[.[])/.test(path.slice(setting.length)),
  );
  // Two flags can give the same setting.
  const found = fitting.find(([flag]) => flags[flag.slice("--".length)] !== undefined) ?? fitting[0];
  if (found === undefined) return problem;
  const [flag, setting] = found;
  const name = flag.slice("--".length);
  // Without a file only the flag can give the setting, so a problem about a missing one names the flag as well.
  if (flags[flag === "--" ? flag : name] === undefined && flags.config !== undefined) return problem;
  const rest = path.slice(setting.length);
  const [item, index] = /^\[(\d+)\]/.exec(rest) ?? [];
  if (item === undefined || index === undefined) {
    const key = rest.replace(/^\./, "");
    if (key !== "" && flags.config !== undefined && !saysHeader(flags, key)) return problem;
    return { path: key === "" ? flag : `${flag} ${key}`, message };
  }
  const items = itemsOf(name, flags);
  const own = items[Number(index)];
  if (own !== undefined)
    return { path: `${flag} ${name === "forward-header" ? headerNameOf(own) : own}`, message };
  return { path: `${setting}[${Number(index) - items.length}]${rest.slice(item.length)}`, message };
}

function saysHeader(flags: Flags, name: string): boolean {
  return textsOf(flags.header).some((header) => header.slice(0, header.indexOf(":")).trim() === name);
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
    .map((rule) => ({
      path: "--tool",
      message: `must look like GLOB=MODE${isGlob(rule) ? `, got ${JSON.stringify(rule)}` : ""}`,
    }));
}

/** Whether a text has only characters of tools' names and of globs, and so is no URL and no header. */
function isGlob(text: string): boolean {
  return /^[\w.*?-]{1,128}$/.test(text);
}

/** The messages do not quote a malformed header: half of it is a secret. */
function malformedHeaders(headers: readonly string[]): readonly Problem[] {
  const names = headers.map((header) => /^([^:]+):/.exec(header)?.[1]);
  return names.flatMap((name, index) => {
    if (name === undefined) return [{ path: "--header", message: 'must look like "Name: value"' }];
    return names.indexOf(name) < index ? [{ path: `--header ${name}`, message: REPEATED }] : [];
  });
}

/** Quotes nothing: what stands in place of a variable's name may be the secret itself. */
function misnamedVariables(flags: Flags): readonly Problem[] {
  const headers = textsOf(flags["header-from"]).filter((header) => !namesVariable(header));
  const urls = textsOf(flags["upstream-from"]).filter((name) => !isVariableName(name));
  return [
    ...urls.map(() => ({ path: "--upstream-from", message: "must be the name of an environment variable" })),
    ...headers.map(() => ({ path: "--header-from", message: "must look like Name=VARIABLE" })),
  ];
}

/** Whether a text is the name of a header, an equals sign and the name of a variable. */
export function namesVariable(text: string): boolean {
  const equals = text.indexOf("=");
  return equals > 0 && isVariableName(text.slice(equals + 1).trim());
}

/** Flags must name a file, a URL or a command, and not both a URL and a command. */
function contradictions(given: readonly FlagName[], hasCommand: boolean): readonly Problem[] {
  if (hasCommand) return besidesCommand(given);
  const twice = given.includes("upstream") && given.includes("upstream-from");
  if (twice) return [{ path: "--upstream-from", message: "says the same as --upstream" }];
  return given.includes("upstream") || given.includes("upstream-from") || given.includes("config")
    ? []
    : [{ path: "--upstream", message: "is needed, or -- COMMAND, or --config FILE" }];
}

function besidesCommand(given: readonly FlagName[]): readonly Problem[] {
  return given
    .filter((name) => OF_URL.includes(name))
    .map((name) => ({ path: `--${name}`, message: "cannot go with a command behind --" }));
}
