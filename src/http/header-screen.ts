import type { IncomingMessage } from "node:http";
import type { Config } from "../config/config.ts";
import type { Route } from "../requests/request.ts";
import type { Identify } from "./callers/identify.ts";
import { trustedProxies } from "./callers/trusted-proxies.ts";

/** Headers that the gateway or the HTTP connection sets, besides all that begin with one of `OUR_PREFIXES`. */
const OURS = [
  "accept-encoding",
  "access-control-request-headers",
  "access-control-request-method",
  "content-encoding",
  "content-length",
  "content-type",
  "http2-settings",
  "keep-alive",
  "last-event-id",
  "transfer-encoding",
];
const OUR_PREFIXES = ["mcp-", "proxy-"];
/** Ends in a name of the server's, in which any sign may stand (2026-07-28, Streamable HTTP §Custom Headers). */
const PARAMETER = "mcp-param-";

/** Headers in which proxies name a request's origin and sender (RFC 7239, and what it replaces). */
const FROM_PROXIES: ReadonlySet<string> = new Set([
  ...["forwarded", "x-forwarded", "x-real-ip", "x-original-forwarded-for", "x-original-host"],
  ...["client-ip", "x-client-ip", "x-cluster-client-ip", "x-remote-ip", "x-remote-addr", "x-originating-ip"],
  ...["true-client-ip", "cf-connecting-ip", "cf-connecting-ipv6", "cf-pseudo-ipv4", "fastly-client-ip"],
  ...["fly-client-ip", "x-azure-clientip", "x-envoy-external-address", "x-appengine-user-ip"],
]);
const FROM_PROXIES_PREFIX = "x-forwarded-";
/**
 * Headers by which frameworks take a request for another than it is: for another method or path, which the gateway would not have judged.
 * CGI makes of `Proxy` the variable HTTP_PROXY, to which a server would send its own requests.
 */
const OVERRIDES: ReadonlySet<string> = new Set([
  ...["x-http-method-override", "x-http-method", "x-method-override", "x-original-method"],
  ...["x-original-url", "x-original-uri", "x-rewrite-url", "proxy"],
]);

/**
 * Removes headers from requests, on whatever way to the server, that the server could take for another sender's:
 * - names that differ only in signs from one of ours, the proxy's (`callers.header`) or `upstream.headers`. CGI, WSGI, Rack and PHP make
 *   one variable of `X-User` and `X_User` (RFC 3875 §4.1.18), and a proxy that strips the one name does not strip the other;
 * - `Forwarded`, `X-Forwarded-*`, `X-Real-IP` and the like, unless they come from one of `callers.trustedProxies`;
 * - those that override a request's method or path.
 */
export type HeaderScreen = (request: IncomingMessage, route: Route) => void;

export function headerScreen({ callers }: Pick<Config, "callers">): HeaderScreen {
  const isTrusted = trustedProxies(callers.trustedProxies ?? []);
  const ofTheProxy = callers.identify === "header" ? [callers.header] : [];
  const byRoute = new WeakMap<Route, NamesOfRoute>();
  const namesOf = (route: Route): NamesOfRoute => {
    const known = byRoute.get(route);
    if (known !== undefined) return known;
    const { upstream } = route.config;
    const set = upstream.transport === "stdio" ? [] : Object.keys(upstream.headers);
    const made = new NamesOfRoute([...OURS, ...ofTheProxy, ...set]);
    byRoute.set(route, made);
    return made;
  };
  return (request, route) => {
    const names = namesOf(route);
    const { remoteAddress } = request.socket;
    const dropped = drop(request, (name) => {
      const folded = foldedName(name);
      if (OVERRIDES.has(folded)) return true;
      if (!isFromProxies(folded)) return names.isLookalike(name, folded);
      if (names.has(name)) return false;
      return name !== folded || !isTrusted(remoteAddress);
    });
    if (dropped.length > 0) names.tell(route, dropped, remoteAddress);
  };
}

/** Screens requests before the gateway identifies the caller. */
export function screened(identify: Identify, screen: HeaderScreen): Identify {
  return (request, route) => {
    screen(request, route);
    return identify(request, route);
  };
}

/** Screens them after, for a program that identifies callers itself and may know its proxies better: it sees all headers. */
export function screenedAfter(identify: Identify, screen: HeaderScreen): Identify {
  return async (request, route) => {
    const caller = await identify(request, route);
    screen(request, route);
    return caller;
  };
}

/** Names that clients may not set, in lower case. */
class NamesOfRoute {
  readonly #names: ReadonlySet<string>;
  readonly #folded: ReadonlySet<string>;
  #hasTold = false;

  constructor(names: readonly string[]) {
    this.#names = new Set(names);
    this.#folded = new Set(names.map(foldedName));
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  isLookalike(name: string, folded: string): boolean {
    if (this.#names.has(name)) return false;
    if (this.#folded.has(folded)) return true;
    if (name === folded || name.startsWith(PARAMETER)) return false;
    return OUR_PREFIXES.some((prefix) => folded.startsWith(prefix));
  }

  /** Once at `warn`, for an operator with a proxy before the gateway; later at `debug`, since any client can send such headers. */
  tell({ log }: Route, headers: readonly string[], address: string | undefined): void {
    const isOfAProxy = headers.some((name) => name === foldedName(name) && isFromProxies(name));
    const level = isOfAProxy && !this.#hasTold ? "warn" : "debug";
    if (isOfAProxy) this.#hasTold = true;
    log[level]({ headers, address }, isOfAProxy ? UNTRUSTED : LOOKALIKE);
  }
}

const UNTRUSTED =
  "dropped headers that only a proxy may set: the address is not in callers.trustedProxies (further ones are logged at debug)";
const LOOKALIKE = "dropped headers that a server could take for others";

function isFromProxies(folded: string): boolean {
  return FROM_PROXIES.has(folded) || folded.startsWith(FROM_PROXIES_PREFIX);
}

const SIGN = /[^a-z\d-]/;
const SIGNS = /[^a-z\d-]/g;

/** A name, in lower case, with every sign read as a hyphen. Nearly all names have no other sign. */
function foldedName(name: string): string {
  return SIGN.test(name) ? name.replace(SIGNS, "-") : name;
}

/** Removes headers from `rawHeaders` and `headers`. Gives the removed names, in lower case. */
function drop(request: IncomingMessage, isDropped: (name: string) => boolean): readonly string[] {
  const { rawHeaders } = request;
  const dropped: string[] = [];
  let kept = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [given = "", value = ""] = [rawHeaders[at], rawHeaders[at + 1]];
    const name = given.toLowerCase();
    if (isDropped(name)) {
      dropped.push(name);
      continue;
    }
    rawHeaders[kept] = given;
    rawHeaders[kept + 1] = value;
    kept += 2;
  }
  if (dropped.length === 0) return dropped;
  rawHeaders.length = kept;
  for (const name of dropped) delete request.headers[name];
  return dropped;
}
