import type { IncomingMessage, ServerResponse } from "node:http";
import { forwardPreflight, forwardTo } from "../lanes/forward.ts";
import type { LegacyExchange, Route } from "../lanes/lane.ts";
import { answerLegacy } from "../lanes/legacy.ts";
import { answerModern } from "../lanes/modern.ts";
import { RpcError, rpc, toRpcError } from "../protocol/errors.ts";
import { isObject, type RequestId } from "../protocol/jsonrpc.ts";
import { META, MODERN_VERSIONS } from "../protocol/modern.ts";
import { StoreUnavailable } from "../stores/task-store.ts";
import type { Identify } from "./callers.ts";
import { answerPreflight, type Guard, isModernPreflight } from "./guards.ts";
import {
  type Body,
  checkAcceptable,
  checkContentType,
  idOf,
  readAccept,
  readBody,
  readMessage,
} from "./inbound.ts";
import { type Accepts, HttpReply } from "./outbound.ts";

export interface EndpointOptions {
  readonly guard: Guard;
  readonly identify: Identify;
  readonly maxBodyBytes: number;
  readonly keepAliveMs: number;
}

/**
 * Serves one route: its MCP endpoint, or what else its server has.
 * @param elsewhere the path at the server, query included, when it is not the endpoint
 * Never rejects.
 */
export type Endpoint = (
  request: IncomingMessage,
  response: ServerResponse,
  route: Route,
  elsewhere?: string,
) => Promise<void>;

/** The MCP endpoint, by hand: it is on the path of every poll, and a framework would be most of its cost. */
export function mcpEndpoint({ guard, identify, maxBodyBytes, keepAliveMs }: EndpointOptions): Endpoint {
  return async (request, response, route, elsewhere) => {
    let id: RequestId | null = null;
    let accepts: Accepts = { json: true, stream: false };
    let reply: HttpReply | undefined;
    let body: Body | undefined;
    try {
      guard(request, response);
      if (isModernPreflight(request)) return answerPreflight(request, response);
      const isModern = elsewhere === undefined && saysModern(request);
      if (isModern) checkModern(request);
      accepts = readAccept(request.headers.accept);
      if (hasBody(request)) body = await readBody(request, maxBodyBytes);
      id = idOf(body?.json);
      reply = new HttpReply(response, { id, accepts, keepAliveMs });
      const isClaimed = !isModern && elsewhere === undefined && claimsModern(body?.json);
      if (isClaimed) checkModern(request);
      const asked = { route, request, response, reply, caller: identify(request, route) };
      if (isModern || isClaimed) await modern(asked, body ?? NO_BODY);
      else await transparent(asked, body, elsewhere);
    } catch (error) {
      reply ??= new HttpReply(response, { id, accepts, keepAliveMs });
      if (!request.complete && !response.headersSent) response.setHeader("Connection", "close");
      reply.error(toAnswer(error, route, body));
    }
  };
}

/** An endpoint that knows when nobody waits for an answer of it any more. */
export function counted(endpoint: Endpoint): { readonly endpoint: Endpoint; idle(): Promise<void> } {
  let running = 0;
  const waiting = new Set<() => void>();
  return {
    endpoint: async (...request) => {
      running += 1;
      try {
        await endpoint(...request);
      } finally {
        running -= 1;
        if (running === 0) for (const resolve of waiting) resolve();
      }
    },
    idle: () => (running === 0 ? Promise.resolve() : new Promise((resolve) => waiting.add(resolve))),
  };
}

type Asked = Pick<LegacyExchange, "route" | "caller" | "request" | "response" | "reply">;

async function modern({ route, caller, request, reply }: Asked, body: Body): Promise<void> {
  if (body.fault !== undefined) throw rpc.parseError(body.fault);
  const { id, method, params = {} } = readMessage(body.json);
  // 2026-07-28 has no notification for a server to act on, and takes those that it does not know.
  if (id === undefined) return reply.acknowledge();
  await answerModern({ route, caller, headers: request.headers, id, method, params, reply });
}

async function transparent(
  asked: Asked,
  body: Body | undefined,
  elsewhere: string | undefined,
): Promise<void> {
  const { request, response, route } = asked;
  const server = route.config.upstream;
  if (server.transport === "stdio") throw notServed(request, body?.json);
  const url = wholeUrl(request);
  const mark = url.indexOf("?");
  const exchange: LegacyExchange = {
    route,
    caller: asked.caller,
    server,
    request,
    response,
    path: mark === -1 ? url : url.slice(0, mark),
    query: mark === -1 ? "" : url.slice(mark),
    message: body?.json,
    body: body?.bytes,
    reply: asked.reply,
  };
  if (isPreflight(request)) {
    if (!(await forwardPreflight(exchange, elsewhere))) answerPreflight(request, response);
  } else if (elsewhere === undefined) await answerLegacy(exchange);
  else await forwardTo(elsewhere, exchange);
}

/** What the client is told; of what was not foreseen that is nothing, so the operator has to be told. */
function toAnswer(error: unknown, { log }: Route, body: Body | undefined): RpcError {
  if (error instanceof RpcError) return error;
  const method = isObject(body?.json) ? body.json.method : undefined;
  const isStore = error instanceof StoreUnavailable;
  log.error({ err: error, method }, isStore ? "the store is not available" : "a request failed");
  return isStore ? rpc.storeUnavailable() : toRpcError(error);
}

/** An app that the gateway is mounted in cuts its own part off the url, and keeps the whole (Express, Connect). */
function wholeUrl(request: IncomingMessage & { readonly originalUrl?: string }): string {
  return request.originalUrl ?? request.url ?? "";
}

/** There is nothing to forward to: a server over stdio is for modern clients, in this version. */
function notServed({ method, headers }: IncomingMessage, message: unknown): RpcError {
  if (method !== "POST") return rpc.methodNotAllowed(method ?? "");
  const params = isObject(message) && isObject(message.params) ? message.params : {};
  const version = params.protocolVersion ?? headers["mcp-protocol-version"] ?? "2025-03-26";
  return rpc.unsupportedVersion(String(version), MODERN_VERSIONS);
}

/** What a modern client says in a header of every request, and a legacy one in none. */
function saysModern({ headers }: IncomingMessage): boolean {
  const version = headers["mcp-protocol-version"];
  return version !== undefined && (typeof version !== "string" || version >= "2026");
}

/** The same in the body, for a client whose headers are wrong (2026-07-28, Versioning §Terminology). */
function claimsModern(message: unknown): boolean {
  const meta = isObject(message) && isObject(message.params) ? message.params._meta : undefined;
  return isObject(meta) && CLAIMS.some((key) => Object.hasOwn(meta, key));
}

const CLAIMS = [META.protocolVersion, META.clientCapabilities] as const;
const NO_BODY: Body = { bytes: Buffer.alloc(0), json: undefined, fault: "there is no body" };

/** @throws 405, 406, 415 */
function checkModern(request: IncomingMessage): void {
  if (request.method !== "POST") throw rpc.methodNotAllowed(request.method ?? "");
  checkAcceptable(request.headers.accept);
  checkContentType(request);
}

function isPreflight({ method, headers }: IncomingMessage): boolean {
  return method === "OPTIONS" && headers.origin !== undefined;
}

function hasBody({ method, headers }: IncomingMessage): boolean {
  const { "content-length": length, "transfer-encoding": encoding } = headers;
  return method === "POST" || encoding !== undefined || (length !== undefined && length !== "0");
}
