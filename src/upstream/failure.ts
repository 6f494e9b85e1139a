import type { Logger } from "pino";
import { throttled } from "../log/throttled.ts";
import { JsonExcess } from "../protocol/json-limits.ts";
import type { JsonRpcError } from "../protocol/jsonrpc.ts";

export interface FailureFacts {
  /** Whether the server may have begun the work: then the request must never be sent again. */
  readonly mayHaveRun: boolean;
  /** The HTTP status with which the server refused, if it did. */
  readonly status?: number | undefined;
  /** The `WWW-Authenticate` header of a 401 or 403: how callers are to identify themselves. */
  readonly wwwAuthenticate?: string | undefined;
  /** The JSON-RPC error in the body of a refusal. */
  readonly rpcError?: JsonRpcError | undefined;
  /** False when the server's process could not be started, or exited or stayed silent before the session was ready. */
  readonly hasStarted?: false;
  /** False when no connection to the server could be made. */
  readonly isReached?: false;
  readonly cause?: unknown;
}

/** The server gave no JSON-RPC answer to a request. The message says what happened, in words that a client may see. */
export class UpstreamFailure extends Error {
  override name = "UpstreamFailure";
  readonly facts: FailureFacts;

  constructor(message: string, facts: FailureFacts) {
    super(message, { cause: facts.cause });
    this.facts = facts;
  }
}

/** Whether the server refused the caller (RFC 9110 §15.5.2, §15.5.4), and not the request. */
export function wantsLogin({ facts: { status } }: UpstreamFailure): boolean {
  return status === 401 || status === 403;
}

const ABSENT: ReadonlySet<number | undefined> = new Set([502, 503, 504]);

/** Whether the status is what is answered in place of a server that is not there. */
export function isOfAbsent(status: number | undefined): boolean {
  return ABSENT.has(status);
}

/** The stream that was to carry the answer ended without it. */
export function unanswered(): UpstreamFailure {
  return new UpstreamFailure("The server closed the stream without an answer", { mayHaveRun: true });
}

/** The server's answer is unusable. `why` completes a sentence: `its id is null`. */
export function unusableAnswer(why: string): UpstreamFailure {
  return new UpstreamFailure(`The server's answer cannot be used: ${why}`, {
    mayHaveRun: true,
    cause: new SyntaxError(why),
  });
}

export function isUnusable({ facts: { cause } }: UpstreamFailure): boolean {
  return cause instanceof SyntaxError;
}

/** Logs the unusable answer for the operator, who would not see it otherwise. */
export function warnOfUnusable(log: Logger, method: string, why: string): void {
  throttled(log).say(
    "warn",
    { method, why: withoutItsWords(why) },
    "the server's answer cannot be used; the request fails",
  );
}

/** The fault of an answer without the server's own texts: the client gets those, but others read the log. */
function withoutItsWords(why: string): string {
  const [what = ""] = why.split("; it says: ", 1);
  const first = what.indexOf('"');
  if (first === -1) return what;
  const last = what.lastIndexOf('"');
  return `${what.slice(0, first)}a text${last === first ? "" : what.slice(last + 1)}`;
}

/** The answer to a request did not come in time. */
export function late(method: string, ms: number): UpstreamFailure {
  return new UpstreamFailure(`The server did not answer ${method} within ${ms} ms`, { mayHaveRun: true });
}

/** The server was too slow at something that it has to do before it can be used. */
export function slowToStart(what: string, ms: number): UpstreamFailure {
  const message = `The server did not ${what} within ${ms} ms (startTimeout)`;
  return new UpstreamFailure(message, { mayHaveRun: false, hasStarted: false });
}

/** A failure to open a session, as a failure of the call that wanted it: the call was not sent, and no `rpcError` is an answer to it. */
export function beforeTheCall({ message, facts }: UpstreamFailure): UpstreamFailure {
  const { rpcError: _, ...others } = facts;
  return new UpstreamFailure(message, { ...others, mayHaveRun: false });
}

/** The gateway is stopping and did not send the request. */
export function stopping(): UpstreamFailure {
  return new UpstreamFailure("The gateway is stopping", { mayHaveRun: false });
}

/** Codes of errors before any byte of the request can have reached the server. */
const NEVER_CONNECTED = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
  // The certificate is checked before anything is sent.
  "CERT_CHAIN_TOO_LONG",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_REJECTED",
  "CERT_REVOKED",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "HOSTNAME_MISMATCH",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/** Turns any error of the transport into an `UpstreamFailure`. */
export function toFailure(caught: unknown): UpstreamFailure {
  for (let error = caught; error instanceof Error; error = error.cause) {
    if (error instanceof UpstreamFailure) return error;
    if (error instanceof JsonExcess)
      return new UpstreamFailure(`The server's answer ${error.message}`, { mayHaveRun: true });
    const { code } = error as NodeJS.ErrnoException;
    if (isOutOfDescriptors(error)) {
      return new UpstreamFailure(
        `The gateway has no file descriptor left to reach the server with (${code}); nothing was sent`,
        { mayHaveRun: false, cause: caught },
      );
    }
    if (code !== undefined && (NEVER_CONNECTED.has(code) || isLateConnection(error))) {
      return new UpstreamFailure(`The server cannot be reached (${code})`, {
        mayHaveRun: false,
        isReached: false,
        cause: caught,
      });
    }
  }
  const detail = caught instanceof Error ? rootMessage(caught) : String(caught);
  return new UpstreamFailure(`The connection to the server broke: ${detail}`, {
    mayHaveRun: true,
    cause: caught,
  });
}

/** Whether a connection or a process could not be started because this process, or the machine, has no file descriptor left. */
export function isOutOfDescriptors(error: Error): boolean {
  if (error instanceof AggregateError && error.errors.length > 0)
    return error.errors.every(isOutOfDescriptors);
  const { code } = error as NodeJS.ErrnoException;
  return code === "EMFILE" || code === "ENFILE";
}

/** Whether connecting timed out. An open connection can time out with the same code, so the system call decides. */
function isLateConnection(error: Error): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (error instanceof AggregateError) return error.errors.every(isLateConnection);
  return code === "ETIMEDOUT" && syscall === "connect";
}

function rootMessage(error: Error): string {
  return error.cause instanceof Error ? rootMessage(error.cause) : error.message;
}
