import { isEventStream } from "../protocol/headers.ts";

/** What `node:http` calls `rawHeaders`: names and values in turn, as they came over the wire. */
export type RawHeaders = readonly string[];

/**
 * The headers of a client's request that the server gets: each name in its first spelling, with all its values. Leaves out what belongs to
 * the client's own connection, frames its body or names its host. `replacements` (names in lower case) replace the client's own, within
 * the same limits; those `withheld` are for the gateway alone.
 */
export function requestHeaders(
  raw: RawHeaders,
  replacements: Readonly<Record<string, string>> = {},
  withheld: readonly string[] = [],
): Iterable<readonly [name: string, values: string[]]> {
  const dropped = droppedFrom(raw);
  const kept = new Map<string, [string, string[]]>();
  for (let at = 0; at < raw.length; at += 2) {
    const [name, value] = pair(raw, at);
    const key = name.toLowerCase();
    if (isDropped(key, dropped) || key === "host" || Object.hasOwn(replacements, key)) continue;
    if (withheld.includes(key)) continue;
    const known = kept.get(key);
    if (known) known[1].push(value);
    else kept.set(key, [name, [value]]);
  }
  for (const [name, value] of Object.entries(replacements)) {
    if (!isDropped(name, undefined) && name !== "host") kept.set(name, [name, [value]]);
  }
  return kept.values();
}

export interface AnswerHeadersOptions {
  /** A rewritten body loses the headers about its bytes. */
  readonly isRewritten: boolean;
  /** Gives the `Location` that the client gets. */
  readonly relocate?: (location: string) => string;
}

/**
 * The headers of a server's answer that the client gets: the same names, case, order and duplicates. Leaves out what belongs to the
 * connection to the server, and what the server allows web pages: `listen.allowedOrigins` says which pages may call, and read the answer.
 * Tells proxies not to hold back an event stream, unless the server says something of that itself.
 */
export function answerHeaders(raw: RawHeaders, { isRewritten, relocate }: AnswerHeadersOptions): string[] {
  const dropped = droppedFrom(raw);
  const kept: string[] = [];
  let isStream = false;
  for (let at = 0; at < raw.length; at += 2) {
    const [name, value] = pair(raw, at);
    const key = name.toLowerCase();
    // The length is the only part of the framing that the two connections have in common.
    const isLength = key === "content-length" && !isRewritten && !dropped?.has(key);
    if (!isLength && (isDropped(key, dropped) || (isRewritten && BOUND_TO_BYTES.has(key)))) continue;
    if (key.startsWith("access-control-")) continue;
    if (key === "content-type") isStream ||= isEventStream(value);
    kept.push(name, key === "location" && relocate !== undefined ? relocate(value) : value);
  }
  if (isStream) {
    for (const [name, value] of FOR_STREAMS) if (!isNamed(raw, name)) kept.push(name, value);
  }
  return kept;
}

/**
 * For proxies and caches between the client and the gateway: nginx holds a stream back until its end, and a cache has been seen to give
 * one session's stream to the next.
 */
const FOR_STREAMS = [
  ["X-Accel-Buffering", "no"],
  ["Cache-Control", "no-cache"],
] as const;

function isNamed(raw: RawHeaders, name: string): boolean {
  return raw.some((given, at) => at % 2 === 0 && given.toLowerCase() === name.toLowerCase());
}

/** RFC 9110 §7.6.1, and the framing of RFC 9112 §6: each of the two connections has its own. */
const OF_THE_CONNECTION = new Set([
  "connection",
  "content-length",
  "expect",
  "http2-settings",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Validators and digests: true of the server's bytes, and of no others. */
const BOUND_TO_BYTES = new Set([
  "accept-ranges",
  "content-digest",
  "content-md5",
  "digest",
  "etag",
  "repr-digest",
]);

function isDropped(key: string, named: ReadonlySet<string> | undefined): boolean {
  return OF_THE_CONNECTION.has(key) || key.startsWith("proxy-") || named?.has(key) === true;
}

/** The headers that `Connection` names, which belong to the connection too. Mostly it names none that count. */
function droppedFrom(raw: RawHeaders): ReadonlySet<string> | undefined {
  let dropped: Set<string> | undefined;
  for (let at = 0; at < raw.length; at += 2) {
    const [name, value] = pair(raw, at);
    if (name.length !== "connection".length || name.toLowerCase() !== "connection") continue;
    dropped ??= new Set();
    for (const named of value.split(",")) dropped.add(named.trim().toLowerCase());
  }
  return dropped;
}

function pair(raw: RawHeaders, at: number): readonly [name: string, value: string] {
  return [raw[at] ?? "", raw[at + 1] ?? ""];
}
