import { isObject, type JsonRpcError } from "./jsonrpc.ts";
import type { ClientCapabilities } from "./modern.ts";

/** An error for the client, with the HTTP status that 2026-07-28 wants for it (Streamable HTTP §Server Validation). */
export class RpcError extends Error {
  override name = "RpcError";
  readonly code: number;
  readonly data: unknown;
  readonly httpStatus: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(error: JsonRpcError, httpStatus = 200, headers: Readonly<Record<string, string>> = {}) {
    super(error.message);
    this.code = error.code;
    this.data = error.data;
    this.httpStatus = httpStatus;
    this.headers = headers;
  }

  toJSON(): JsonRpcError {
    const { code, message, data } = this;
    return data === undefined ? { code, message } : { code, message, data };
  }
}

/** Every answer that is an error, by name, so that a code is spelled once. */
export const rpc = {
  parseError: (detail: string) => error(-32700, `Parse error: ${detail}`, 400),
  invalidRequest: (detail: string) => error(-32600, `Invalid request: ${detail}`, 400),
  badBatch: (messages: number, max: number) =>
    error(-32600, `Invalid request: a batch must have 1 to ${max} messages, got ${messages}`, 400),
  batchTooLong: (max: number) =>
    error(-32600, `Invalid request: a batch must have 1 to ${max} messages, got more`, 400),
  /** Of arguments there may be more: they are not looked at. */
  tooManyValues: (max: number) =>
    error(-32600, `Invalid request: there are more than ${max} values outside of params.arguments`, 400),
  methodNotFound: (method: string) => error(-32601, `Method not found: ${cut(method)}`, 404),
  /** A required `_meta` field is missing or malformed: the one kind of -32602 that is an HTTP error. */
  invalidMeta: (detail: string) => error(-32602, `Invalid params: ${detail}`, 400),
  invalidParams: (detail: string) => error(-32602, `Invalid params: ${detail}`),
  /** 2025-11-25, Tasks §Tool-Level Negotiation. */
  taskForbidden: (tool: string) =>
    error(-32601, `${quote(tool)} cannot be called as a task (taskSupport is forbidden)`),
  taskRequired: (tool: string) =>
    error(
      -32601,
      `${quote(tool)} must be called as a task: params.task is missing (taskSupport is required)`,
    ),
  taskIsOver: (status: unknown) =>
    error(-32602, `Cannot cancel task: already in terminal status '${status}'`),
  tasksNotListed: () => error(-32601, "Method not found: tasks/list, since callers are not told apart here"),
  /** Tasks that were there, and that a client listens to. */
  tasksGone: (taskIds: readonly string[]) =>
    error(-32602, "Failed to retrieve task: there is no such task any more", 200, { taskIds }),
  unknownTask: () => error(-32602, "Failed to retrieve task: no such task"),
  invalidRequestState: () => error(-32602, "Invalid params: requestState is not valid for this request"),
  internal: (detail: string, data?: unknown) => error(-32603, detail, 200, data),
  resultTooLarge: (bytes: number, maxBytes: number) =>
    error(-32603, `The result has ${bytes} bytes, more than the ${maxBytes} of maxResultBytes`),
  tooManyCalls: (running: number, waiting: number) =>
    error(-32603, `Too many calls: ${running} are running and ${waiting} are waiting (maxQueued)`),
  /**
   * What is refused by a gateway that is about to stop has not been begun: to send it again is safe, and a load balancer may do
   * so (RFC 9110 §15.6.4).
   */
  stopping: () => tryAgain("The gateway is stopping; try again", 503),
  /** What was begun and has no answer yet. */
  stopped: () =>
    error(
      -32603,
      "The gateway is stopping, and the server has not answered; whether the work was done is not known",
    ),
  /** The server said all that it had to say, and the answer was not among it. */
  unanswered: () =>
    error(
      -32603,
      "The server ended its event stream without an answer; whether the work was done is not known",
    ),
  /** A session of the gateway's own that has ended, or never was (2025-11-25, Transports §Session Management). */
  unknownSession: () => error(-32001, "Session not found", 404),
  sessionOver: () => error(-32603, "The session is over: the server has gone, or the client has ended it"),
  /** Something is used up, or comes too often; `limit` is the setting's path, and `max` its value. */
  limitExceeded: ({ limit, max, httpStatus, retryAfterMs }: LimitExceeded) =>
    tryAgain(`Limit exceeded: ${limit} is ${max}; try again later`, httpStatus, {
      retryAfterMs,
      data: { limit, max },
    }),
  /** The answer is there, and stays: what others have not read yet is all that the gateway can hold. */
  answersUnread: () => tryAgain("Too much of what was answered has not been read; try again", 503),
  /** The store gave no answer: nothing is known, and asking again is right. */
  storeUnavailable: () => tryAgain("The task store is not available; try again", 503),

  /**
   * The server refused, or gave no answer. Its wish for credentials is passed on as it is (Authorization §Error Handling),
   * and so is the error that it refused with, unless that is one of the transport's own.
   */
  upstreamFailed: (message: string, { status, wwwAuthenticate, rpcError }: Refusal) => {
    if (status === 401 || status === 403) {
      const headers = wwwAuthenticate === undefined ? {} : { "WWW-Authenticate": wwwAuthenticate };
      return new RpcError({ code: -32603, message }, status, headers);
    }
    return rpcError === undefined || isTransportError(rpcError)
      ? error(-32603, message)
      : fromServer(rpcError);
  },

  /** The server refused before anything was done: told as the server told it. */
  refused: (message: string, { status = 502, wwwAuthenticate, rpcError }: Refusal) =>
    new RpcError(
      rpcError ?? { code: -32603, message },
      status,
      wwwAuthenticate === undefined ? {} : { "WWW-Authenticate": wwwAuthenticate },
    ),
  /** Tasks belong to callers who say who they are (RFC 9110 §15.5.2). */
  credentialMissing: () =>
    new RpcError({ code: -32600, message: "Unauthorized: a credential is required (Authorization)" }, 401, {
      "WWW-Authenticate": "Bearer",
    }),
  /** What is wrong with a token, and how to come by one that is right (RFC 6750 §3). */
  challenged: (httpStatus: 400 | 401 | 403, detail: string, challenge: string) =>
    new RpcError({ code: -32600, message: `${DENIED[httpStatus]}: ${detail}` }, httpStatus, {
      "WWW-Authenticate": challenge,
    }),
  /** No challenge goes with it: there is nothing that a client could answer one with. */
  callerUnnamed: (header: string) =>
    error(-32600, `Unauthorized: the proxy names no caller (the header ${header} is missing or empty)`, 401),
  untrustedProxy: (address = "an unknown address") =>
    error(
      -32600,
      `Forbidden: callers are named by a proxy, and ${address} is none of callers.trustedProxies`,
      403,
    ),
  keysUnavailable: () => tryAgain("The keys that tokens are verified with are not available; try again", 503),
  /** Nobody says that the credential is wrong, and nobody that it is right. */
  credentialUnconfirmed: (why: string) =>
    tryAgain(`The server could not be asked about the credential: ${why}`, 503),
  /** Nothing came from the server that could be passed on. */
  badGateway: (message: string) => error(-32603, message, 502),

  headerMismatch: (name: string, found: { header: string | undefined; body: string }) =>
    error(
      -32020,
      found.header === undefined
        ? `Header mismatch: ${name} is missing, expected ${quote(found.body)}`
        : `Header mismatch: ${name} is ${quote(found.header)}, but the body says ${quote(found.body)}`,
      400,
    ),
  invalidHeader: (name: string, detail: string) => error(-32020, `Header mismatch: ${name} ${detail}`, 400),
  missingCapability: (required: ClientCapabilities) =>
    error(-32021, `Missing required client capability: ${names(required)}`, 400, {
      requiredCapabilities: required,
    }),
  unsupportedVersion: (requested: string, supported: readonly string[]) =>
    error(
      -32022,
      `Unsupported protocol version ${quote(requested)}; supported: ${supported.join(", ")}`,
      400,
      { supported, requested: cut(requested) },
    ),

  hostRefused: (name: string) =>
    error(
      -32600,
      `Forbidden: requests to ${quote(name)} are not served here; to have them served, add ${quote(name)} to listen.allowedHosts`,
      403,
    ),
  originRefused: (origin: string) =>
    error(
      -32600,
      `Forbidden: pages of ${quote(origin)} may not call the gateway; to let them, add ${quote(origin)} to listen.allowedOrigins`,
      403,
    ),
  forbidden: (detail: string) => error(-32600, `Forbidden: ${detail}`, 403),
  methodNotAllowed: (method: string, allowed = "POST") =>
    new RpcError({ code: -32600, message: `${method} is not allowed here; use ${allowed}` }, 405, {
      Allow: allowed,
    }),
  methodUnknown: (method: string) => error(-32600, `${cut(method)} is not a method that is known here`, 501),
  tooDeep: (maxDepth: number) =>
    error(-32600, `Invalid request: it is nested deeper than ${maxDepth} levels (limits.maxDepth)`, 400),
  bodyTooLarge: (maxBytes: number) => error(-32600, `The body is larger than ${maxBytes} bytes`, 413),
  notAcceptable: (wanted: string) => error(-32600, `Accept must allow ${wanted}`, 406),
  unsupportedMediaType: (found: string) =>
    error(-32600, `Content-Type must be application/json, got ${quote(found)}`, 415),
  /** (RFC 9110 §12.5.3.) */
  unsupportedCoding: (found: string) =>
    new RpcError({ code: -32600, message: `Content-Encoding must be identity, got ${quote(found)}` }, 415, {
      "Accept-Encoding": "identity",
    }),
  unsupportedCharset: (found: string) =>
    error(-32600, `the charset of Content-Type must be utf-8, got ${quote(found)}`, 415),
} as const;

interface LimitExceeded {
  readonly limit: string;
  readonly max: number | string;
  readonly httpStatus: 429 | 503;
  readonly retryAfterMs: number;
}

const DENIED = { 400: "Invalid request", 401: "Unauthorized", 403: "Forbidden" } as const;

/** What is known of a refusal. */
interface Refusal {
  readonly status?: number;
  readonly wwwAuthenticate?: string;
  readonly rpcError?: JsonRpcError;
}

/** Long enough for many clients not to be a burden, and short enough for a person not to mind. */
const RETRY_AFTER_MS = 1_000;
const RESERVED = { first: -32099, last: -32020 };
const RESOURCE_NOT_FOUND = -32002;

/**
 * An error of a legacy server, as a modern client may see it: -32002 became -32602, and a code out of the range that
 * 2026-07-28 reserves for itself would be read as something else, so it travels in `data` (Overview §Error Codes).
 */
export function toModernError(upstream: JsonRpcError): JsonRpcError {
  if (upstream.code === RESOURCE_NOT_FOUND) return { ...upstream, code: -32602 };
  if (upstream.code >= RESERVED.first && upstream.code <= RESERVED.last) {
    return { code: -32603, message: upstream.message, data: { upstream } };
  }
  return upstream;
}

/** An error that the server answered with, for a modern client; only "method not found" has a status of its own. */
export function fromServer(upstream: JsonRpcError): RpcError {
  return new RpcError(toModernError(upstream), upstream.code === -32601 ? 404 : 200);
}

/** An error of a server that speaks 2026-07-28 itself: as it is, under the status that goes with it. */
export function fromModernServer(upstream: JsonRpcError): RpcError {
  return new RpcError(upstream, STATUSES[upstream.code] ?? 200);
}

/** Codes that have an HTTP status of their own (2026-07-28, Streamable HTTP §Server Validation). */
const STATUSES: Readonly<Record<number, number>> = {
  [-32700]: 400,
  [-32600]: 400,
  [-32601]: 404,
  [-32020]: 400,
  [-32021]: 400,
  [-32022]: 400,
};

/** Any caught value as an error for the client. What we did not foresee says nothing about our insides. */
export function toRpcError(caught: unknown): RpcError {
  return caught instanceof RpcError ? caught : rpc.internal("Internal error");
}

/**
 * Whether an error is the transport's word rather than the server's: that a session is unknown, for one. SDKs use the
 * codes that JSON-RPC leaves to implementations for it, or "invalid request".
 */
export function isTransportError({ code }: JsonRpcError): boolean {
  return (code >= -32019 && code <= -32000) || code === -32600 || code === -32700;
}

/** Whether a value is a JSON-RPC error object. */
export function isJsonRpcError(value: unknown): value is JsonRpcError {
  return isObject(value) && Number.isInteger(value.code) && typeof value.message === "string";
}

function error(code: number, message: string, httpStatus = 200, data?: unknown): RpcError {
  return new RpcError(data === undefined ? { code, message } : { code, message, data }, httpStatus);
}

/** Nothing is wrong with the request. `Retry-After` goes with a status that has a use for it (RFC 9110 §10.2.3). */
function tryAgain(
  message: string,
  httpStatus = 200,
  {
    retryAfterMs = RETRY_AFTER_MS,
    data = {},
  }: { readonly retryAfterMs?: number; readonly data?: object } = {},
): RpcError {
  const headers = httpStatus === 200 ? {} : { "Retry-After": String(Math.ceil(retryAfterMs / 1_000)) };
  return new RpcError(
    { code: -32603, message, data: { ...data, retryable: true, retryAfterMs } },
    httpStatus,
    headers,
  );
}

function quote(text: string): string {
  return JSON.stringify(cut(text));
}

/** What is told back of a client's own words: nobody needs all of a name that has a million letters. */
function cut(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

function names(capabilities: ClientCapabilities): string {
  const { extensions, ...rest } = capabilities;
  return [...Object.keys(rest), ...Object.keys(extensions ?? {})].join(", ");
}
