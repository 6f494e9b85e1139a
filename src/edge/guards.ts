import type { IncomingMessage, ServerResponse } from "node:http";
import {
  localhostAllowedHostnames,
  validateHostHeader,
  validateOriginHeader,
} from "@modelcontextprotocol/server";
import type { ListenConfig } from "../config/config.ts";
import { rpc } from "../protocol/errors.ts";

/**
 * Refuses requests that a web page had a browser send (2026-07-28, Streamable HTTP §Security & Endpoint).
 * @throws HTTP 403
 */
export type Guard = (request: IncomingMessage, response: ServerResponse) => void;

const LOOPBACK = new Set([...localhostAllowedHostnames(), "::1"]);

/**
 * The guard for a listener. Bound to loopback, it answers to the names of loopback only, so that no other name can be
 * made to point here; bound to anything else, to every name unless there is a list. Origins need to be listed.
 */
export function hostGuard({ host, allowedHosts, allowedOrigins }: ListenConfig): Guard {
  const isLoopback = LOOPBACK.has(host) || host.startsWith("127.");
  const hosts =
    allowedHosts === undefined ? (isLoopback ? [...LOOPBACK, host] : undefined) : [...allowedHosts];
  const origins = new Set(allowedOrigins);
  // One connection after another says the same: a name that has been accepted need not be parsed again.
  let lastAccepted: string | undefined;
  return (request, response) => {
    if (hosts !== undefined && (lastAccepted === undefined || request.headers.host !== lastAccepted)) {
      const checked = validateHostHeader(request.headers.host, hosts);
      if (!checked.ok) throw rpc.forbidden(`this host is not served here (${checked.message})`);
      lastAccepted = request.headers.host;
    }
    const { origin } = request.headers;
    if (origin === undefined) return;
    const isLocal = isLoopback && validateOriginHeader(origin, [...LOOPBACK]).ok;
    if (!isLocal && !origins.has(origin))
      throw rpc.forbidden("this origin is not allowed (listen.allowedOrigins)");
    response.setHeader("Access-Control-Allow-Origin", origin);
    response.setHeader("Vary", "Origin");
    response.setHeader("Access-Control-Expose-Headers", "WWW-Authenticate, Mcp-Session-Id");
  };
}

/** Whether a browser asks for a modern client: then there is nobody to answer it but us. */
export function isModernPreflight({ method, headers }: IncomingMessage): boolean {
  return (
    method === "OPTIONS" &&
    /(?:^|,)\s*mcp-method\s*(?:,|$)/i.test(headers["access-control-request-headers"] ?? "")
  );
}

/** Answers a browser that asks before it sends: the origin has been checked by then. */
export function answerPreflight(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(204, {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Allow-Headers": request.headers["access-control-request-headers"] ?? "content-type",
    "Access-Control-Max-Age": "600",
  });
  response.end();
}
