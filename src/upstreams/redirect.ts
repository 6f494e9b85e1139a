/** How often one request is sent on. */
export const MAX_REDIRECTS = 5;

/**
 * Where a server wants a request that it did not take (307 and 308: RFC 9110 §15.4.8, §15.4.9). To send it there sends nothing twice.
 * @param from where it was sent
 * @returns undefined for any other answer
 */
export function redirectTarget(status: number, location: unknown, from: URL): URL | undefined {
  if (status !== 307 && status !== 308) return undefined;
  return typeof location === "string" && URL.canParse(location, from.href)
    ? new URL(location, from)
    : undefined;
}
