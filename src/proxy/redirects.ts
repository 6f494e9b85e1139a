import type { HttpUpstreamConfig, ServerConfig } from "../config/config.ts";
import { withoutSlash } from "../upstream/transports/redirect.ts";

/** What the gateway must know to rewrite a redirect for the client. */
export interface RedirectOptions {
  /** The url that answered with the redirect. */
  readonly from: URL;
  readonly server: Pick<HttpUpstreamConfig, "url">;
  /** The path below which the client finds all paths of the server. */
  readonly mount: string;
  /** Paths of the route, which no other path of its server can have. */
  readonly route: Pick<ServerConfig, "path" | "aliases">;
  /** Whether the client asked for one of the server's own paths, as it can if the gateway has one server only. */
  readonly isOwnPath: boolean;
}

/**
 * Rewrites a server's `Location` so that its client can follow it: through the gateway, not to an address at which only the gateway may
 * know the server. Locations on other servers stay, as do paths that mean the same to client and server.
 */
export function relocated(location: string, options: RedirectOptions): string {
  const { from, server, mount, route, isOwnPath } = options;
  if (!URL.canParse(location, from.href)) return location;
  const target = new URL(location, from);
  if (!isSameServer(target, server.url)) return location;
  const path = target.pathname + ownSearch(target, server.url) + target.hash;
  if (withoutSlash(target.pathname) === withoutSlash(server.url.pathname))
    return `${isOwnPath ? route.path : mount}${path.slice(target.pathname.length)}`;
  const isTaken = [route.path, ...route.aliases].some((taken) => isBelow(target.pathname, taken));
  if (isOwnPath && !isTaken) return location.startsWith("/") && !location.startsWith("//") ? location : path;
  return `${mount === "/" ? "" : mount}${path}`;
}

const LOOPBACK: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]", "0.0.0.0"]);

/**
 * Behind a proxy that ends TLS a server may believe that it serves http, and on loopback it may use any name. Ports are compared as
 * written, so that the default ports of both schemes count as the same.
 */
export function isSameServer(a: URL, b: URL): boolean {
  const isSameName = a.hostname === b.hostname || (LOOPBACK.has(a.hostname) && LOOPBACK.has(b.hostname));
  return isSameName && a.port === b.port && /^https?:$/.test(a.protocol);
}

/** The query without that of the configured url, which may be a secret. */
function ownSearch({ search }: URL, configured: URL): string {
  if (configured.search === "" || !search.startsWith(configured.search)) return search;
  const rest = search.slice(configured.search.length);
  if (rest === "") return "";
  return rest.startsWith("&") ? `?${rest.slice(1)}` : search;
}

function isBelow(path: string, parent: string): boolean {
  return path === parent || path.startsWith(parent === "/" ? parent : `${parent}/`);
}
