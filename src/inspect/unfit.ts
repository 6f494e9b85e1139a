import { UpstreamFailure } from "../upstreams/failure.ts";

/** There is nothing to stand in front of. The message says what was found, and each hint what can be done. */
export class Unfit extends Error {
  override name = "Unfit";
  readonly hints: readonly string[];

  constructor(message: string, hints: readonly string[] = []) {
    super(message);
    this.hints = hints;
  }
}

/** What was asked for does not go with this server, e.g. a tool that it does not have. */
export class Misuse extends Error {
  override name = "Misuse";
}

interface Reason {
  readonly matches: RegExp;
  readonly words: string;
  readonly hint?: string;
}

/** Of the codes and messages that Node, OpenSSL and undici have for it. */
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

/** Why a URL could not be talked to, in plain words. */
export function unreachable(url: URL, failure: UpstreamFailure): Unfit {
  const known = codesOf(failure);
  const reason = REASONS.find(({ matches }) => matches.test(known));
  const detail = reason === undefined ? failure.message : `${reason.words} (${known})`;
  const hints = reason?.hint === undefined ? patience(failure.message) : [reason.hint];
  return new Unfit(`${shown(url)} cannot be inspected: ${detail}`, hints);
}

/** What may help against a silence. */
export function patience(reason: string): readonly string[] {
  return /did not answer/.test(reason) ? ["--timeout gives it more time."] : [];
}

/** A URL without what may be a secret. */
export function shown({ origin, pathname }: URL): string {
  return `${origin}${pathname}`;
}

/** What went wrong, in words for people. */
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The first code in a chain of causes, which says more than the others. */
function codesOf(failure: UpstreamFailure): string {
  for (let error: unknown = failure; error instanceof Error; error = error.cause) {
    const { code } = error as NodeJS.ErrnoException;
    if (typeof code === "string" && !(error instanceof UpstreamFailure)) return code;
  }
  return failure.message;
}
