import type { Options } from "yargs";
import { formatPath } from "./problems.ts";
import { defaults } from "./schema.ts";

/** The flags as yargs parses them: a text, or a list of texts for a repeated flag. */
export type Flags = Readonly<Record<string, unknown>>;

const option = (describe: string, more: Options = {}): Options => ({
  type: "string",
  requiresArg: true,
  describe,
  ...more,
});
const several: Options = { array: true };
const switched = (describe: string): Options => ({ type: "boolean", describe });

/** The default store of `stdio`: clients start the gateway twice at a time, and a directory belongs to one process. */
export const STDIO_STORE = "memory:";

/** The flags of `serve`. Their values stay texts, because the file's schema checks them. */
export const serveFlags = {
  config: option("YAML or JSON file with all settings; other flags override it"),
  upstream: option("URL of the MCP server to stand in front of; for one to be started, end with -- COMMAND"),
  header: option(
    "header sent to the URL, 'Name: value'; environment variables are filled in as in a file",
    several,
  ),
  "upstream-from": option("environment variable that has the URL, for one with a secret in it"),
  "header-from": option("header whose value is in an environment variable, Name=VARIABLE", several),
  "forward-header": option("name of a client's header that the server gets too", several),
  cwd: option("working directory of the COMMAND"),
  port: option(`port to listen on [default: ${defaults.listen.port}]`),
  host: option(`address to listen on [default: ${defaults.listen.host}]`),
  path: option("path of the MCP endpoint [default: /mcp]"),
  store: option(`memory:, level:PATH, redis://HOST or rediss://HOST [default: ${defaults.store.url}]`),
  mode: option(
    `never, observe, auto, always or required: when calls become tasks [default: ${defaults.tasks.mode}]`,
  ),
  "wait-for": option(
    `how long an auto call may run before the client gets a task [default: ${defaults.tasks.waitFor}]`,
  ),
  "fallback-after": option(
    `how long a client without tasks waits for a result, with fallback: tools [default: ${defaults.tasks.fallbackAfter}]`,
  ),
  tool: option("mode for the tools that match a glob, 'render_*=required'; the first match wins", several),
  "admin-port": option("port for health and metrics; off unless given"),
  log: option(`pretty or json: how log lines look [default: pretty on a terminal]`),
  quiet: switched("log warnings and errors only"),
  verbose: switched("log more: progress, polls, what servers write to standard error"),
  audit: switched("log who did what to a task, and every refused request"),
} satisfies Record<string, Options>;

/** The flags of `serve` that are about HTTP clients. */
export const HTTP_FLAGS = ["forward-header", "port", "host", "path", "admin-port"] as const;

/** The flags of `stdio`, including those that make no sense there, so that the gateway can refuse them by name. */
export const stdioFlags = {
  ...serveFlags,
  ...hidden(HTTP_FLAGS),
  config: option("YAML or JSON file with all settings; other flags override it"),
  server: option("which server of the file, if it has several"),
  store: option(`memory:, level:PATH, redis://HOST or rediss://HOST [default: ${STDIO_STORE}]`),
} satisfies Record<string, Options>;

export type FlagName = keyof typeof serveFlags;

/** The name of the one server that flags describe without a file. */
export const NAME = "default";

/** The flags' settings in the file that are not below a server. */
const SETTINGS = {
  port: ["listen", "port"],
  host: ["listen", "host"],
  store: ["store", "url"],
  "admin-port": ["admin", "port"],
  log: ["log", "format"],
  quiet: ["log", "level"],
  verbose: ["log", "level"],
  audit: ["log", "audit"],
} as const;

/** The flags' settings in the file below a server. */
const SERVER_SETTINGS = {
  upstream: ["upstream", "url"],
  "upstream-from": ["upstream", "url"],
  header: ["upstream", "headers"],
  "header-from": ["upstream", "headers"],
  "forward-header": ["upstream", "forwardHeaders"],
  cwd: ["upstream", "cwd"],
  path: ["path"],
  mode: ["tasks", "mode"],
  "wait-for": ["tasks", "waitFor"],
  "fallback-after": ["tasks", "fallbackAfter"],
  tool: ["tools"],
} as const;

/** Each flag with its setting's path as in messages, for the server of this name; `--` is the command. */
export function settingsOf(server: string): readonly (readonly [flag: string, setting: string])[] {
  const own = Object.entries({ ...SERVER_SETTINGS, "": ["upstream", "command"] });
  return [
    ...Object.entries(SETTINGS).map(([name, path]) => [`--${name}`, formatPath(path)] as const),
    ...own.map(([name, path]) => [`--${name}`, formatPath(["servers", server, ...path])] as const),
  ];
}

/** The given flags that are about a server, each with its setting's path below the server. */
export function serverFlags(flags: Flags): readonly (readonly [flag: string, setting: string])[] {
  const all = Object.entries(SERVER_SETTINGS).map(([name, path]) => [name, path.join(".")] as const);
  const given = all.filter(([name]) => flags[name] !== undefined);
  const command = flags["--"] === undefined ? [] : [["", "upstream.command"] as const];
  return [...given, ...command].map(([name, setting]) => [`--${name}`, setting]);
}

/** The values of a flag that may be repeated. */
export function textsOf(value: unknown): readonly string[] {
  return (Array.isArray(value) ? value : [value]).filter((text) => typeof text === "string");
}

/** The values of a flag that become items of a list in the document, in order. */
export function itemsOf(name: string, flags: Flags): readonly string[] {
  return textsOf(flags[name]).filter((text) => name !== "tool" || looksLikeRule(text));
}

/** Whether a text is a glob, an equals sign and a mode; the schema checks the mode. */
export function looksLikeRule(text: string): boolean {
  return /^.+=/s.test(text);
}

function hidden(names: readonly (keyof typeof serveFlags)[]): Readonly<Record<string, Options>> {
  return Object.fromEntries(names.map((name) => [name, { ...serveFlags[name], hidden: true }]));
}
