import { createHash } from "node:crypto";

/** Longer keys are shortened: every record contains its caller's key. */
const MAX_CHARS = 512;

/** The key of an issuer's subject: no two pairs of issuer and subject have the same (RFC 7519 §4.1.2). */
export function subjectKey(issuer: string, subject: string): string {
  const pair = JSON.stringify([issuer, subject]);
  if (pair.length <= MAX_CHARS) return `jwt:${pair}`;
  return `jwt#${createHash("sha256").update(pair).digest("base64url")}`;
}
