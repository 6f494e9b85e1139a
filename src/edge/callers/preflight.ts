import type { IncomingMessage } from "node:http";

/**
 * Whether a browser asks what it may send. It never says with that who is calling (Fetch, §CORS protocol and credentials), and
 * there is no body to it.
 */
export function isPreflight({ method, headers }: IncomingMessage): boolean {
  return (
    method === "OPTIONS" &&
    headers.origin !== undefined &&
    headers["access-control-request-method"] !== undefined &&
    headers["transfer-encoding"] === undefined &&
    (headers["content-length"] ?? "0") === "0"
  );
}
