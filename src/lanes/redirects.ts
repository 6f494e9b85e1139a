import type { HttpUpstreamConfig, ServerConfig } from "../config/config.ts";
import { withoutSlash } from "../upstreams/redirect.ts";

/** What a redirect has to be known of for its client. */
export interface RedirectOptions {
  /** Where the server was asked. */
  readonly from: URL;
  readonly server: Pick<HttpUpstreamConfig, "url">;
  /** The path below which the client finds everything that the server has. */
  readonly mount: string;
  /** Paths of the route, which cannot be those of anything else that its server has. */
  readonly route: Pick<ServerConfig, "path" | "aliases">;
  /** Whether the client asked for a path of the server's own, as it can where the gateway has one server only. */
  readonly isOwnPath: boolean;
}

/**
 * Where a server's `Location` leads, as its client can follow: by way of the gateway, and not to the address at which only the gateway
 * may know the server. What is on another server is left as it is, as are paths that mean the same to both.
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
 * Behind a proxy that ends TLS a server may take itself for one without, and on loopback for one of any name. Ports are compared as they
 * are written, so that a scheme's default port is the same for both.
 */
function isSameServer(a: URL, b: URL): boolean {
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
