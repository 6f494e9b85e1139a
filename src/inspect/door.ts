import { isObject } from "../protocol/jsonrpc.ts";
import { LEGACY_VERSIONS } from "../protocol/legacy.ts";
import { MODERN_VERSION } from "../protocol/modern.ts";
import { toFailure } from "../upstreams/failure.ts";
import { type ModernDescription, probe } from "../upstreams/probe.ts";
import { HELLO, HttpSession } from "./http-session.ts";
import { CLIENT_INFO } from "./sessions.ts";
import { shown, Unfit, unreachable } from "./unfit.ts";
import type { Visit, Visitor } from "./visit.ts";

/** What a URL turned out to be, as far as POST tells. */
export interface Door {
  readonly modern?: ModernDescription;
  /** The server answers `initialize` over Streamable HTTP, and has just opened a session. */
  readonly session?: HttpSession;
  /** The answer to `initialize`, whatever it was. */
  readonly hello: Visit;
}

export const WANTS_A_LOGIN: ReadonlySet<number> = new Set([401, 403, 407]);

/**
 * Asks in both eras who is there; in the older one first, because servers of old take whatever comes first for the beginning of
 * the only session they have.
 * @throws Unfit when nobody is, when he wants a login, or speaks none of the versions that we do
 */
export async function knock(visitor: Visitor): Promise<Door> {
  const { url } = visitor;
  const hello = await visitor.post(HELLO).catch((error: unknown) => {
    throw unreachable(url, toFailure(error));
  });
  if (WANTS_A_LOGIN.has(hello.status)) throw login(url, hello.status, hello.headers["www-authenticate"]);
  const session = opened(visitor, hello);
  const verdict = await probe({ ...visitor.options, clientInfo: CLIENT_INFO });
  if (verdict.era === "other" && session === undefined) throw strange(url, verdict.supportedVersions);
  return {
    ...(verdict.era === "modern" ? { modern: verdict.description } : {}),
    ...(session === undefined ? {} : { session }),
    hello,
  };
}

/** @throws Unfit when the server agrees on a version that we do not speak */
function opened(visitor: Visitor, hello: Visit): HttpSession | undefined {
  const { answer } = hello;
  if (answer === undefined || !("result" in answer)) return undefined;
  const { protocolVersion } = answer.result;
  if (typeof protocolVersion !== "string") return undefined;
  if (!LEGACY_VERSIONS.includes(protocolVersion)) throw strange(visitor.url, [protocolVersion]);
  return new HttpSession(visitor, hello, answer.result);
}

/** A place that talks, but not the protocol: says what it says, and where there may be more luck. @returns an error to throw */
export async function noServer(visitor: Visitor, hello: Visit): Promise<Unfit> {
  const { url } = visitor;
  const { answer, status, headers } = hello;
  const to = location(url, headers.location);
  if (status >= 300 && status < 400 && to !== undefined)
    return new Unfit(`${shown(url)} answers with a redirect (HTTP ${status}) to ${to}`, [
      "Redirects are not followed. If that is the server you mean, give its URL.",
    ]);
  if (answer !== undefined && "error" in answer)
    return new Unfit(`${shown(url)} refuses initialize (HTTP ${status}): ${answer.error.message}`, [
      "A server that is in use may have room for one session only; end the other, or restart it.",
    ]);
  const page = await visitor.page().catch(() => undefined);
  const get = page === undefined ? "" : `; GET with ${whatCame(page)}`;
  const expected =
    "Expected was an answer to initialize, or an event stream that begins with an endpoint event.";
  return new Unfit(`${shown(url)} is no MCP server: POST is answered with ${whatCame(hello)}${get}`, [
    expected,
    ...(await elsewhere(visitor)),
  ]);
}

/** The server wants to know who asks. @returns an error to throw */
export function login(url: URL, status: number, challenge: string | undefined): Unfit {
  const metadata = /resource_metadata="?([^",\s]+)/i.exec(challenge ?? "")?.[1];
  return new Unfit(`${shown(url)} wants a login (HTTP ${status})`, [
    challenge === undefined
      ? "It does not say which kind (no WWW-Authenticate)."
      : `WWW-Authenticate: ${challenge}`,
    ...(metadata === undefined ? [] : [`Where to log in is said at ${metadata}`]),
    "Give a credential with --header 'Authorization: Bearer …'; variables of the environment are filled in.",
  ]);
}

function strange(url: URL, versions: readonly string[]): Unfit {
  const ours = [MODERN_VERSION, ...LEGACY_VERSIONS].join(", ");
  return new Unfit(`${shown(url)} speaks protocol version ${versions.join(", ")}, expected one of ${ours}`);
}

/** `HTTP 404 and an HTML page "Not found"` */
function whatCame(visit: Visit): string {
  return `HTTP ${visit.status} and ${bodyOf(visit)}`;
}

const MAX_QUOTED_CHARS = 100;

function bodyOf({ headers, text, isStream, events }: Visit): string {
  const type = headers["content-type"] ?? "";
  if (isStream)
    return events.count === 0 ? "an event stream without events" : "an event stream without an answer";
  if (text.trim() === "") return "an empty body";
  if (/html/i.test(type)) {
    const title = titleOf(text);
    return title === "" ? "an HTML page" : `an HTML page ${quoted(title)}`;
  }
  if (/json/i.test(type)) return jsonWords(text);
  return `${type === "" ? "a body without a type" : type} ${quoted(text.trim())}`;
}

/** What stands between the first `<title>` and the next tag; empty when there is none. */
function titleOf(page: string): string {
  const tag = page.search(/<title[\s>]/i);
  const start = tag === -1 ? -1 : page.indexOf(">", tag);
  if (start === -1) return "";
  const end = page.indexOf("<", start);
  return page.slice(start + 1, end === -1 ? undefined : end).trim();
}

function jsonWords(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    if (!isObject(value)) return `JSON ${quoted(text)}`;
    return `JSON with the fields ${Object.keys(value).slice(0, 8).join(", ") || "(none)"}`;
  } catch {
    return `what calls itself JSON ${quoted(text)}`;
  }
}

function quoted(text: string): string {
  const line = text.replace(/\s+/g, " ");
  return JSON.stringify(line.length > MAX_QUOTED_CHARS ? `${line.slice(0, MAX_QUOTED_CHARS)}…` : line);
}

function location(base: URL, to: string | undefined): string | undefined {
  return to !== undefined && URL.canParse(to, base.href) ? shown(new URL(to, base)) : to;
}

/** Where servers usually are, if there is one. */
async function elsewhere(visitor: Visitor): Promise<readonly string[]> {
  const found: string[] = [];
  for (const path of ["/mcp", "/sse"]) {
    const url = new URL(path, visitor.url);
    if (url.pathname === visitor.url.pathname) continue;
    if (await isServer(visitor.at(url))) found.push(`There is an MCP server at ${shown(url)}`);
  }
  return found;
}

async function isServer(visitor: Visitor): Promise<boolean> {
  try {
    const session = opened(visitor, await visitor.post(HELLO));
    await session?.close();
    if (session !== undefined) return true;
    const stream = await visitor.listen({});
    return stream?.status === 200 && stream.events.count > 0;
  } catch {
    return false;
  }
}
