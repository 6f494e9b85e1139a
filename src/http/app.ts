import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions as ServerOptionsOfNode,
  type ServerResponse,
} from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { Socket } from "node:net";
import express, { type Express } from "express";
import type { Logger } from "pino";
import type { Route } from "../requests/request.ts";
import { withoutSlash } from "../upstream/transports/redirect.ts";
import { type AstrayHint, astrayHint, astrayProbes } from "./astray.ts";
import type { Documents } from "./callers/protected-resource.ts";
import { type ListenerCertificate, TLS } from "./certificate.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Guard } from "./guards.ts";
import { answerHalfClosed } from "./half-closed.ts";
import { tellMisspoken } from "./misspoken.ts";
import { endpointAt, otherPathFinder } from "./other-paths.ts";
import { pipelines } from "./pipelines.ts";
import type { Status } from "./status.ts";

export interface AppOptions {
  /** By path, exactly as requests name it; the same map until the servers change. Removed ones have no other paths. */
  readonly routes: () => ReadonlyMap<string, Route>;
  readonly endpoint: Endpoint;
  /** Answers requests for documents about the gateway, in place of the servers. */
  readonly documents?: Documents | undefined;
  /** Throws for hosts and origins that may learn nothing of the gateway. Absent: none. */
  readonly guard?: Guard;
  /** Where the gateway itself says whether it wants requests. Absent: nowhere. */
  readonly ready?: { readonly path: string; readonly status: () => Status } | undefined;
  /** Hears of probes that came to the wrong port. Absent: nobody does. */
  readonly log?: Logger | undefined;
}

/** How long a client may take to send a request; a slow one must not hold a connection for ever. */
const REQUEST_TIMEOUT_MS = 60_000;
const HEADERS_TIMEOUT_MS = 20_000;
/** How long to keep a connection for the next request: longer than balancers that keep one for 60 s, which would otherwise meet its end. */
const KEEP_ALIVE_MS = 75_000;
/** How long a client may take none of the bytes that wait for it. */
export const STALLED_MS = 60_000;

/**
 * The listener of the gateway: MCP endpoints first, then the servers' other paths, and Express for the rest. An Express app costs a small
 * answer four fifths of its throughput, so polls must not pass through it.
 */
export function gatewayListener(options: AppOptions): RequestListener {
  const hint = astrayHint(options.ready?.path);
  const watch = options.log === undefined ? () => undefined : astrayProbes(hint, options.log);
  const rest = notFoundApp(options, hint);
  const serve = router(options, { hasAddress: true });
  return (request, response) => {
    if (answerReady(request, response, options.ready)) return;
    watch(request, response);
    if (!serve(request, response)) rest(request, response);
  };
}

const READY_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

/**
 * A path of the gateway's own on its main port, for proxies that can check no other. They name the host by its address, or not at all
 * (HTTP/1.0), so hosts and origins are not checked; the answer tells no more than whether the gateway wants requests.
 */
function answerReady(
  { method = "", url = "" }: IncomingMessage,
  response: ServerResponse,
  ready: AppOptions["ready"],
): boolean {
  if (url !== ready?.path || !READY_METHODS.has(method)) return false;
  const status = ready.status();
  const text = JSON.stringify({ status });
  response.writeHead(status === "ready" ? 200 : 503, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(text),
    "Cache-Control": "no-store",
  });
  response.end(method === "HEAD" ? undefined : text);
  return true;
}

/** The same as a middleware, for an app of one's own: requests for no route go to the next middleware. */
export function gatewayMiddleware(options: AppOptions) {
  const serve = router(options, { hasAddress: false });
  return (request: IncomingMessage, response: ServerResponse, next: () => void): void => {
    if (!serve(request, response)) next();
  };
}

export interface ServerOptions {
  /** How long a client may take none of the bytes that wait for it. */
  readonly stalledMs?: number;
  /** Requests with longer headers are answered with 431. */
  readonly maxHeaderBytes?: number;
  /** Further connections are closed as soon as they open. */
  readonly maxConnections?: number;
  /** Absent: the server speaks HTTP without TLS. */
  readonly certificate?: ListenerCertificate | undefined;
  /** Hears of clients that do not speak what the server speaks. Absent: nobody does. */
  readonly log?: Logger;
}

const NO_TUNNEL =
  "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/** A server that gives no client more time or room than these, and cuts off clients that do not read. */
export function httpServer(listener: RequestListener, options: ServerOptions = {}): Server {
  const { stalledMs = STALLED_MS, maxHeaderBytes, maxConnections, certificate, log } = options;
  const times = {
    requestTimeout: REQUEST_TIMEOUT_MS,
    headersTimeout: HEADERS_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: maxHeaderBytes,
  };
  const server =
    certificate === undefined ? createServer(times, listener) : secureServer(certificate, times, listener);
  if (log !== undefined) tellMisspoken(server, { isSecure: certificate !== undefined, log });
  // Without a listener Node closes the connection without an answer.
  server.on("connect", (_request, socket) => {
    socket.on("error", () => socket.destroy()).end(NO_TUNNEL, () => socket.destroy());
  });
  // Over TLS a client that ends its half has left: libraries end both together.
  if (certificate === undefined) answerHalfClosed(server);
  if (maxConnections !== undefined) server.maxConnections = maxConnections;
  // Node silently drops every header after the thousandth, an Origin too; headers that fit into `maxHeaders` are not too many to read.
  server.maxHeadersCount = 0;
  // Every byte that is read or taken restarts a connection's timer, so it runs out on a quiet stream as well: cut only a connection with
  // bytes to be taken, or one kept alive without a request, to which Node has given a time of its own.
  return server.setTimeout(stalledMs, (socket) => {
    if (socket.writableLength > 0 || socket.timeout !== stalledMs) socket.destroy();
  });
}

function secureServer(
  certificate: ListenerCertificate,
  times: ServerOptionsOfNode,
  listener: RequestListener,
): Server {
  const { cert, key, passphrase } = certificate.text;
  const server = createSecureServer(
    { ...times, ...TLS, cert, key, passphrase, handshakeTimeout: HEADERS_TIMEOUT_MS },
    listener,
  );
  certificate.follow(server);
  // node:https knows only of connections that have finished their handshake, and `close` waits for the others as well.
  const connections = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
  });
  const closeAll = server.closeAllConnections.bind(server);
  server.closeAllConnections = () => {
    closeAll();
    for (const socket of connections) socket.destroy();
  };
  return server;
}

/** Serves a request if it is for a route, and returns whether it is. */
function router(
  { routes, endpoint, documents = () => false }: AppOptions,
  { hasAddress }: { readonly hasAddress: boolean },
) {
  const table = tables(routes, hasAddress);
  const hasRoom = pipelines();
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    if (!hasRoom(request, response)) return true;
    toOriginForm(request);
    const path = pathOf(request);
    const { byPath, all, findOtherPath } = table();
    const route = byPath.get(path) ?? byPath.get(withoutSlash(path));
    if (route === undefined && documents(request, response)) return true;
    const other = route === undefined ? findOtherPath(request.url ?? "") : undefined;
    // An endpoint is one by any path: no client may go round the checks of callers and their limits there.
    const named = route ?? (other === undefined ? undefined : endpointAt(other, all));
    if (named !== undefined) void endpoint(request, response, named);
    else if (other !== undefined) void endpoint(request, response, other.route, other.path);
    return named !== undefined || other !== undefined;
  };
}

/** What is made of the routes once for as long as they are the same. */
function tables(routes: AppOptions["routes"], hasAddress: boolean) {
  const made = (byPath: ReadonlyMap<string, Route>) => {
    const served = new Map([...byPath].filter(([, route]) => !route.isRemoved));
    return { byPath, all: new Set(served.values()), findOtherPath: otherPathFinder(served, hasAddress) };
  };
  let last = made(routes());
  return () => {
    const byPath = routes();
    if (byPath !== last.byPath) last = made(byPath);
    return last;
  };
}

/** Lists the endpoints, but not for pages and hosts that the gateway does not serve. */
function notFoundApp({ routes, guard = () => {} }: AppOptions, hintAt: AstrayHint): Express {
  const app = express().disable("x-powered-by");
  app.use((request, response) => {
    const hint = hintAt(request.path);
    const answer = { error: "not found", ...(hint === undefined ? {} : { hint }) };
    const endpoints = [...routes()].flatMap(([path, { isRemoved }]) => (isRemoved ? [] : [path]));
    response.status(404).json(isServed(guard, request, response) ? { ...answer, endpoints } : answer);
  });
  return app;
}

function isServed(guard: Guard, request: IncomingMessage, response: ServerResponse): boolean {
  try {
    guard(request, response);
    return true;
  } catch {
    return false;
  }
}

/**
 * Replaces a target that names the host by its path, and the Host header by that host, whatever the header says (RFC 9112 §3.2.2):
 * clients that take the gateway for a proxy send such targets.
 */
function toOriginForm(request: IncomingMessage): void {
  const { url = "" } = request;
  if (url.startsWith("/")) return;
  const scheme = ["http://", "https://"].find((start) => url.slice(0, start.length).toLowerCase() === start);
  if (scheme === undefined) return;
  const rest = url.slice(scheme.length);
  const end = rest.search(/[/?#]/);
  const path = end === -1 ? "" : rest.slice(end);
  request.headers.host = end === -1 ? rest : rest.slice(0, end);
  request.url = path.startsWith("/") ? path : `/${path}`;
}

function pathOf({ url = "" }: IncomingMessage): string {
  const query = url.indexOf("?");
  return query === -1 ? url : url.slice(0, query);
}
