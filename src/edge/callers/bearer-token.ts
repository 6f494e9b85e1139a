import { decodeJwt } from "jose/jwt/decode";

/** What a signed token says, unverified. */
export interface Token {
  /** The token itself, in its compact form. */
  readonly jwt: string;
  readonly issuer: string;
  /** In milliseconds since the epoch; absent: it says nothing of an end. */
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
