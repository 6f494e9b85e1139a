import { createHash } from "node:crypto";
import { namesOneRequest } from "../protocol/request-headers.ts";

/**
 * Names the partition of a request, of which the others never use its connections: a digest of everything that a server may tell its
 * callers apart by. A header that we do not know may be a credential, so only those that are known to be none are left out.
 * @param rawHeaders names and values in turn
 * @returns the empty text where there is nothing to tell anybody apart by
 */
export function partitionOf(rawHeaders: readonly string[]): string {
  const telling: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? "").toLowerCase();
    if (!TELLS_NOBODY_APART.test(name) && !namesOneRequest(name))
      telling.push(`${name}:${rawHeaders[at + 1] ?? ""}`);
  }
  if (telling.length === 0) return "";
  return createHash("sha256").update(telling.sort().join("\n")).digest("base64url");
}

const TELLS_NOBODY_APART = new RegExp(
  `^(?:${[
    "accept(?:-.*)?|cache-control|connection|content-.*|date|expect|host|keep-alive|last-event-id|origin|pragma|priority|range|referer",
    "if-.*|sec-.*|te|trailer|transfer-encoding|upgrade(?:-insecure-requests)?|user-agent|via|dnt",
    "mcp-(?:method|name|param-.*|protocol-version)",
  ].join("|")})$`,
);
