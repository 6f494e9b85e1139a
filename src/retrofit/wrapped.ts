import { isOwnHeader } from "../config/headers.ts";
import { isObject, type JsonObject } from "../protocol/jsonrpc.ts";
import type { Client, EntryFields, Part, Platform } from "./clients.ts";
import { type Entry, fieldsOf, type Server, serverOf, wordsOf } from "./entries.ts";
import type { Changes } from "./formats/mapping.ts";
import { hasVariable } from "./variables.ts";

/** How an entry is wrapped. */
export interface Wrapping {
  /** What starts this program: absolute paths, or its bare name in a file that others share. */
  readonly program: readonly [command: string, ...args: string[]];
  readonly platform: Platform;
  /** Wraps a server at a URL though its client may have logged in to it. */
  readonly isForced: boolean;
  /** How long another reader of the file lets a call take, if it may be less patient than the client. */
  readonly otherTimeoutMs?: number | undefined;
}

export type Wrapped =
  | { readonly changes: Changes; readonly notices: readonly string[] }
  | { readonly refusal: string };

/** Fields that only an entry for a server at a URL may have. Codex and Roo refuse a command beside them, and for Gemini a URL wins. */
const REMOTE_ONLY = [
  ...["url", "httpUrl", "serverUrl", "uri", "baseUrl", "ws_url", "tcp"],
  ...[
    "headers",
    "http_headers",
    "env_http_headers",
    "bearer_token_env_var",
    "requestOptions",
    "transportType",
  ],
];
/** Fields by which a client logs in to a server, which the gateway does not do in its place. */
const LOGIN = [
  ...["oauth", "oauthClient", "oauthClientId", "oauthPublicClient", "oauthGrantType", "oauthScopes", "oidc"],
  ...["oauth_headers", "oauth_resource", "oauthRedirectUrl", "requiresOAuth", "scopes", "auth", "authToken"],
  ...["authProviderType", "access_token", "apiKey", "obo", "headersHelper", "http_headers_helper"],
  ...["client_header_forwarding", "passthroughHeaders", "customUserVars", "tokenCacheDir", "targetAudience"],
  "targetServiceAccount",
];
/** Programs that are scripts on Windows, which only the command interpreter starts. */
const SCRIPTS = new Set(["npx", "npm", "pnpm", "pnpx", "yarn"]);
/** The part of a client's time-out after which the gateway answers with a text in place of the result. */
const OF_TIMEOUT = 0.7;
/** Clients that wait this long get the gateway's own default, which is under a minute. */
const LONG_ENOUGH_MS = 60_000;
const MIN_AFTER_MS = 1_000;
const URL_VARIABLE = "TASKGATE_URL";

/** The fields of an entry that lead to its server through this program. */
export function wrap(entry: Entry, client: Client, wrapping: Wrapping): Wrapped {
  const server = serverOf(entry, client);
  switch (server.kind) {
    case "other":
      return { refusal: server.reason };
    case "local":
      return isWrapped(entry, client, wrapping.program.at(-1))
        ? { refusal: "already wrapped" }
        : wrapLocal(entry.value, server, client, wrapping);
    case "remote":
      return wrapRemote(entry.value, server, client, wrapping);
  }
}

/** Whether an entry starts this program already, wherever it is installed. @param script where it is now */
export function isWrapped({ value }: Entry, client: Client, script?: string): boolean {
  return gatewayAt(wordsOf(value, fieldsOf(client)) ?? [], script) !== -1;
}

/** A command that can be started without the command interpreter. */
export function startable(words: readonly string[], platform: Platform): readonly string[] {
  return platform === "win32" && SCRIPTS.has(words[0] ?? "") ? ["cmd", "/c", ...words] : words;
}

/** The fields of a wrapped entry that lead to its server directly, found in the entry alone; `undefined` for a server at a URL. */
export function unwrapped({ value }: Entry, client: Client): Changes | undefined {
  const fields = fieldsOf(client);
  const words = wordsOf(value, fields) ?? [];
  const dashes = words.indexOf("--", gatewayAt(words, undefined) + 1);
  const own = dashes === -1 ? [] : words.slice(dashes + 1);
  return own.length === 0 ? undefined : commandChanges(own, fields);
}

/** Where in a command the name or script of this program stands, with `stdio` behind it; -1 if nowhere. */
function gatewayAt(words: readonly string[], script: string | undefined): number {
  return words.findIndex((word, index) => {
    const isGateway = word === script || /(^|[\\/])mcp-taskgate([\\/@.]|$)/.test(word);
    return isGateway && words[index + 1] === "stdio";
  });
}

function wrapLocal(
  value: JsonObject,
  { words, cwd }: Extract<Server, { kind: "local" }>,
  client: Client,
  { program, platform, otherTimeoutMs }: Wrapping,
): Wrapped {
  const fields = fieldsOf(client);
  const isIgnored = cwd !== undefined && fields.cwd !== "cwd";
  if (isIgnored && !isMovable(cwd, "args", "args", client))
    return { refusal: "has a variable in cwd that would not be filled in" };
  if (!isMovable(words[0] ?? "", "command", "args", client))
    return { refusal: "has a variable in its command that would not be filled in among the arguments" };
  const own = startable(words, platform);
  const isScript = own !== words;
  const flags = [...(isIgnored ? ["--cwd", cwd] : []), ...fallbackFlags(value, client, otherTimeoutMs)];
  return {
    changes: commandChanges([...program, "stdio", ...flags, "--", ...own], fields),
    notices: [
      ...(isIgnored ? [`${client.title} ignores cwd; the server is now started in ${cwd}.`] : []),
      ...(isScript ? [`${words[0]} is a script on Windows: the gateway starts it by cmd /c.`] : []),
    ],
  };
}

function wrapRemote(
  value: JsonObject,
  { url, headers, fromEnv }: Extract<Server, { kind: "remote" }>,
  client: Client,
  { program, isForced, otherTimeoutMs }: Wrapping,
): Wrapped {
  const fields = fieldsOf(client);
  const logins = LOGIN.filter((name) => value[name] !== undefined && value[name] !== false);
  const sent = Object.entries(headers).filter(([name, text]) => !isOwnHeader(name) && text !== "");
  const own = Object.keys(headers).filter(isOwnHeader);
  const isOpen = sent.length === 0 && fromEnv.length === 0 && client.logsIn === true && !isLoopback(url);
  if (!isForced && logins.length > 0)
    return {
      refusal: `${client.title} logs in to it (${logins.join(", ")}), which the gateway cannot; ${FORCE}`,
    };
  if (!isForced && isOpen)
    return {
      refusal: `has no credential: ${client.title} may have logged in to it, which the gateway cannot; ${FORCE}`,
    };
  // What stands in a list of processes for everybody to see is no place for a secret.
  const isSecret = /[?@]/.test(url);
  if (!isMovable(url, "url", isSecret ? "env" : "args", client)) return { refusal: LOST("its URL") };
  const lost = sent.find(
    ([, text]) =>
      !isMovable(text, "headers", "env", client) || (client.isPerUser === true && text.includes("{{")),
  );
  if (lost !== undefined) return { refusal: LOST(`its header ${lost[0]}`) };
  const variables = {
    ...(isSecret ? { [URL_VARIABLE]: url } : {}),
    ...Object.fromEntries(sent.map(([, text], index) => [variableOf(index), text])),
  };
  const words = [
    ...[...program, "stdio", ...fallbackFlags(value, client, otherTimeoutMs)],
    ...sent.flatMap(([name], index) => ["--header-from", `${name}=${variableOf(index)}`]),
    ...fromEnv.flatMap(({ name, prefix, variable }) => ["--header", `${name}: ${prefix}$\{${variable}}`]),
    ...(isSecret ? ["--upstream-from", URL_VARIABLE] : [url]),
  ];
  const [kind, started] = fields.kind;
  const hasKind = value[kind] !== undefined || client.fields?.kind !== undefined;
  const gone = [...REMOTE_ONLY, ...LOGIN].filter((name) => value[name] !== undefined);
  const names = fromEnv.map(({ variable }) => variable);
  const given = Array.isArray(value.env_vars) ? value.env_vars : [];
  return {
    changes: [
      ...(hasKind ? [[kind, started] as const] : []),
      ...commandChanges(words, fields),
      ...(Object.keys(variables).length > 0 ? [envChange(value, fields, variables)] : []),
      ...(names.length > 0 ? [["env_vars", [...new Set([...given, ...names])]] as const] : []),
      // Last, so that new fields stand as the old ones did.
      ...gone.map((name) => [name, undefined] as const),
    ],
    notices: [
      `${client.title} starts it as a program now, in place of reaching ${isSecret ? "its URL" : url} itself.`,
      ...(own.length > 0
        ? [`The gateway sends ${own.join(" and ")} itself, and what the entry says of it is left out.`]
        : []),
      ...(logins.length > 0 || isOpen ? ["The gateway sends no login of the client's."] : []),
    ],
  };
}

const FORCE = "--force wraps it all the same";
const LOST = (what: string) => `has a variable in ${what} that would not be filled in once it is wrapped`;

function variableOf(index: number): string {
  return `TASKGATE_HEADER_${index + 1}`;
}

function envChange(value: JsonObject, { env }: EntryFields, variables: Readonly<Record<string, string>>) {
  const given = value[env];
  return [env, { ...(isObject(given) ? given : {}), ...variables }] as const;
}

function commandChanges(words: readonly string[], { command, args }: EntryFields): Changes {
  const [first, ...rest] = words;
  if (args === undefined) return [[command, words]];
  return [
    [command, first],
    [args, rest],
  ];
}

/** The gateway has to answer before its client gives up. */
function fallbackFlags(
  value: JsonObject,
  { callTimeout }: Client,
  otherMs = LONG_ENOUGH_MS,
): readonly string[] {
  const { field, unitMs, defaultMs = LONG_ENOUGH_MS } = callTimeout ?? { field: "", unitMs: 1 };
  const given = value[field];
  // Some clients take 0 for no limit, and Claude Code what is under a second for a mistake.
  const givenMs = typeof given === "number" ? given * unitMs : 0;
  const timeoutMs = Math.min(givenMs >= MIN_AFTER_MS ? givenMs : defaultMs, otherMs);
  if (timeoutMs >= LONG_ENOUGH_MS) return [];
  const afterMs = Math.max(Math.floor(timeoutMs * OF_TIMEOUT), MIN_AFTER_MS);
  return ["--fallback-after", afterMs % 1_000 === 0 ? `${afterMs / 1_000}s` : `${afterMs}ms`];
}

/** Whether a text means the same in another part of the entry: a variable in it is filled in at both or at neither. */
function isMovable(text: string, from: Part, to: Part, client: Client): boolean {
  const { fillsIn } = client;
  if (fillsIn === undefined || !hasVariable(text)) return true;
  return fillsIn.includes(from) === fillsIn.includes(to);
}

function isLoopback(url: string): boolean {
  return /^https?:\/\/(localhost|127\.[\d.]+|\[::1\])([:/?#]|$)/i.test(url);
}
