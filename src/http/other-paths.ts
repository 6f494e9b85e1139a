import { lenientPaths } from "../protocol/lenient-path.ts";
import { isSameServer } from "../proxy/redirects.ts";
import type { Route } from "../requests/request.ts";

/** A path of a server other than its MCP endpoint. */
export interface OtherPath {
  readonly route: Route;
  /** Its path at the server, query included. */
  readonly path: string;
}

/**
 * Finds the route to whose endpoint a path leads at its server, as a lenient server reads it: the path's own route, or another one
 * before the same server.
 */
export function endpointAt({ route, path }: OtherPath, routes: Iterable<Route>): Route | undefined {
  const readings = lenientPaths(path);
  const isEndpointOf = ({ config: { upstream } }: Route) =>
    upstream.transport !== "stdio" &&
    lenientPaths(upstream.url.pathname).some((reading) => readings.includes(reading));
  if (isEndpointOf(route)) return route;
  const { upstream: own } = route.config;
  for (const other of routes) {
    const { upstream } = other.config;
    const isBeside =
      own.transport !== "stdio" && upstream.transport !== "stdio" && isSameServer(own.url, upstream.url);
    if (isBeside && isEndpointOf(other)) return other;
  }
  return undefined;
}

const WELL_KNOWN = /^(\/\.well-known\/[^/?]+)\//;

/**
 * Finds the server of a path that is no endpoint, in this order: below a route's path are all paths of its server; the well-known documents
 * about a route's path are the server's about its own (RFC 8414 §3.1, RFC 9728 §3.1); all other paths belong to the route at the root, or
 * to the only route, if the gateway has the address to itself.
 */
export function otherPathFinder(routes: ReadonlyMap<string, Route>, hasAddress: boolean) {
  // Longest path first: one route may be mounted below another. A server over stdio has no paths.
  const mounts = [...routes]
    .flatMap(([path, route]) => {
      const { upstream } = route.config;
      return upstream.transport === "stdio" ? [] : [{ path, route, endpoint: upstream.url.pathname }];
    })
    .sort(({ path: a }, { path: b }) => b.length - a.length);
  const [only, ...others] = new Set(routes.values());
  const rest = hasAddress ? (routes.get("/") ?? (others.length === 0 ? only : undefined)) : undefined;
  const fallback = mounts.find(({ route }) => route === rest)?.route;

  return (url: string): OtherPath | undefined => {
    if (!url.startsWith("/")) return undefined;
    const [, document = ""] = WELL_KNOWN.exec(url) ?? [];
    for (const { path, route, endpoint } of mounts) {
      if (path !== "/" && url.startsWith(`${path}/`)) return { route, path: url.slice(path.length) };
      if (document === "" || !isAt(url.slice(document.length), path)) continue;
      const query = url.slice(document.length + path.length);
      return { route, path: `${document}${endpoint === "/" ? "" : endpoint}${query}` };
    }
    return fallback === undefined ? undefined : { route: fallback, path: url };
  };
}

function isAt(url: string, path: string): boolean {
  return url === path || url.startsWith(`${path}?`);
}
