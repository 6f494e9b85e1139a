/** How many redirects the gateway follows for one request. */
export const MAX_REDIRECTS = 5;

/**
 * Where a server wants a request that it did not take. Following sends nothing twice: 307 and 308 say so (RFC 9110 §15.4.8, §15.4.9), and
 * many routers answer 301 or 302 when a slash at the end of the path is missing or superfluous, or the scheme or the host differs. Clients
 * would change the method of a POST, or send the same request to the gateway again.
 * @param from where the request was sent
 * @returns undefined for any other answer
 */
export function redirectTarget(status: number, location: unknown, from: URL): URL | undefined {
  const target = redirectLocation(status, location, from);
  const isKept = status === 307 || status === 308;
  const isMended = (status === 301 || status === 302) && target && isSameButForSlash(target, from);
  return isKept || isMended ? target : undefined;
}

/** Where a redirect points (RFC 9110 §15.4). Returns undefined for any other answer. */
export function redirectLocation(status: number, location: unknown, from: URL): URL | undefined {
  if (!REDIRECTS.has(status) || typeof location !== "string") return undefined;
  return URL.canParse(location, from.href) ? new URL(location, from) : undefined;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Whether the paths are the same but for the slash, and the addresses differ. */
function isSameButForSlash(target: URL, from: URL): boolean {
  const isPath = withoutSlash(target.pathname) === withoutSlash(from.pathname);
  return isPath && (target.pathname !== from.pathname || target.origin !== from.origin);
}

/** Removes the slash at the end of a path: many servers treat both paths alike. */
export function withoutSlash(path: string): string {
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}

/** The server's address with the query of a client's request behind its own. @param query question mark included; may be empty */
export function withQuery(url: URL, query: string): URL {
  if (query.length < 2) return url;
  const target = new URL(url);
  target.search = url.search === "" ? query : `${url.search}&${query.slice(1)}`;
  return target;
}
