import type { IncomingMessage } from "node:http";
import type { HeaderCallersConfig } from "../../config/config.ts";
import { rpc } from "../../protocol/errors.ts";
import type { Caller, Route } from "../../requests/request.ts";
import { forwardedHeaders, type Identify } from "./identify.ts";
import { trustedProxies } from "./trusted-proxies.ts";

/** Every record of a caller's tasks contains its name. */
const MAX_NAME_CHARS = 512;

/**
 * Takes the caller's name from a header that a proxy sets. Any client could set that header, so requests from any other address are
 * refused, with it or without. The server gets the header as it gets the others.
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

/** @throws HTTP 400 when there are several names, one that is too long, or one that must not be passed on */
function nameIn({ headers, rawHeaders }: IncomingMessage, header: string): string {
  if (headers[header] === undefined) return "";
  // A header that `Connection` names is not passed on (RFC 9110 §7.6.1): the server would see a request without the name.
  const ofTheConnection = (headers.connection ?? "").toLowerCase().split(/[\s,]+/);
  if (ofTheConnection.includes(header)) throw rpc.invalidRequest(`Connection must not name ${header}`);
  // Node joins several values or keeps the first, and names may contain commas.
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
 * Whether a request asks for a document that a server shows to everybody (RFC 8615), and that clients read before they log in. The path
 * that the server is going to see decides: with dots it may lead somewhere else.
 */
function asksForDocument({ method, url = "" }: IncomingMessage): boolean {
  if ((method !== "GET" && method !== "HEAD") || !url.startsWith("/.well-known/")) return false;
  const target = `http://localhost${url}`;
  return URL.canParse(target) && new URL(target).pathname.startsWith("/.well-known/");
}
