import { isObject, type JsonObject } from "../protocol/jsonrpc.ts";
import { isVariableName } from "./command.ts";
import type { Environment } from "./environment.ts";
import { misuse, misuseOfStdio, namesVariable, sayOfFlag } from "./flag-problems.ts";
import { type FlagName, type Flags, itemsOf, NAME, serverFlags, textsOf } from "./flags.ts";
import { type Loaded, loadSource, readConfig } from "./load.ts";
import { ConfigError, type Problem } from "./problems.ts";
import { narrowed, readStdioConfig } from "./stdio.ts";
import { COMMAND_SETTINGS, COMMAND_TRANSPORT, URL_SETTINGS } from "./upstream-settings.ts";

/**
 * The configuration from flags: a file whose settings they override, or the settings of the flags alone. Flags become a document like that
 * of a file, so that the same checks apply; problems then name the flag.
 * @throws ConfigError
 */
export function configOfFlags(flags: Flags, env: Environment): Promise<Loaded> {
  return configOf(flags, misuse(flags), {
    chosen: (document) => document,
    read: (document) => readConfig(document, env),
  });
}

/**
 * The configuration from flags for `stdio`, with one server. A command of the flags gets the whole environment, because its client meant it for
 * the server when it started this program in its place.
 * @throws ConfigError
 */
export function configOfStdioFlags(flags: Flags, env: Environment): Promise<Loaded> {
  const given = flags["--"] === undefined ? {} : passedOn(env);
  return configOf(flags, misuseOfStdio(flags), {
    chosen: (document) => narrowed(document, flags.server),
    read: (document) => readStdioConfig(withEnv(document, given), env, flags.server),
  });
}

/** The variables that a file could give to a server: Windows has others, with brackets in their names. */
function passedOn(env: Environment): JsonObject {
  const variables = Object.entries(env).filter(([name]) => isVariableName(name));
  return Object.fromEntries(
    variables.map(([name, value = ""]) => [name, value.replaceAll("${", () => "$${")]),
  );
}

/** The document with these variables for its servers, unless they have them. */
function withEnv(document: unknown, variables: JsonObject): unknown {
  if (!isObject(document) || !isObject(document.servers) || Object.keys(variables).length === 0)
    return document;
  const servers = Object.entries(document.servers).map(([name, server]) => {
    if (!isObject(server) || !isObject(server.upstream)) return [name, server];
    const { env = {} } = server.upstream;
    const upstream = { ...server.upstream, env: isObject(env) ? { ...variables, ...env } : env };
    return [name, { ...server, upstream }];
  });
  return { ...document, servers: Object.fromEntries(servers) };
}

interface Reading {
  /** The part of a file's document to use. */
  readonly chosen: (document: unknown) => unknown;
  readonly read: (document: unknown) => Loaded;
}

async function configOf(
  flags: Flags,
  faults: readonly Problem[],
  { chosen, read }: Reading,
): Promise<Loaded> {
  if (faults.length > 0 && flags.config !== undefined) throw new ConfigError(faults);
  const source = typeof flags.config === "string" ? await loadSource(flags.config) : undefined;
  const { document, server } =
    source === undefined
      ? { document: documentOf(flags), server: NAME }
      : overridden(chosen(source.document), flags);
  const say = (problem: Problem) => sayOfFlag(problem, flags, server);
  const { config, problems, warnings } = judge(document, (each) =>
    source === undefined ? read(each) : source.located(() => read(each)),
  );
  const known = new Set(faults.map(({ path }) => path));
  const all = [...faults, ...problems.map(say).filter(({ path }) => !known.has(path))];
  if (config === undefined || all.length > 0) throw new ConfigError(all, warnings.map(say));
  return { config, warnings: warnings.map(say) };
}

function judge(document: unknown, read: Reading["read"]) {
  try {
    return { ...read(document), problems: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { config: undefined, problems: error.problems, warnings: error.warnings };
  }
}

/** The document of a file with the same settings. */
function documentOf(flags: Flags): unknown {
  const upstream = flags["--"] === undefined ? { url: flags.upstream } : {};
  const server = { path: "/mcp", upstream, tasks: {}, tools: [] };
  return { ...commonOf({ listen: {}, store: {} }, flags), servers: { [NAME]: serverOf(server, flags) } };
}

/**
 * The document with the flags' settings in place of its own, and the name of the only server.
 * @throws ConfigError when a flag is about one server and the file has several
 */
function overridden(
  document: unknown,
  flags: Flags,
): { readonly document: unknown; readonly server: string } {
  const servers = isObject(document) && isObject(document.servers) ? document.servers : {};
  const [name = NAME, ...others] = Object.keys(servers);
  const own = serverFlags(flags);
  if (own.length > 0 && others.length > 0) {
    throw new ConfigError(
      own.map(([path, setting]) => ({
        path,
        message: `is about one server, and the file has ${others.length + 1}: ${[name, ...others].join(", ")}; set servers.<name>.${setting} there`,
      })),
    );
  }
  // The schema rejects a document that is no mapping.
  if (!isObject(document)) return { document, server: name };
  const server = servers[name];
  const changed = own.length > 0 && isObject(server) ? { servers: { [name]: serverOf(server, flags) } } : {};
  return { document: { ...commonOf(document, flags), ...changed }, server: name };
}

/** The document with the flags that are about no particular server. */
function commonOf(document: JsonObject, flags: Flags): JsonObject {
  return {
    ...document,
    ...section(document, "listen", { ...some(flags, "host"), ...some(flags, "port") }),
    ...section(document, "admin", some(flags, "admin-port", "port")),
    ...section(document, "store", some(flags, "store", "url")),
    ...section(document, "log", {
      ...some(flags, "log", "format"),
      ...(flags.quiet === true ? { level: "warn" } : {}),
      ...(flags.verbose === true ? { level: "debug" } : {}),
      ...(flags.audit === true ? { audit: true } : {}),
    }),
  };
}

function serverOf(server: JsonObject, flags: Flags): JsonObject {
  const { tools = [] } = server;
  const rules = itemsOf("tool", flags).map(ruleOf);
  return {
    ...server,
    ...some(flags, "path"),
    ...(isObject(server.upstream) ? { upstream: upstreamOf(server.upstream, flags) } : {}),
    ...section(server, "tasks", {
      ...some(flags, "mode"),
      ...some(flags, "wait-for", "waitFor"),
      ...some(flags, "fallback-after", "fallbackAfter"),
    }),
    ...(rules.length > 0 && Array.isArray(tools) ? { tools: [...rules, ...tools] } : {}),
  };
}

/** The flags' `upstream` section as in a file, with unresolved references to the environment. */
export function upstreamOfFlags(flags: Flags): JsonObject {
  return upstreamOf({}, flags);
}

/** A flag that moves the server to a URL or a command drops the file's settings that fit only the other kind. */
function upstreamOf(upstream: JsonObject, flags: Flags): JsonObject {
  if (flags["--"] !== undefined) {
    const words = commandOf(textsOf(flags["--"]));
    const rest = without(upstream, [...URL_SETTINGS, ...otherTransport(upstream, true)]);
    return { ...rest, ...words, ...some(flags, "cwd") };
  }
  const isMoved = flags.upstream !== undefined || flags["upstream-from"] !== undefined;
  const rest = isMoved
    ? without(upstream, [...COMMAND_SETTINGS, ...otherTransport(upstream, false)])
    : upstream;
  return addressOf(rest, flags);
}

function otherTransport({ transport }: JsonObject, isStarted: boolean): readonly string[] {
  return (transport === COMMAND_TRANSPORT) === isStarted ? [] : ["transport"];
}

function addressOf(upstream: JsonObject, flags: Flags): JsonObject {
  const headers = [
    ...textsOf(flags.header)
      .filter((header) => header.includes(":"))
      .map(headerOf),
    ...textsOf(flags["header-from"]).filter(namesVariable).map(headerFromOf),
  ];
  const names = itemsOf("forward-header", flags);
  const { forwardHeaders = [] } = upstream;
  return {
    ...upstream,
    ...urlFrom(flags),
    ...some(flags, "upstream", "url"),
    ...some(flags, "cwd"),
    ...(headers.length > 0 ? { headers: withHeaders(upstream.headers, headers) } : {}),
    ...(names.length > 0 && Array.isArray(forwardHeaders)
      ? { forwardHeaders: [...names, ...forwardHeaders] }
      : {}),
  };
}

/** The URL that is in a variable; nothing if the flag names none. */
function urlFrom(flags: Flags): JsonObject {
  const [name] = textsOf(flags["upstream-from"]);
  return name !== undefined && isVariableName(name) ? { url: `$\{${name}}` } : {};
}

/** Replaces headers without regard to case. */
function withHeaders(given: unknown, headers: readonly (readonly [string, string])[]): unknown {
  if (given !== undefined && !isObject(given)) return given;
  const names = new Set(headers.map(([name]) => name.toLowerCase()));
  const others = Object.entries(given ?? {}).filter(([name]) => !names.has(name.toLowerCase()));
  return Object.fromEntries([...others, ...headers]);
}

/** Escapes references: the shell has already expanded its variables, so what still looks like one is meant for the command. */
function commandOf(words: readonly string[]) {
  const [command, ...args] = words.map((word) => word.replaceAll("${", () => "$${"));
  return { command, args };
}

function headerOf(header: string): readonly [string, string] {
  const colon = header.indexOf(":");
  return [header.slice(0, colon).trim(), header.slice(colon + 1).trim()];
}

/** A client that fills in variables itself would fill in `${VARIABLE}` on the command line. */
function headerFromOf(header: string): readonly [string, string] {
  const equals = header.indexOf("=");
  return [header.slice(0, equals).trim(), `$\{${header.slice(equals + 1).trim()}}`];
}

/** Splits at the last equals sign: a glob may contain one, a mode does not. */
function ruleOf(rule: string) {
  const equals = rule.lastIndexOf("=");
  return { match: rule.slice(0, equals), mode: rule.slice(equals + 1) };
}

/** The section with some of its settings replaced; empty when the schema will reject the section because it is no mapping. */
function section(document: JsonObject, name: string, settings: JsonObject): JsonObject {
  const { [name]: given = {} } = document;
  return Object.keys(settings).length > 0 && isObject(given) ? { [name]: { ...given, ...settings } } : {};
}

/** A flag's value under its name in the file; empty when the flag is not given. */
function some(flags: Flags, flag: FlagName, key: string = flag): JsonObject {
  return flags[flag] === undefined ? {} : { [key]: flags[flag] };
}

function without(upstream: JsonObject, names: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(upstream).filter(([name]) => !names.includes(name)));
}
