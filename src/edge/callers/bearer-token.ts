import { decodeProtectedHeader } from "jose/decode/protected_header";
import { decodeJwt } from "jose/jwt/decode";

/** What a signed token says, unverified. */
export interface Token {
  readonly issuer: string;
  readonly subject: string;
  /** In milliseconds since the epoch; absent: it says nothing of an end. */
  readonly expiresAt?: number;
  /** Names what it was signed with: the algorithm and the key. */
  readonly signedWith: string;
  /** The same credential with another signature, which nobody who verifies signatures takes. */
  readonly forgery: string;
}

const BEARER = /^bearer +([\w-]+\.[\w-]+\.)([\w-]+)$/i;

/** The token in an `Authorization` header; `undefined` when it is another credential, or names no subject (RFC 7519). */
export function readToken(authorization: string): Token | undefined {
  const [, signed, signature] = BEARER.exec(authorization) ?? [];
  if (signed === undefined || signature === undefined) return undefined;
  try {
    const jwt = signed + signature;
    const { iss, sub, exp } = decodeJwt(jwt);
    const { alg, kid } = decodeProtectedHeader(jwt);
    if (!isName(iss) || !isName(sub) || alg === undefined || alg.toLowerCase() === "none") return undefined;
    const other = signature.startsWith("A") ? "B" : "A";
    return {
      issuer: iss,
      subject: sub,
      ...(typeof exp === "number" ? { expiresAt: exp * 1_000 } : {}),
      signedWith: JSON.stringify([alg, kid]),
      forgery: `Bearer ${signed}${other}${signature.slice(1)}`,
    };
  } catch {
    return undefined;
  }
}

function isName(claim: unknown): claim is string {
  return typeof claim === "string" && claim !== "";
}
