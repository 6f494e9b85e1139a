import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import express, { type Express } from "express";
import type { Route } from "../lanes/lane.ts";
import { withoutSlash } from "../upstreams/redirect.ts";
import type { Documents } from "./callers/protected-resource.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Guard } from "./guards.ts";
import { answerHalfClosed } from "./half-closed.ts";
import { pipelines } from "./pipelines.ts";
import { isEndpoint, siteFinder } from "./sites.ts";

export interface AppOptions {
  /** By path, exactly as requests name it. */
  readonly routes: ReadonlyMap<string, Route>;
  readonly endpoint: Endpoint;
  /** What the gateway says of itself, in place of what the servers would say. */
  readonly documents?: Documents | undefined;
  /** Throws for hosts and origins that are to learn nothing of the gateway. Absent: there are none. */
  readonly guard?: Guard;
  /** Whether the gateway wants to be sent requests. Absent: always. */
  readonly isReady?: () => boolean;
}

/** How long a client may take to send a request; a slow one must not hold a connection for ever. */
const REQUEST_TIMEOUT_MS = 60_000;
const HEADERS_TIMEOUT_MS = 20_000;
/** How long a connection is kept for the next request: longer than the balancers that keep one for 60 s and would meet its end. */
const KEEP_ALIVE_MS = 75_000;
/** How long a client may take nothing of what there is for it to read. */
export const STALLED_MS = 60_000;

/**
 * The listener of the gateway: MCP endpoints first, then what else the servers have, everything else is Express. An Express
 * app costs a small answer four fifths of its throughput, so polls must not pass through it.
 */
export function gatewayListener(options: AppOptions): RequestListener {
  const rest = notFoundApp(options);
  const serve = router(options, { hasAddress: true });
  return (request, response) => {
    if (answerHealth(request, response, options.isReady ?? (() => true))) return;
    if (!serve(request, response)) rest(request, response);
  };
}

/**
 * A path of the gateway's own on its main port, for balancers. They ask by address, or without any Host (HTTP/1.0), so hosts and origins
 * are not looked at; there is nothing to learn here but whether the gateway wants to be sent requests.
 */
export const HEALTH_PATH = "/-/health";
const HEALTH_METHODS = new Set(["GET", "HEAD", "OPTIONS"]);

function answerHealth(
  { method = "", url = "" }: IncomingMessage,
  response: ServerResponse,
  isReady: () => boolean,
): boolean {
  if (url !== HEALTH_PATH || !HEALTH_METHODS.has(method)) return false;
  const isUp = isReady();
  const text = JSON.stringify({ status: isUp ? "ready" : "stopping" });
  response.writeHead(isUp ? 200 : 503, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(text),
    "Cache-Control": "no-store",
  });
  response.end(method === "HEAD" ? undefined : text);
  return true;
}

/** The same as a middleware, for an app of one's own: what belongs to no route is left to whoever comes next. */
export function gatewayMiddleware(options: AppOptions) {
  const serve = router(options, { hasAddress: false });
  return (request: IncomingMessage, response: ServerResponse, next: () => void): void => {
    if (!serve(request, response)) next();
  };
}

/** Whether requests are wanted, and why not. */
export type Status = "ready" | "stopping" | "store takes no writes";

/** Whether the process works, and whether it wants to be sent requests. */
export function adminApp(statusNow: () => Status): Express {
  const app = express().disable("x-powered-by");
  app.get("/health/live", (_, response) => void response.json({ status: "live" }));
  app.get("/health/ready", (_, response) => {
    const status = statusNow();
    response.status(status === "ready" ? 200 : 503).json({ status });
  });
  app.use((_, response) => void response.status(404).json({ error: "not found" }));
  return app;
}

export interface ServerOptions {
  /** How long a client may take nothing of what there is for it to read. */
  readonly stalledMs?: number;
  /** Longer headers are answered with 431. */
  readonly maxHeaderBytes?: number;
  /** Further ones are closed as soon as they are there. */
  readonly maxConnections?: number;
}

const NO_TUNNEL =
  "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/** A server that gives nobody more time, or more room, than these, and cuts off who does not read. */
export function httpServer(listener: RequestListener, options: ServerOptions = {}): Server {
  const { stalledMs = STALLED_MS, maxHeaderBytes, maxConnections } = options;
  const server = createServer(
    {
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      ...(maxHeaderBytes === undefined ? {} : { maxHeaderSize: maxHeaderBytes }),
    },
    listener,
  );
  // Without a listener Node closes the connection without a word.
  server.on("connect", (_request, socket) => {
    socket.on("error", () => socket.destroy()).end(NO_TUNNEL, () => socket.destroy());
  });
  answerHalfClosed(server);
  if (maxConnections !== undefined) server.maxConnections = maxConnections;
  // Node drops whatever header comes after the thousandth without a word, an Origin as well; how many fit into `maxHeaders` are not
  // too many to read.
  server.maxHeadersCount = 0;
  // The timer of a connection starts anew with every byte that is read or taken, and so runs out on a quiet stream as well: only one
  // with something to be taken is cut, and one that is kept alive without a request, to which Node has given a time of its own.
  return server.setTimeout(stalledMs, (socket) => {
    if (socket.writableLength > 0 || socket.timeout !== stalledMs) socket.destroy();
  });
}

/** Serves a request, if it is for a route. */
function router(
  { routes, endpoint, documents = () => false }: AppOptions,
  { hasAddress }: { readonly hasAddress: boolean },
) {
  const findSite = siteFinder(routes, hasAddress);
  const hasRoom = pipelines();
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    if (!hasRoom(request, response)) return true;
    toOriginForm(request);
    const path = pathOf(request);
    const route = routes.get(path) ?? routes.get(withoutSlash(path));
    if (route === undefined && documents(request, response)) return true;
    const site = route === undefined ? findSite(request.url ?? "") : undefined;
    if (route !== undefined) void endpoint(request, response, route);
    // The endpoint is one by any path: nobody is to go round what is said there of callers and their limits.
    else if (site !== undefined && isEndpoint(site)) void endpoint(request, response, site.route);
    else if (site !== undefined) void endpoint(request, response, site.route, site.path);
    return route !== undefined || site !== undefined;
  };
}

/** Says which endpoints there are, but not to pages and hosts that are not served. */
function notFoundApp({ routes, guard = () => {} }: AppOptions): Express {
  const app = express().disable("x-powered-by");
  app.use((request, response) => {
    const error = "not found";
    response
      .status(404)
      .json(isServed(guard, request, response) ? { error, endpoints: [...routes.keys()] } : { error });
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
 * Reads a target that names the host as the path that it is, and the host as what it names, whatever the header says (RFC 9112
 * §3.2.2): clients that take us for a proxy send it so.
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
