import type { IncomingMessage } from "node:http";
import { isPreflight } from "../guards.ts";

/**
 * Whether a browser asks what it may send, and nothing else is said with it. It never says with that who is calling (Fetch, §CORS
 * protocol and credentials), and there is no body to it.
 */
export function isBarePreflight(request: IncomingMessage): boolean {
  const { headers } = request;
  return (
    isPreflight(request) &&
    headers["access-control-request-method"] !== undefined &&
    headers["transfer-encoding"] === undefined &&
    (headers["content-length"] ?? "0") === "0"
  );
}
