import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import express, { type Express } from "express";
import type { Route } from "../lanes/lane.ts";
import type { Documents } from "./callers/protected-resource.ts";
import type { Endpoint } from "./endpoint.ts";
import { pipelines } from "./pipelines.ts";
import { isEndpoint, siteFinder } from "./sites.ts";

export interface AppOptions {
  /** By path, exactly as requests name it. */
  readonly routes: ReadonlyMap<string, Route>;
  readonly endpoint: Endpoint;
  /** What the gateway says of itself, in place of what the servers would say. */
  readonly documents?: Documents | undefined;
}

/** How long a client may take to send a request; a slow one must not hold a connection for ever. */
const REQUEST_TIMEOUT_MS = 60_000;
const HEADERS_TIMEOUT_MS = 20_000;
/** How long a client may take nothing of what there is for it to read. */
export const STALLED_MS = 60_000;

/**
 * The listener of the gateway: MCP endpoints first, then what else the servers have, everything else is Express. An Express
 * app costs a small answer four fifths of its throughput, so polls must not pass through it.
 */
export function gatewayListener(options: AppOptions): RequestListener {
  const rest = notFoundApp([...options.routes.keys()]);
  const serve = router(options, { hasAddress: true });
  return (request, response) => {
    if (!serve(request, response)) rest(request, response);
  };
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

/** A server that gives nobody more time, or more room, than these, and cuts off who does not read. */
export function httpServer(listener: RequestListener, options: ServerOptions = {}): Server {
  const { stalledMs = STALLED_MS, maxHeaderBytes, maxConnections } = options;
  const server = createServer(
    {
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      ...(maxHeaderBytes === undefined ? {} : { maxHeaderSize: maxHeaderBytes }),
    },
    listener,
  );
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
    const route = routes.get(pathOf(request));
    if (route === undefined && documents(request, response)) return true;
    const site = route === undefined ? findSite(request.url ?? "") : undefined;
    if (route !== undefined) void endpoint(request, response, route);
    // A message for the endpoint is one by any path: nobody is to go round what is said there of callers and their limits.
    else if (site !== undefined && request.method === "POST" && isEndpoint(site))
      void endpoint(request, response, site.route);
    else if (site !== undefined) void endpoint(request, response, site.route, site.path);
    return route !== undefined || site !== undefined;
  };
}

function notFoundApp(paths: readonly string[]): Express {
  const app = express().disable("x-powered-by");
  app.use((_, response) => void response.status(404).json({ error: "not found", endpoints: paths }));
  return app;
}

function pathOf({ url = "" }: IncomingMessage): string {
  const query = url.indexOf("?");
  return query === -1 ? url : url.slice(0, query);
}
