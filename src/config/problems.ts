import type { z } from "zod";
import { guess } from "../lib/guess.ts";

/** An error or a warning about one place of the configuration. */
export interface Problem {
  /** For example `servers.reports.tools[0].mode`. Empty when it concerns the whole file. */
  readonly path: string;
  readonly message: string;
  /** The line in the file, if known. */
  readonly line?: number;
  /** The environment variable that is not set, if that is the problem. */
  readonly unset?: string;
}

export type Path = readonly PropertyKey[];

/** The configuration is unusable; has all its problems and warnings. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];

  constructor(problems: readonly Problem[], warnings: readonly Problem[] = []) {
    super(problems.map(problemLine).join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
    this.warnings = warnings;
  }
}

/** The configuration file does not exist, or the gateway may not read it. */
export class UnreadableFile extends ConfigError {}

/** `path: message (line 4)`, without unknown parts. */
export function problemLine({ path, message, line }: Problem): string {
  const where = line === undefined ? "" : ` (line ${line})`;
  return `${path === "" ? message : `${path}: ${message}`}${where}`;
}

export function formatPath(path: Path): string {
  return path.reduce<string>((before, key) => {
    if (typeof key === "number") return `${before}[${key}]`;
    const name = String(key);
    if (!/^[\w$-]+$/.test(name)) return `${before}[${JSON.stringify(name)}]`;
    return before === "" ? name : `${before}.${name}`;
  }, "");
}

/** The value at a path, or `undefined`; inherited properties do not count. */
export function valueAt(root: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null && Object.hasOwn(value, key)
        ? (value as Readonly<Record<PropertyKey, unknown>>)[key]
        : undefined,
    root,
  );
}

export function textAt(root: unknown, path: Path): string | undefined {
  const value = valueAt(root, path);
  return typeof value === "string" ? value : undefined;
}

/** The names of the servers in a document, which may be invalid. */
export function serverNames(document: unknown): readonly string[] {
  const servers = valueAt(document, ["servers"]);
  return typeof servers === "object" && servers !== null ? Object.keys(servers) : [];
}

/**
 * The problems that the schema found. `source` is the document with unresolved references to the environment: messages quote it, so that
 * they never show the value of a variable.
 */
export function schemaProblems(error: z.ZodError, source: unknown): readonly Problem[] {
  return error.issues.flatMap((issue): readonly Problem[] => {
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => {
        const path = formatPath([...issue.path, key]);
        const near = guess(key, issue.message.split(", "));
        return {
          path,
          message: GONE[path] ?? `is not a setting${near}; the settings here are ${issue.message}`,
        };
      });
    }
    if (issue.code === "invalid_key") {
      const isHeader = issue.path.at(-2) === "headers";
      const cut = (key: PropertyKey) =>
        isHeader && typeof key === "string" ? headerNameOf(key) : withoutValue(key);
      const path = formatPath(issue.path.map(cut));
      return [{ path, message: issue.issues[0]?.message ?? issue.message }];
    }
    const near = guessed(issue, valueAt(source, issue.path));
    return [{ path: formatPath(issue.path), message: `${issue.message}${given(issue, source)}${near}` }];
  });
}

/** The word that was probably meant, of a few. */
function guessed(issue: z.core.$ZodIssue, value: unknown): string {
  if (issue.code !== "invalid_value" || typeof value !== "string") return "";
  return guess(value, issue.values.map(String));
}

/** Removed settings of 0.1.0, with what to use instead. */
const GONE: Readonly<Record<string, string>> = {
  "limits.perRoute.tasks":
    "is gone: limits.total.tasks holds for all servers together, tasks.maxConcurrent for one",
  "limits.perRoute.queued":
    "is gone: limits.total.tasks holds for all servers together, tasks.maxQueued for one",
  "limits.perRoute.held": "is gone: limits.total.tasks holds for calls that wait for answers as well",
  "limits.perRoute.streams": "is gone: limits.total.streams holds for all servers together",
  "limits.perRoute.sessions":
    "is gone: limits.total.sessions holds for all servers together, upstream.maxSessions for one",
  "limits.perRoute.storedBytes": "is gone: limits.total.storedBytes holds for all servers together",
  "limits.perRoute.polls": "is gone: limits.perCaller.polls holds for each caller",
  "limits.total.queued": "is gone: limits.total.tasks holds for waiting calls as well",
  "limits.total.held": "is gone: limits.total.tasks holds for calls that wait for answers as well",
  "limits.total.calls":
    "is gone: limits.perCaller.calls holds for each caller, limits.perRoute.calls for each server",
  "limits.total.polls": "is gone: limits.perCaller.polls holds for each caller",
  "limits.perCaller.queued": "is gone: limits.perCaller.tasks holds for waiting calls as well",
  "limits.perCaller.held": "is gone: limits.perCaller.tasks holds for calls that wait for answers as well",
  "limits.perCaller.streams":
    "is gone: one caller may have a fiftieth of limits.total.streams, and at least 100",
  "limits.perCaller.sessions":
    "is gone: one caller may have a fiftieth of limits.total.sessions, and at least 100",
  "limits.perCaller.storedBytes": "is gone: one caller may have a quarter of limits.total.storedBytes",
};

/** Cuts the value from `NAME=value` and `Name: value`, which people easily write where only a name belongs. */
function withoutValue(key: PropertyKey): PropertyKey {
  return typeof key === "string" ? key.replace(/^([^=:]*[=:]).+$/s, "$1…") : key;
}

/** Cuts what follows the name of a header, with or without a colon, where only a name belongs. */
export function headerNameOf(given: string): string {
  return given.replace(/^([^=:\s]*[=:\s]).+$/s, "$1…");
}

function given(issue: z.core.$ZodIssue, source: unknown): string {
  const value = valueAt(source, issue.path);
  if (value === undefined) return ", but is missing";
  if (isSecret(issue.path)) return "";
  if (issue.path.at(-2) === "forwardHeaders" && typeof value === "string")
    return `, got ${quoted(headerNameOf(value))}`;
  // The mistake may be in the very character that separates the password from the rest.
  const isStore = formatPath(issue.path) === "store.url" && typeof value === "string";
  if (isStore) return `, got ${quoted(value.startsWith("level:") ? value : schemeOf(value))}`;
  return `, got ${quoted(isUrl(issue.path) && typeof value === "string" ? harmlessUrl(value) : value)}`;
}

function isUrl(path: Path): boolean {
  const name = path.at(-1);
  return name === "url" || name === "publicUrl" || name === "jwks" || name === "host";
}

/**
 * A rejected URL without user, password and query. Without `//` everything after the scheme may be one of these, unless it is the port of a
 * host without a scheme.
 */
function harmlessUrl(url: string): string {
  const unasked = url.replace(/\?.*/s, "?…").replace(/#.*/s, "#…");
  if (unasked.includes("@")) {
    const scheme = /^[a-z][a-z\d+.-]*:\/*/i.exec(unasked)?.[0] ?? "";
    return `${scheme}…@${unasked.slice(unasked.lastIndexOf("@") + 1)}`;
  }
  const rest = unasked.slice(unasked.indexOf(":") + 1);
  return /^(?:\/\/|\d{1,5}(?:[/?#]|$))/.test(rest) ? unasked : schemeOf(unasked);
}

/** A text up to its first colon; the whole text if it has none, or nothing after it. */
function schemeOf(url: string): string {
  const colon = url.indexOf(":");
  return colon === -1 || colon === url.length - 1 ? url : `${url.slice(0, colon + 1)}…`;
}

/** Whether a path leads to keys, or to values of headers and variables; also when one text is in place of the list or mapping. */
function isSecret(path: Path): boolean {
  const [root, first, section, setting] = path;
  if (root === "listen") return first === "tls" && section === "passphrase";
  if (root === "store") return first === "encryptionKeys";
  if (root === "admin") return first === "token" || first === "readToken";
  if (root === "webhooks") return section === "secret" || section === "previousSecret";
  return section === "upstream" && (setting === "headers" || setting === "env");
}

function quoted(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (value === null) return "nothing";
  if (typeof value === "object") return "a mapping";
  if (typeof value !== "string") return String(value);
  const harmless = withoutCredentials(value);
  return JSON.stringify(harmless.length > 100 ? `${harmless.slice(0, 100)}…` : harmless);
}

/** A text without what is often a credential in URLs: user names, passwords and queries. */
export function withoutCredentials(text: string): string {
  const unnamed = text.replace(/\/\/[^/]*@/, "//…@");
  const query = unnamed.includes("://") ? unnamed.indexOf("?", unnamed.indexOf("://")) : -1;
  return query === -1 ? unnamed : `${unnamed.slice(0, query)}?…`;
}
