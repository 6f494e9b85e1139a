import type { IncomingMessage } from "node:http";
import type { HeaderCallersConfig } from "../../config/config.ts";
import type { Caller, Route } from "../../lanes/lane.ts";
import { rpc } from "../../protocol/errors.ts";
import { forwardedHeaders, type Identify } from "./identify.ts";
import { trustedProxies } from "./trusted-proxies.ts";

/** A name is part of every record of its tasks. */
const MAX_NAME_CHARS = 512;

/**
 * Callers are whoever a proxy says they are, in a header that it sets. Anybody could set that header, so requests that come from
 * anywhere else are refused, whether they have it or not. The server gets the header as it gets the others.
 */
export function byHeader({ header, trustedProxies: networks }: HeaderCallersConfig): Identify {
  const isTrusted = trustedProxies(networks);
  return (request, route) => {
    const { remoteAddress } = request.socket;
    if (!isTrusted(remoteAddress)) throw rpc.untrustedProxy(remoteAddress);
    const name = nameIn(request, header);
    if (name !== "") return callerOf(`user:${name}`, request, route);
    if (!asksForDocument(request)) throw rpc.callerUnnamed(header);
    return { key: "nobody", headers: {}, refusal: rpc.callerUnnamed(header) };
  };
}

/** @throws HTTP 400 when there are several names, one that is too long, or one that is to go no further than here */
function nameIn({ headers, rawHeaders }: IncomingMessage, header: string): string {
  if (headers[header] === undefined) return "";
  // What `Connection` names is not passed on (RFC 9110 §7.6.1): the server would see a request without the name.
  const ofTheConnection = (headers.connection ?? "").toLowerCase().split(/[\s,]+/);
  if (ofTheConnection.includes(header)) throw rpc.invalidRequest(`Connection must not name ${header}`);
  // Node has made one text of several, or kept the first, and names may have commas in them.
  const names = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === header);
  const [name = "", ...others] = names;
  if (others.length > 0) throw rpc.invalidRequest(`the header ${header} is there more than once`);
  if (name.length > MAX_NAME_CHARS)
    throw rpc.invalidRequest(`the name in ${header} is longer than ${MAX_NAME_CHARS} characters`);
  return name.trim();
}

function callerOf(key: string, request: IncomingMessage, route: Route): Caller {
  const headers = forwardedHeaders(request, route.config.upstream.forwardHeaders);
  return { key, isIdentified: true, headers };
}

/**
 * What a server says of itself to everybody (RFC 8615), and clients look for before they have logged in. By its path as the server
 * is going to see it: with dots it may lead somewhere else.
 */
function asksForDocument({ method, url = "" }: IncomingMessage): boolean {
  if ((method !== "GET" && method !== "HEAD") || !url.startsWith("/.well-known/")) return false;
  const target = `http://localhost${url}`;
  return URL.canParse(target) && new URL(target).pathname.startsWith("/.well-known/");
}
