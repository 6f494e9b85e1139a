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

/** Variables that say where and as whom a program runs; their values occur in many explanations. */
const ORDINARY_VARIABLE =
  /^(?:PATH|PATHEXT|HOME|PWD|OLDPWD|INIT_CWD|SHELL|TERM|COLORTERM|USER|LOGNAME|HOSTNAME|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|TEMP|TMP|NODE|EDITOR|DISPLAY|XDG_[A-Z_]+|USERNAME|USERPROFILE|APPDATA|LOCALAPPDATA|PROGRAMDATA|PROGRAMFILES|COMPUTERNAME|COMSPEC|OS|SYSTEMDRIVE|SYSTEMROOT|WINDIR)$/i;

/** The values of a server's variables, but for those that are ordinary: `stdio` passes on all that it has itself. */
export function secretsInEnvironment(env: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(env)
    .filter(([name]) => !ORDINARY_VARIABLE.test(name))
    .map(([, value]) => value);
}
