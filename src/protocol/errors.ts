import { isObject, type JsonRpcError } from "./jsonrpc.ts";
import type { ClientCapabilities } from "./modern.ts";

/** An error for the client, with the HTTP status that 2026-07-28 requires (Streamable HTTP §Server Validation). */
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

/** Every error answer by name, so that a code is spelled once. */
export const rpc = {
  parseError: (detail: string) => error(-32700, `Parse error: ${detail}`, 400),
  invalidRequest: (detail: string) => error(-32600, `Invalid request: ${detail}`, 400),
  badBatch: (messages: number, max: number) =>
    error(-32600, `Invalid request: a batch must have 1 to ${max} messages, got ${messages}`, 400),
  batchTooLong: (max: number) =>
    error(-32600, `Invalid request: a batch must have 1 to ${max} messages, got more`, 400),
  /** Arguments may have more values: the gateway does not parse them. */
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
  /** Tasks that existed, and that a client subscribed to. */
  tasksGone: (taskIds: readonly string[]) =>
    error(-32602, "Failed to retrieve task: there is no such task any more", 200, { taskIds }),
  unknownTask: () => error(-32602, "Failed to retrieve task: no such task"),
  /** draft-ietf-httpapi-idempotency-key-header §2.7. */
  keyReused: () =>
    error(
      -32602,
      "Invalid params: the idempotency key was used for a call of another tool, or with other arguments",
      422,
    ),
  /** Its task has expired, and calling the tool once more is what the key forbids. */
  keyExpired: () =>
    error(
      -32602,
      "Invalid params: the idempotency key was used for a task that has expired; use another key",
      409,
    ),
  invalidRequestState: () => error(-32602, "Invalid params: requestState is not valid for this request"),
  internal: (detail: string) => error(-32603, detail),
  resultTooLarge: (bytes: number, maxBytes: number) =>
    error(-32603, `The result has ${bytes} bytes, more than the ${maxBytes} of maxResultBytes`),
  tooManyCalls: (running: number, waiting: number) =>
    error(-32603, `Too many calls: ${running} are running and ${waiting} are waiting (maxQueued)`),
  /**
   * For a request that the gateway did not begin because it is about to stop: a client or load balancer may safely send it again
   * (RFC 9110 §15.6.4).
   */
  stopping: () => tryAgain("The gateway is stopping; try again", 503),
  /** The configuration has the server no more. (RFC 9110 §15.5.11.) */
  serverRemoved: (name: string) =>
    error(
      -32603,
      `The server ${quote(name)} has been removed from the gateway's configuration; its tasks can still be read and cancelled`,
      410,
    ),
  /** For a request that the gateway began and the server has not answered. */
  stopped: () =>
    error(
      -32603,
      "The gateway is stopping, and the server has not answered; whether the work was done is not known",
    ),
  /** The server ended its stream without the answer. */
  unanswered: () =>
    error(
      -32603,
      "The server ended its event stream without an answer; whether the work was done is not known",
    ),
  /** A gateway session that has ended or never existed (2025-11-25, Transports §Session Management). */
  unknownSession: () => error(-32001, "Session not found", 404),
  sessionOver: () => error(-32603, "The session is over: the server has gone, or the client has ended it"),
  /** Something is used up or comes too often; `limit` is the setting's path, `max` its value. */
  limitExceeded: ({ limit, max, httpStatus, retryAfterMs }: LimitExceeded) =>
    tryAgain(`Limit exceeded: ${limit} is ${max}; try again later`, httpStatus, {
      retryAfterMs,
      data: { limit, max },
    }),
  /** The answer exists and stays, but answers that other clients have not read yet fill the gateway's memory. */
  answersUnread: () => tryAgain("Too much of what was answered has not been read; try again", 503),
  /** The store did not answer: the gateway knows nothing of the task, and the client may ask again. */
  storeUnavailable: () => tryAgain("The task store is not available; try again", 503),

  /**
   * The server refused, or did not answer. The client gets the server's authorization challenge unchanged (Authorization §Error Handling),
   * and the server's error, unless it is one of the transport's own.
   */
  upstreamFailed: (message: string, { status, wwwAuthenticate, rpcError }: Refusal) => {
    if (status === 401 || status === 403) {
      return new RpcError({ code: -32603, message }, status, challenge(wwwAuthenticate));
    }
    return rpcError === undefined || isTransportError(rpcError)
      ? error(-32603, message)
      : fromServer(rpcError);
  },

  /** The server refused before doing anything: the client gets its status, challenge and error unchanged. */
  refused: (message: string, { status = 502, wwwAuthenticate, rpcError }: Refusal) =>
    new RpcError(rpcError ?? { code: -32603, message }, status, challenge(wwwAuthenticate)),
  /** The caller must identify itself, because tasks belong to callers (RFC 9110 §15.5.2). */
  credentialMissing: () =>
    new RpcError({ code: -32600, message: "Unauthorized: a credential is required (Authorization)" }, 401, {
      "WWW-Authenticate": "Bearer",
    }),
  /** What is wrong with a token, and how to get a valid one (RFC 6750 §3). */
  challenged: (httpStatus: 400 | 401 | 403, detail: string, challenge: string) =>
    new RpcError({ code: -32600, message: `${DENIED[httpStatus]}: ${detail}` }, httpStatus, {
      "WWW-Authenticate": challenge,
    }),
  /** Without a challenge: a client could not answer one. */
  callerUnnamed: (header: string) =>
    error(-32600, `Unauthorized: the proxy names no caller (the header ${header} is missing or empty)`, 401),
  untrustedProxy: (address = "an unknown address") =>
    error(
      -32600,
      `Forbidden: callers are named by a proxy, and ${address} is none of callers.trustedProxies`,
      403,
    ),
  keysUnavailable: () => tryAgain("The keys that tokens are verified with are not available; try again", 503),
  /** The gateway could neither confirm nor reject the credential. */
  credentialUnconfirmed: (why: string) =>
    tryAgain(`The server could not be asked about the credential: ${why}`, 503),
  /** The server sent nothing that the gateway could forward. */
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

/** A server's refusal. */
interface Refusal {
  readonly status?: number | undefined;
  readonly wwwAuthenticate?: string | undefined;
  readonly rpcError?: JsonRpcError | undefined;
}

function challenge(wwwAuthenticate: string | undefined): Readonly<Record<string, string>> {
  return wwwAuthenticate === undefined ? {} : { "WWW-Authenticate": wwwAuthenticate };
}

/** Long enough that many clients are no burden, short enough that a person does not mind. */
const RETRY_AFTER_MS = 1_000;
const RESERVED = { first: -32099, last: -32020 };
const RESOURCE_NOT_FOUND = -32002;

/**
 * A legacy server's error for a modern client: -32002 becomes -32602. A code in the range that 2026-07-28 reserves would mean something
 * else there, so the whole error goes into `data` (Overview §Error Codes).
 */
export function toModernError(upstream: JsonRpcError): JsonRpcError {
  if (upstream.code === RESOURCE_NOT_FOUND) return { ...upstream, code: -32602 };
  if (upstream.code >= RESERVED.first && upstream.code <= RESERVED.last) {
    return { code: -32603, message: upstream.message, data: { upstream } };
  }
  return upstream;
}

/** A legacy server's error as an answer to a modern client; only "method not found" has an HTTP status of its own. */
export function fromServer(upstream: JsonRpcError): RpcError {
  return new RpcError(toModernError(upstream), upstream.code === -32601 ? 404 : 200);
}

/** The error of a server that speaks 2026-07-28, unchanged, with the HTTP status of its code. */
export function fromModernServer(upstream: JsonRpcError): RpcError {
  return new RpcError(upstream, STATUSES[upstream.code] ?? 200);
}

/** The HTTP statuses of error codes (2026-07-28, Streamable HTTP §Server Validation). */
const STATUSES: Readonly<Record<number, number>> = {
  [-32700]: 400,
  [-32600]: 400,
  [-32601]: 404,
  [-32020]: 400,
  [-32021]: 400,
  [-32022]: 400,
};

/** Any caught value as an error for the client. An unforeseen one becomes "Internal error" and reveals nothing. */
export function toRpcError(caught: unknown): RpcError {
  return caught instanceof RpcError ? caught : rpc.internal("Internal error");
}

/**
 * Whether the server's transport made an error rather than the server itself, for example for an unknown session. SDKs use JSON-RPC's
 * implementation-defined codes for that, or "invalid request".
 */
export function isTransportError({ code }: JsonRpcError): boolean {
  return (code >= -32019 && code <= -32000) || code === -32600 || code === -32700;
}

export function isJsonRpcError(value: unknown): value is JsonRpcError {
  return isObject(value) && Number.isInteger(value.code) && typeof value.message === "string";
}

function error(code: number, message: string, httpStatus = 200, data?: unknown): RpcError {
  return new RpcError(data === undefined ? { code, message } : { code, message, data }, httpStatus);
}

/** An error that is not the request's fault, with `Retry-After` (RFC 9110 §10.2.3). */
function tryAgain(
  message: string,
  httpStatus: number,
  {
    retryAfterMs = RETRY_AFTER_MS,
    data = {},
  }: { readonly retryAfterMs?: number; readonly data?: object } = {},
): RpcError {
  const headers = { "Retry-After": String(Math.ceil(retryAfterMs / 1_000)) };
  return new RpcError(
    { code: -32603, message, data: { ...data, retryable: true, retryAfterMs } },
    httpStatus,
    headers,
  );
}

function quote(text: string): string {
  return JSON.stringify(cut(text));
}

/** Bounds a client's text that an error quotes. */
function cut(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

function names(capabilities: ClientCapabilities): string {
  const { extensions, ...rest } = capabilities;
  return [...Object.keys(rest), ...Object.keys(extensions ?? {})].join(", ");
}
