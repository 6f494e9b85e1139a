/** How often one request is sent on. */
export const MAX_REDIRECTS = 5;

/**
 * Where a server wants a request that it did not take. To send it there sends nothing twice: 307 and 308 say so (RFC 9110 §15.4.8,
 * §15.4.9), and 301 and 302 are what many routers answer where a slash at the end of a path is missing, or one too many, or the scheme or
 * the host is another one. Clients would change the method of a POST, or ask the gateway for the same once more.
 * @param from where it was sent
 * @returns undefined for any other answer
 */
export function redirectTarget(status: number, location: unknown, from: URL): URL | undefined {
  if (typeof location !== "string" || !URL.canParse(location, from.href)) return undefined;
  const target = new URL(location, from);
  switch (status) {
    case 307:
    case 308:
      return target;
    case 301:
    case 302:
      return isSameButForSlash(target, from) ? target : undefined;
    default:
      return undefined;
  }
}

/** Whether it is the same path, but not the same address. */
function isSameButForSlash(target: URL, from: URL): boolean {
  const isPath = withoutSlash(target.pathname) === withoutSlash(from.pathname);
  return isPath && (target.pathname !== from.pathname || target.origin !== from.origin);
}

/** A path without the slash at its end, which many servers take for the same. */
export function withoutSlash(path: string): string {
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}
