import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import express, { type Express } from "express";
import type { Route } from "../lanes/lane.ts";
import type { Endpoint } from "./endpoint.ts";
import { siteFinder } from "./sites.ts";

export interface AppOptions {
  /** By path, exactly as requests name it. */
  readonly routes: ReadonlyMap<string, Route>;
  readonly endpoint: Endpoint;
}

/** How long a client may take to send a request; a slow one must not hold a connection for ever. */
const REQUEST_TIMEOUT_MS = 60_000;
const HEADERS_TIMEOUT_MS = 20_000;

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

/** Whether the process works, and whether it wants to be sent requests. */
export function adminApp(isReady: () => boolean): Express {
  const app = express().disable("x-powered-by");
  app.get("/health/live", (_, response) => void response.json({ status: "live" }));
  app.get("/health/ready", (_, response) => {
    const ready = isReady();
    response.status(ready ? 200 : 503).json({ status: ready ? "ready" : "stopping" });
  });
  app.use((_, response) => void response.status(404).json({ error: "not found" }));
  return app;
}

export function httpServer(listener: RequestListener): Server {
  return createServer({ requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: HEADERS_TIMEOUT_MS }, listener);
}

/** Serves a request, if it is for a route. */
function router({ routes, endpoint }: AppOptions, { hasAddress }: { readonly hasAddress: boolean }) {
  const findSite = siteFinder(routes, hasAddress);
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    const route = routes.get(pathOf(request));
    const site = route === undefined ? findSite(request.url ?? "") : undefined;
    if (route !== undefined) void endpoint(request, response, route);
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
