import type { IncomingMessage, ServerResponse } from "node:http";
import type { HttpUpstreamConfig } from "../config/config.ts";
import { toAnswer } from "../lanes/caught.ts";
import { sessionIdOf } from "../lanes/client-session.ts";
import { forward, forwardTo } from "../lanes/forward.ts";
import { type Caller, type HttpExchange, partyOf, type Route } from "../lanes/lane.ts";
import { answerLegacy, passMessage } from "../lanes/legacy.ts";
import { answerModern } from "../lanes/modern.ts";
import type { PairedHttp } from "../lanes/paired-http.ts";
import { type RpcError, rpc } from "../protocol/errors.ts";
import { claimsModern, idOf, readMessage } from "../protocol/inbound.ts";
import { isObject, type RequestId } from "../protocol/jsonrpc.ts";
import { type HeldBytes, SMALL_BYTES } from "../quotas/bytes.ts";
import { withoutSlash } from "../upstreams/redirect.ts";
import { auditRefusal } from "./audited.ts";
import type { Identify } from "./callers/identify.ts";
import { answerPreflight, checkSingle, type Guard, isBarePreflight } from "./guards.ts";
import { type Body, BodyReader, checkAcceptable, checkContentType, readAccept, readBody } from "./inbound.ts";
import { type Accepts, HttpReply } from "./outbound.ts";
import { checkEncoding, checkMethod, checkReading, methodsOf } from "./readings.ts";
import type { Unsent } from "./unsent.ts";

export interface EndpointOptions {
  readonly guard: Guard;
  readonly identify: Identify;
  readonly maxBodyBytes: number;
  readonly maxDepth: number;
  readonly keepAliveMs: number;
  /** The sessions of legacy clients whose requests cannot be forwarded as they are. */
  readonly pairs: PairedHttp;
  /** Room for large answers that clients have not taken yet. Absent: as much as there is. */
  readonly unsent?: Unsent;
}

/**
 * How long the body of a forwarded `initialize` may be: it is the only one that is read before it is known what the server makes of the
 * client's credential, and has capabilities and a description of the client in it.
 */
const MAX_UNKNOWN_BYTES = SMALL_BYTES;

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
export function mcpEndpoint(options: EndpointOptions): Endpoint {
  const { guard, identify, maxBodyBytes, maxDepth, keepAliveMs, pairs } = options;
  const unsent = options.unsent && { unsent: options.unsent };
  return async (request, response, route, elsewhere) => {
    let id: RequestId | null = null;
    let accepts: Accepts = { json: true, stream: false };
    let reply: HttpReply | undefined;
    let body: Body | undefined;
    let caller: Caller | undefined;
    let held: HeldBytes | undefined;
    let refusal: RpcError | undefined;
    auditRefusal(route, response, () => ({ caller: caller?.key, message: body?.json, error: refusal }));
    try {
      checkSingle(request);
      guard(request, response);
      const isEndpoint = elsewhere === undefined;
      checkMethod(request, isEndpoint);
      // It comes without credentials (Fetch §CORS-preflight fetch), and so before anybody is asked for them.
      if (isBarePreflight(request)) return answerPreflight(request, response, methodsOf(isEndpoint));
      caller = await identify(request, route);
      held = route.quotas.bytes.hold(partyOf({ caller }));
      const isModern = isEndpoint && saysModern(request);
      const mayOpen = isEndpoint && !isModern && mayInitialize(route, request);
      if (isEndpoint && !mayOpen) caller = await confirmed(caller, held);
      // A server that speaks the revision itself is the better judge of it.
      let isServers = isModern && (await route.upstream.modern(caller.headers)) !== undefined;
      if (isModern && !isServers) checkModern(request);
      accepts = readAccept(request.headers.accept);
      const isMessage = isEndpoint || isForMessages(route, request, elsewhere);
      if (hasBody(request)) {
        if (isMessage) checkEncoding(request);
        const reader = new BodyReader(request, maxBodyBytes, held);
        const depth = isMessage ? maxDepth : undefined;
        if (mayOpen && caller.confirm !== undefined) {
          const bytes = await reader.upTo(MAX_UNKNOWN_BYTES);
          body = bytes && readBody(bytes, held, depth);
          // What the server makes of a client's credential it tells the client itself, when a session is opened with it.
          const isOpening = isInitialize(body?.json) && !isPaired(route, request, body, pairs);
          if (!isOpening) caller = await confirmed(caller, held);
        }
        body ??= readBody(await (isEndpoint ? bodyOf(caller, reader) : reader.all()), held, depth);
      } else if (mayOpen) caller = await confirmed(caller, held);
      id = idOf(body?.json);
      reply = new HttpReply(response, { id, accepts, keepAliveMs, ...unsent, party: held.party });
      if (isMessage && body !== undefined) checkReading(request.method, body);
      const isClaimed = !isModern && isEndpoint && claimsModern(body?.json);
      if (isClaimed) isServers = (await route.upstream.modern(caller.headers)) !== undefined;
      if (isClaimed && !isServers) checkModern(request);
      const isPairs = !isModern && !isClaimed && isEndpoint && isPaired(route, request, body, pairs);
      const asked = { route, request, response, reply, caller, held };
      if (isModern || isClaimed) await modern(asked, body, isServers);
      else if (isPairs) await paired(asked, body, pairs);
      else await transparent(asked, body, elsewhere);
    } catch (error) {
      reply ??= new HttpReply(response, { id, accepts, keepAliveMs, ...unsent });
      if (!request.complete && !response.headersSent) response.setHeader("Connection", "close");
      refusal = toAnswer(error, route.log, body?.json);
      reply.error(refusal);
    } finally {
      held?.release();
    }
  };
}

/** Who the caller is, once the server has been asked about the credential. Never rejects. */
async function confirmed(caller: Caller, held: HeldBytes): Promise<Caller> {
  if (caller.confirm === undefined) return caller;
  const known = await caller.confirm();
  held.assign(partyOf({ caller: known }));
  return known;
}

/**
 * Whether a request may turn out to be an `initialize` that is forwarded, as far as its head says: one that is not in a session, and whose
 * server is reached over HTTP. Everything else is judged by its head alone.
 */
function mayInitialize({ config }: Route, request: IncomingMessage): boolean {
  return (
    request.method === "POST" && config.upstream.transport !== "stdio" && sessionIdOf(request) === undefined
  );
}

/**
 * The body of a request. Of one whose credential is missing or was refused no more is read than the server needs to refuse it itself.
 * @throws RpcError
 */
async function bodyOf({ refusal }: Caller, reader: BodyReader): Promise<Buffer> {
  if (refusal === undefined) return reader.all();
  return (await reader.upTo(MAX_UNKNOWN_BYTES)) ?? Promise.reject(refusal);
}

type Asked = Pick<HttpExchange, "route" | "caller" | "request" | "response" | "reply" | "held">;

/** `isServers`: the server speaks the revision itself, and is left to refuse what is not even a request. */
async function modern(asked: Asked, body: Body | undefined, isServers: boolean): Promise<void> {
  const { route, caller, request, reply, held } = asked;
  const server = route.config.upstream;
  const http = server.transport === "stdio" ? undefined : httpExchange(asked, server, body);
  if (isServers && http !== undefined && !isInShape(request, body?.json)) return forward(http);
  if (body === undefined || body.fault !== undefined) throw rpc.parseError(body?.fault ?? "there is no body");
  const { id, method, params = {} } = readMessage(body.json);
  // 2026-07-28 has no notification for a server to act on, and takes those that it does not know.
  if (id === undefined) return reply.acknowledge();
  await answerModern({ route, caller, headers: request.headers, id, method, params, reply, http, held });
}

/**
 * Whether a request belongs to a session that is paired with one at the server. A client of HTTP+SSE is understood by a server of
 * HTTP+SSE: it opens a stream first, and posts where the server told it to.
 */
function isPaired(
  route: Route,
  request: IncomingMessage,
  body: Body | undefined,
  pairs: PairedHttp,
): boolean {
  if (route.config.upstream.transport === "stdio") return true;
  const session = sessionIdOf(request);
  if (session !== undefined && pairs.has(session)) return true;
  if (route.upstream.isStreamable) return false;
  return session !== undefined || (isInitialize(body?.json) && !wholeUrl(request).includes("?"));
}

function isInitialize(message: unknown): boolean {
  return isObject(message) && message.method === "initialize";
}

async function paired(asked: Asked, body: Body | undefined, pairs: PairedHttp): Promise<void> {
  // Nothing of the client's own request reaches the server, which so cannot refuse it itself.
  if (asked.caller.refusal !== undefined) throw asked.caller.refusal;
  if (body?.fault !== undefined) throw rpc.parseError(body.fault);
  await pairs.answer({ ...asked, message: body?.json });
}

async function transparent(
  asked: Asked,
  body: Body | undefined,
  elsewhere: string | undefined,
): Promise<void> {
  const { request, route } = asked;
  const server = route.config.upstream;
  if (server.transport === "stdio") throw new Error("a server over stdio has nothing but its messages");
  const exchange = httpExchange(asked, server, body, elsewhere);
  if (elsewhere === undefined) await answerLegacy(exchange);
  else if (isForMessages(route, request, elsewhere)) await passMessage(elsewhere, exchange);
  else await forwardTo(elsewhere, exchange);
}

/** Whether the server wants its messages posted there (2024-11-05, Transports §HTTP with SSE). */
function isForMessages({ upstream }: Route, { method }: IncomingMessage, elsewhere?: string): boolean {
  return method === "POST" && elsewhere !== undefined && upstream.messagePaths.has(elsewhere);
}

function httpExchange(
  { route, caller, request, response, reply, held }: Asked,
  server: HttpUpstreamConfig,
  body: Body | undefined,
  elsewhere?: string,
): HttpExchange {
  const url = wholeUrl(request);
  const mark = url.indexOf("?");
  const path = withoutSlash(mark === -1 ? url : url.slice(0, mark));
  return {
    route,
    caller,
    server,
    request,
    response,
    path,
    query: mark === -1 ? "" : url.slice(mark),
    mount: mountOf(route, path, url, elsewhere),
    message: body?.json,
    body: body?.bytes,
    reply,
    held,
  };
}

/** Where all that a server has can be reached: below this path. */
function mountOf({ config }: Route, path: string, url: string, elsewhere: string | undefined): string {
  if (elsewhere === undefined) return path;
  // What the gateway has to itself is asked for by the server's own paths.
  return url !== elsewhere && url.endsWith(elsewhere) ? url.slice(0, -elsewhere.length) : config.path;
}

/** Whether the gateway may have a part in a request; the server refuses the others in its own words. */
function isInShape(request: IncomingMessage, message: unknown): boolean {
  try {
    checkModern(request);
    return readMessage(message).id !== undefined;
  } catch {
    return false;
  }
}

/** An app that the gateway is mounted in cuts its own part off the url, and keeps the whole (Express, Connect). */
function wholeUrl(request: IncomingMessage & { readonly originalUrl?: string }): string {
  return request.originalUrl ?? request.url ?? "";
}

/** What a modern client says in a header of every request, and a legacy one in none. */
function saysModern({ headers }: IncomingMessage): boolean {
  const version = headers["mcp-protocol-version"];
  return version !== undefined && (typeof version !== "string" || version >= "2026");
}

/** @throws 405, 406, 415 */
function checkModern(request: IncomingMessage): void {
  if (request.method !== "POST") throw rpc.methodNotAllowed(request.method ?? "");
  checkAcceptable(request.headers.accept);
  checkContentType(request);
}

function hasBody({ method, headers }: IncomingMessage): boolean {
  const { "content-length": length, "transfer-encoding": encoding } = headers;
  return method === "POST" || encoding !== undefined || (length !== undefined && length !== "0");
}
