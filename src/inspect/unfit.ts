import { shortened } from "../log/one-line.ts";
import { isObject, parseJson } from "../protocol/jsonrpc.ts";
import { LEGACY_VERSIONS } from "../protocol/legacy.ts";
import { MODERN_VERSION } from "../protocol/modern.ts";
import { UpstreamFailure } from "../upstream/failure.ts";
import type { Exchange } from "./traffic.ts";

/** There is no server that the gateway could serve. The message says what was found, and each hint what the user can do. */
export class Unfit extends Error {
  override name = "Unfit";
  readonly hints: readonly string[];

  constructor(message: string, hints: readonly string[] = []) {
    super(message);
    this.hints = hints;
  }
}

/** The flags do not fit this server, e.g. name a tool that it does not have. */
export class Misuse extends Error {
  override name = "Misuse";
}

interface Reason {
  readonly matches: RegExp;
  readonly words: string;
  readonly hint?: string;
}

/** Matched against the codes and messages of Node, OpenSSL and undici. */
const REASONS: readonly Reason[] = [
  {
    matches: /ECONNREFUSED/,
    words: "nothing listens there",
    hint: "Is the server running, and is this its port?",
  },
  { matches: /ENOTFOUND|EAI_AGAIN/, words: "the host name is not known" },
  { matches: /EHOSTUNREACH|ENETUNREACH/, words: "there is no way to that host from here" },
  { matches: /UND_ERR_CONNECT_TIMEOUT|ETIMEDOUT/, words: "the host does not answer" },
  {
    matches: /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|EPROTO/,
    words: "TLS problem: what answers there speaks no TLS",
    hint: "Try http:// in place of https://.",
  },
  {
    matches: /SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|CERT_|ERR_TLS/,
    words: "TLS problem: its certificate is not trusted here",
    hint: "NODE_EXTRA_CA_CERTS names a file with a certificate to trust.",
  },
  {
    matches: /HPE_|HTTP\/1\.1 protocol/,
    words: "what answers there speaks no HTTP",
    hint: "Try https:// in place of http://.",
  },
  {
    matches: /UND_ERR_SOCKET|ECONNRESET|EPIPE/,
    words: "it closed the connection without an answer",
    hint: "It may want https://, or not be a server for HTTP at all.",
  },
];

/** @returns an error to throw that says why a URL answered no request */
export function unreachable(url: URL, failure: UpstreamFailure): Unfit {
  const known = codesOf(failure);
  const reason = REASONS.find(({ matches }) => matches.test(known));
  const detail = reason === undefined ? wordsOf(failure) : `${reason.words} (${known})`;
  const hints = reason?.hint === undefined ? patience(failure.message) : [reason.hint];
  return new Unfit(`${shown(url)} cannot be inspected: ${detail}`, hints);
}

export function notStarted(command: string, reason: string): Unfit {
  return new Unfit(`${command} cannot be inspected: ${reason}`, patience(reason));
}

export function foreignVersion(url: URL, versions: readonly string[]): Unfit {
  const ours = [MODERN_VERSION, ...LEGACY_VERSIONS].join(", ");
  return new Unfit(`${shown(url)} speaks protocol version ${versions.join(", ")}, expected one of ${ours}`);
}

export function isLogin(status: number | undefined): boolean {
  return status === 401 || status === 403 || status === 407;
}

export function login(url: URL, status: number | undefined, challenge: string | undefined): Unfit {
  const metadata = /resource_metadata="?([^",\s]+)/i.exec(challenge ?? "")?.[1];
  return new Unfit(`${shown(url)} wants a login (HTTP ${status})`, [
    challenge === undefined
      ? "It does not say which kind (no WWW-Authenticate)."
      : `WWW-Authenticate: ${challenge}`,
    ...(metadata === undefined ? [] : [`Where to log in is said at ${metadata}`]),
    "Give a credential with --header 'Authorization: Bearer …'; variables of the environment are filled in.",
  ]);
}

/**
 * @param hello the answer to `initialize`
 * @param page the response to GET
 * @param servers URLs on the same host that are MCP servers
 * @returns an error to throw that says why an answer is not an MCP server's
 */
export function noServer(
  url: URL,
  hello: Exchange | undefined,
  page: Exchange | undefined,
  servers: readonly URL[],
): Unfit {
  const { answer, status = 0 } = hello ?? {};
  const to = hello?.header("location");
  if (status >= 300 && status < 400 && to !== undefined) {
    const target = URL.canParse(to, url.href) ? shown(new URL(to, url)) : to;
    return new Unfit(`${shown(url)} answers with a redirect (HTTP ${status}) to ${target}`, [
      "Redirects are not followed. If that is the server you mean, give its URL.",
    ]);
  }
  if (answer !== undefined && "error" in answer)
    return new Unfit(`${shown(url)} refuses initialize (HTTP ${status}): ${answer.error.message}`, [
      "A server that is in use may have room for one session only; end the other, or restart it.",
    ]);
  const get = page?.status === undefined ? "" : `; GET with ${whatCame(page)}`;
  return new Unfit(`${shown(url)} is no MCP server: POST is answered with ${whatCame(hello)}${get}`, [
    "Expected was an answer to initialize, or an event stream that begins with an endpoint event.",
    ...servers.map((server) => `There is an MCP server at ${shown(server)}`),
  ]);
}

/** `HTTP 404 and an HTML page "Not found"` */
function whatCame(exchange: Exchange | undefined): string {
  return exchange === undefined ? "nothing" : `HTTP ${exchange.status} and ${bodyOf(exchange)}`;
}

function bodyOf(exchange: Exchange): string {
  const { text, isStream, events } = exchange;
  const type = exchange.header("content-type") ?? "";
  if (isStream)
    return events.count === 0 ? "an event stream without events" : "an event stream without an answer";
  if (text.trim() === "") return "an empty body";
  if (/html/i.test(type)) return `an HTML page ${titleOf(text)}`.trim();
  if (!/json/i.test(type)) return `${type === "" ? "a body without a type" : type} ${quoted(text.trim())}`;
  const value = parseJson(text);
  if (value === undefined) return `what calls itself JSON ${quoted(text)}`;
  if (!isObject(value)) return `JSON ${quoted(text)}`;
  return `JSON with the fields ${Object.keys(value).slice(0, 8).join(", ") || "(none)"}`;
}

/** The text between the first `<title>` and the next tag, in quotes; empty when there is none. */
function titleOf(page: string): string {
  const tag = page.search(/<title[\s>]/i);
  const start = tag === -1 ? -1 : page.indexOf(">", tag);
  if (start === -1) return "";
  const end = page.indexOf("<", start);
  const title = page.slice(start + 1, end === -1 ? undefined : end).trim();
  return title === "" ? "" : quoted(title);
}

const MAX_QUOTED_CHARS = 100;

function quoted(text: string): string {
  return JSON.stringify(shortened(text.replace(/\s+/g, " "), MAX_QUOTED_CHARS));
}

function patience(reason: string): readonly string[] {
  return /did not answer/.test(reason) ? ["--timeout gives it more time."] : [];
}

/** A URL without user, password, query and fragment, which may be secrets. */
export function shown({ origin, pathname }: URL): string {
  return `${origin}${pathname}`;
}

/** An error in words for people. The `startTimeout` of `upstream/` is `--timeout` here. */
export function wordsOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/ \(startTimeout\)$/, "");
}

/** The first code in the chain of causes; it says more than the later ones. */
function codesOf(failure: UpstreamFailure): string {
  for (let error: unknown = failure; error instanceof Error; error = error.cause) {
    const { code } = error as NodeJS.ErrnoException;
    if (typeof code === "string" && !(error instanceof UpstreamFailure)) return code;
  }
  return failure.message;
}
