import type { JsonObject } from "../protocol/jsonrpc.ts";
import type { Environment } from "./environment.ts";
import { misuse, misuseOfStdio, sayOfFlag } from "./flag-problems.ts";
import { type FlagName, type Flags, looksLikeRule, NAME, textsOf } from "./flags.ts";
import { type Loaded, loadDocument, readConfig } from "./load.ts";
import { ConfigError, type Problem } from "./problems.ts";
import { readStdioConfig } from "./stdio.ts";

/**
 * The configuration that flags ask for: a file, or the settings in the flags themselves. They go the way of the file,
 * so that both are judged alike; what is wrong is then said of the flag.
 * @throws ConfigError
 */
export function configOfFlags(flags: Flags, env: Environment): Promise<Loaded> {
  return configOf(flags, misuse(flags), (document) => readConfig(document, env));
}

/** The same for `stdio`, with one server. @throws ConfigError */
export function configOfStdioFlags(flags: Flags, env: Environment): Promise<Loaded> {
  const read = (document: unknown) => readStdioConfig(document, env, flags.server);
  return configOf(flags, misuseOfStdio(flags), read);
}

type Read = (document: unknown) => Loaded;

async function configOf(flags: Flags, faults: readonly Problem[], read: Read): Promise<Loaded> {
  if (faults.length > 0 && flags.config !== undefined) throw new ConfigError(faults);
  if (typeof flags.config === "string") return read(await loadDocument(flags.config));
  const say = (problem: Problem) => sayOfFlag(problem, flags);
  const { config, problems, warnings } = judge(documentOf(flags), read);
  const known = new Set(faults.map(({ path }) => path));
  const all = [...faults, ...problems.map(say).filter(({ path }) => !known.has(path))];
  if (config === undefined || all.length > 0) throw new ConfigError(all, warnings.map(say));
  return { config, warnings: warnings.map(say) };
}

function judge(document: unknown, read: Read) {
  try {
    return { ...read(document), problems: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { config: undefined, problems: error.problems, warnings: error.warnings };
  }
}

/** The document that a file with the same settings would hold. */
function documentOf(flags: Flags): unknown {
  const some = (key: string, flag: FlagName) => (flags[flag] === undefined ? {} : { [key]: flags[flag] });
  return {
    listen: { ...some("host", "host"), ...some("port", "port") },
    ...(flags["admin-port"] === undefined ? {} : { admin: { port: flags["admin-port"] } }),
    store: some("url", "store"),
    servers: {
      [NAME]: {
        path: flags.path ?? "/mcp",
        upstream: upstreamOfFlags(flags),
        tasks: { ...some("mode", "mode"), ...some("waitFor", "wait-for") },
        tools: textsOf(flags.tool).filter(looksLikeRule).map(ruleOf),
      },
    },
  };
}

/** Where the server is, as a file would say it: references to the environment are left as they are. */
export function upstreamOfFlags(flags: Flags): JsonObject {
  return flags["--"] === undefined ? addressOf(flags) : commandOf(textsOf(flags["--"]));
}

function addressOf(flags: Flags) {
  const headers = textsOf(flags.header).filter((header) => header.includes(":"));
  return {
    url: flags.upstream,
    headers: Object.fromEntries(headers.map(headerOf)),
    forwardHeaders: textsOf(flags["forward-header"]),
  };
}

/** The shell has put its variables in already: what still looks like a reference is meant for the command. */
function commandOf(words: readonly string[]) {
  const [command, ...args] = words.map((word) => word.replaceAll("${", () => "$${"));
  return { command, args };
}

function headerOf(header: string): readonly [string, string] {
  const colon = header.indexOf(":");
  return [header.slice(0, colon).trim(), header.slice(colon + 1).trim()];
}

/** The last equals sign, because a glob may have one and a mode has none. */
function ruleOf(rule: string) {
  const equals = rule.lastIndexOf("=");
  return { match: rule.slice(0, equals), mode: rule.slice(equals + 1) };
}
