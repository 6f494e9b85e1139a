/** Shorter secrets may be ordinary words, and masking those would make the text less useful. */
const MIN_SECRET_CHARS = 8;
/** Headers of the protocol itself; values such as `application/json` occur in many explanations. */
const PROTOCOL_HEADER = /^(?:accept|content|mcp-|last-event-id)/i;

/** Masks secrets in a server's words, which the gateway keeps and shows to others than the caller whose secrets they are. */
export function masked(text: string, secrets: readonly string[]): string {
  // Longest first: masking a secret that is part of a longer one would leave the rest of that.
  const longestFirst = secrets
    .filter(({ length }) => length >= MIN_SECRET_CHARS)
    .sort((one, other) => other.length - one.length);
  return longestFirst.reduce((before, secret) => before.replaceAll(secret, "…"), text);
}

/** The values of all headers but the protocol's, and their parts: the token of `Bearer …`, the cookies of a list. */
export function secretsIn(headers: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(headers)
    .filter(([name]) => !PROTOCOL_HEADER.test(name))
    .flatMap(([, value]) => [value, ...value.split(/[\s;,=]+/)]);
}

/** Variables that say where and as whom a program runs; their values occur in many explanations. `LC_`, `XDG_` and `npm_` begin others. */
const ORDINARY_VARIABLES: ReadonlySet<string> = new Set(
  [
    "path pathext home pwd oldpwd init_cwd shell term colorterm user logname hostname lang language tz tmpdir temp tmp node editor display",
    "username userprofile appdata localappdata programdata programfiles computername comspec os systemdrive systemroot windir",
  ].flatMap((names) => names.split(" ")),
);
const ORDINARY_BEGINNING = /^(?:lc|xdg|npm)_/;

/** The values of variables, but for those that are ordinary: `stdio` passes on all that it has itself. */
export function secretsInEnvironment(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  return Object.entries(env).flatMap(([name, value]) => {
    const lower = name.toLowerCase();
    const isOrdinary = ORDINARY_VARIABLES.has(lower) || ORDINARY_BEGINNING.test(lower);
    return value === undefined || isOrdinary ? [] : [value];
  });
}
