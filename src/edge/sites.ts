import type { Route } from "../lanes/lane.ts";

/** Something that a server has apart from its MCP endpoint. */
export interface Site {
  readonly route: Route;
  /** Its path at the server, query included. */
  readonly path: string;
}

const WELL_KNOWN = /^\/\.well-known\/[^/?]+(?=\/)/;

/**
 * Finds what is no endpoint, in this order: below a route's path there is all that its server has; the well-known documents
 * about a route's path are the server's about its own (RFC 8414 §3.1, RFC 9728 §3.1); and whatever is left belongs to the
 * route at the root, or to the only one, if the gateway has the address to itself.
 */
export function siteFinder(routes: ReadonlyMap<string, Route>, hasAddress: boolean) {
  // The longest path first: one route may be mounted below another. A server over stdio has nothing but its messages.
  const paths = [...routes].filter(([, route]) => hasSite(route)).sort(([a], [b]) => b.length - a.length);
  const [only, ...others] = new Set(routes.values());
  const fallback = hasAddress ? (routes.get("/") ?? (others.length === 0 ? only : undefined)) : undefined;

  return (url: string): Site | undefined => {
    if (!url.startsWith("/")) return undefined;
    for (const [path, route] of paths) {
      if (path !== "/" && url.startsWith(`${path}/`)) return { route, path: url.slice(path.length) };
      const rest = WELL_KNOWN.exec(url);
      if (rest !== null && isAt(url.slice(rest[0].length), path))
        return { route, path: wellKnown(rest[0], url.slice(rest[0].length + path.length), route) };
    }
    return fallback !== undefined && hasSite(fallback) ? { route: fallback, path: url } : undefined;
  };
}

function hasSite({ config }: Route): boolean {
  return config.upstream.transport !== "stdio";
}

function isAt(url: string, path: string): boolean {
  return url === path || url.startsWith(`${path}?`);
}

function wellKnown(document: string, query: string, { config }: Route): string {
  const pathname = config.upstream.transport === "stdio" ? "" : config.upstream.url.pathname;
  return `${document}${pathname === "/" ? "" : pathname}${query}`;
}
