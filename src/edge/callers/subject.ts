import { createHash } from "node:crypto";

/** What a caller's key may be long without being shortened: it is part of every record. */
const MAX_CHARS = 512;

/** The key of whoever an issuer knows by a name: no two pairs of issuer and subject have the same (RFC 7519 §4.1.2). */
export function subjectKey(issuer: string, subject: string): string {
  const pair = JSON.stringify([issuer, subject]);
  if (pair.length <= MAX_CHARS) return `jwt:${pair}`;
  return `jwt#${createHash("sha256").update(pair).digest("base64url")}`;
}
