import { createHash } from "node:crypto";
import { decodeJwt } from "jose/jwt/decode";

/** The claims of a signed token, unverified. */
export interface Token {
  /** The token itself, in its compact form. */
  readonly jwt: string;
  readonly issuer: string;
  /** In milliseconds since the epoch; absent: the token names no end. */
  readonly expiresAt?: number;
}

const BEARER = /^bearer +([\w-]+\.[\w-]+\.[\w-]+)$/i;

/** The token in an `Authorization` header; `undefined` when it is another credential, or names no subject (RFC 7519). */
export function readToken(authorization: string): Token | undefined {
  const [, jwt] = BEARER.exec(authorization) ?? [];
  if (jwt === undefined) return undefined;
  try {
    const { iss, sub, exp } = decodeJwt(jwt);
    if (!isName(iss) || !isName(sub)) return undefined;
    return { jwt, issuer: iss, ...(typeof exp === "number" ? { expiresAt: exp * 1_000 } : {}) };
  } catch {
    return undefined;
  }
}

function isName(claim: unknown): claim is string {
  return typeof claim === "string" && claim !== "";
}

/** Longer keys are shortened: every record contains its caller's key. */
const MAX_CHARS = 512;

/** The key of an issuer's subject: no two pairs of issuer and subject have the same (RFC 7519 §4.1.2). */
export function subjectKey(issuer: string, subject: string): string {
  const pair = JSON.stringify([issuer, subject]);
  if (pair.length <= MAX_CHARS) return `jwt:${pair}`;
  return `jwt#${createHash("sha256").update(pair).digest("base64url")}`;
}
