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
 * A host with or without a port, and an origin, and nothing else (RFC 9110 §7.2, RFC 6454 §6.1). Read as parts of a url, `user@localhost`
 * and `localhost/x` would be names of loopback too, and other programs may read them otherwise.
 */
const HOST = /^(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d*)?$/i;
const ORIGIN = /^[a-z][a-z\d+.-]*:\/\/(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d+)?$/i;

/**
 * The guard for a listener. Bound to loopback, it accepts only names of loopback, so that no other name can be made to point here; bound
 * to anything else, every name unless there is a list. It accepts listed origins, and on loopback those of loopback.
 */
export function hostGuard(listen: ListenConfig): Guard {
  const checkHost = hostCheck(listen);
  const isLoopback = isLoopbackName(listen.host);
  // Pages at the gateway's own address may call it.
  const own = listen.publicUrl === undefined ? [] : [listen.publicUrl];
  const origins = new Set([...listen.allowedOrigins, ...own]);
  return (request, response) => {
    checkHost(request, response);
    const { origin } = request.headers;
    if (origin === undefined) return;
    const isLocal = isLoopback && ORIGIN.test(origin) && validateOriginHeader(origin, [...LOOPBACK]).ok;
    if (!isLocal && !origins.has(origin)) throw rpc.originRefused(origin);
    response.setHeader("Access-Control-Allow-Origin", origin);
    response.setHeader("Vary", "Origin");
    response.setHeader("Access-Control-Expose-Headers", "WWW-Authenticate, Mcp-Session-Id");
  };
}

/** The part of `hostGuard` that checks hosts: for documents that pages of every origin may read. */
export function hostCheck({ host, allowedHosts, publicUrl }: ListenConfig): Guard {
  const names = allowedHosts ?? (isLoopbackName(host) ? [...LOOPBACK, host] : undefined);
  // Clients must reach the gateway by the address that they are told.
  const hosts = names && [...names, ...(publicUrl === undefined ? [] : [new URL(publicUrl).hostname])];
  // Most connections send the same Host: a name that was accepted need not be parsed again.
  let lastAccepted: string | undefined;
  return (request) => {
    if (hosts !== undefined && (lastAccepted === undefined || request.headers.host !== lastAccepted)) {
      const { host: asked = "" } = request.headers;
      if (!HOST.test(asked)) throw rpc.forbidden("Host is missing, or is not the name of a host");
      const checked = validateHostHeader(asked, hosts);
      if (!checked.ok) throw rpc.hostRefused(checked.hostname ?? asked);
      lastAccepted = asked;
    }
  };
}

/** Whether only this machine reaches a listener that is bound to this host. */
export function isLoopbackName(host: string): boolean {
  return LOOPBACK.has(host) || host.startsWith("127.");
}

/** Headers by which the gateway decides, or that name what a server decides by. */
const SINGLE: ReadonlySet<string> = new Set([
  "authorization",
  "content-type",
  "host",
  "last-event-id",
  "mcp-method",
  "mcp-name",
  "mcp-protocol-version",
  "mcp-session-id",
  "origin",
]);

/**
 * Refuses a request with two values for a header that takes one (RFC 9110 §5.3): node:http takes the first of some headers and both of
 * others, a server gets all and may take the last, and the two must not decide by different values.
 * @throws HTTP 400
 */
export function checkSingle({ headers, rawHeaders }: IncomingMessage): void {
  // As many names as lines: no header is there twice. Every request passes here.
  if (Object.keys(headers).length * 2 === rawHeaders.length) return;
  const seen = new Set<string>();
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? "").toLowerCase();
    const isSingle = SINGLE.has(name) || name.startsWith("mcp-param-");
    if (isSingle && seen.has(name)) throw rpc.invalidRequest(`the header ${name} is there more than once`);
    seen.add(name);
  }
}

/**
 * Answers a browser's preflight. The guard has checked the origin; the operator decides what an allowed page may send
 * (`listen.allowedOrigins`), whatever the server thinks of pages.
 */
export function answerPreflight(request: IncomingMessage, response: ServerResponse, methods: string): void {
  response.writeHead(204, {
    "Access-Control-Allow-Methods": methods,
    "Access-Control-Allow-Headers": request.headers["access-control-request-headers"] ?? "content-type",
    "Access-Control-Max-Age": "600",
  });
  response.end();
}
