/** Shorter ones may be any word, and whoever reads a text without them would know less. */
const MIN_SECRET_CHARS = 8;
/** What the protocol itself says in headers; words such as `application/json` are in many an explanation. */
const PROTOCOL_HEADER = /^(?:accept|content|mcp-|last-event-id)/i;

/** A server's words without what it was given in confidence: they are kept, and told to others than whoever made it say them. */
export function masked(text: string, secrets: readonly string[]): string {
  // One that is part of another is looked for later, or the rest of the longer one would be left.
  const longestFirst = secrets
    .filter(({ length }) => length >= MIN_SECRET_CHARS)
    .sort((one, other) => other.length - one.length);
  return longestFirst.reduce((before, secret) => before.replaceAll(secret, "…"), text);
}

/** The values of headers that are somebody's own, and their parts: the token of `Bearer …`, the cookies of a list. */
export function secretsIn(headers: Headers): readonly string[] {
  return [...headers]
    .filter(([name]) => !PROTOCOL_HEADER.test(name))
    .flatMap(([, value]) => [value, ...value.split(/[\s;,=]+/)]);
}
