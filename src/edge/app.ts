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

export interface AppOptions {
  /** By path, exactly as requests name it. */
  readonly routes: ReadonlyMap<string, Route>;
  readonly endpoint: Endpoint;
}

/** How long a client may take to send a request; a slow one must not hold a connection for ever. */
const REQUEST_TIMEOUT_MS = 60_000;
const HEADERS_TIMEOUT_MS = 20_000;

/**
 * The listener of the gateway: MCP endpoints first, everything else is Express. An Express app costs a small answer
 * four fifths of its throughput, so polls must not pass through it.
 */
export function gatewayListener({ routes, endpoint }: AppOptions): RequestListener {
  const rest = notFoundApp([...routes.keys()]);
  return (request, response) => {
    const route = routes.get(pathOf(request));
    if (route === undefined) rest(request, response);
    else void endpoint(request, response, route);
  };
}

/** The same as a middleware, for an app of one's own: what is no MCP endpoint is left to whoever comes next. */
export function gatewayMiddleware({ routes, endpoint }: AppOptions) {
  return (request: IncomingMessage, response: ServerResponse, next: () => void): void => {
    const route = routes.get(pathOf(request));
    if (route === undefined) next();
    else void endpoint(request, response, route);
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

function notFoundApp(paths: readonly string[]): Express {
  const app = express().disable("x-powered-by");
  app.use((_, response) => void response.status(404).json({ error: "not found", endpoints: paths }));
  return app;
}

function pathOf({ url = "" }: IncomingMessage): string {
  const query = url.indexOf("?");
  return query === -1 ? url : url.slice(0, query);
}
