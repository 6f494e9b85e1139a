import { createHash } from "node:crypto";
import { namesOneRequest } from "../../protocol/request-headers.ts";

/**
 * Names the partition of a request; partitions never share connections. The name is a digest of every header by which a server may tell its
 * callers apart: an unknown header may be a credential, so only headers known to be none are left out.
 * @param rawHeaders names and values in turn
 * @returns the empty string when no header tells callers apart
 */
export function partitionOf(rawHeaders: readonly string[]): string {
  const telling: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? "").toLowerCase();
    if (!NAMES_NOBODY.has(name) && !NAMES_NOBODY_AS.test(name) && !namesOneRequest(name))
      telling.push(`${name}:${rawHeaders[at + 1] ?? ""}`);
  }
  if (telling.length === 0) return "";
  return createHash("sha256").update(telling.sort().join("\n")).digest("base64url");
}

const NAMES_NOBODY_AS = /^(?:accept|content|if|sec|mcp-param)-/;
const NAMES_NOBODY: ReadonlySet<string> = new Set([
  ...["accept", "cache-control", "connection", "date", "dnt", "expect", "host", "keep-alive"],
  ...["last-event-id", "origin", "pragma", "priority", "range", "referer", "te", "trailer"],
  ...["transfer-encoding", "upgrade", "upgrade-insecure-requests", "user-agent", "via"],
  ...["mcp-method", "mcp-name", "mcp-protocol-version"],
]);
