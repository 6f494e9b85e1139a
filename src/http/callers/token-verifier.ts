import type { JWTPayload } from "jose";
import {
  JOSEAlgNotAllowed,
  JOSEError,
  JWKInvalid,
  JWKSInvalid,
  JWKSMultipleMatchingKeys,
  JWKSNoMatchingKey,
  JWSSignatureVerificationFailed,
  JWTClaimValidationFailed,
  JWTExpired,
} from "jose/errors";
import { jwtVerify } from "jose/jwt/verify";
import type { JwtCallersConfig } from "../../config/config.ts";
import { IssuerKeys, type IssuerKeysOptions, KeysUnavailable } from "./issuer-keys.ts";
import { otherKindOf } from "./token-kind.ts";

export { KeysUnavailable };

/** The claims of a verified token. */
export interface Grant {
  readonly issuer: string;
  readonly subject: string;
  readonly scopes: readonly string[];
  /** In milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** The message says why, in words that a client may read. */
export class InvalidToken extends Error {
  override name = "InvalidToken";
}

/** Algorithms with public keys. If the gateway had to know a secret, any reader of its configuration could make tokens. */
const ALGORITHMS = [
  ...["ES256", "ES384", "ES512"],
  ...["PS256", "PS384", "PS512"],
  ...["RS256", "RS384", "RS512"],
  ...["EdDSA", "Ed25519"],
];

export type TokenVerifierOptions = Pick<JwtCallersConfig, "audience" | "clockToleranceMs"> &
  IssuerKeysOptions;

export type VerifyToken = (token: string) => Promise<Grant>;

/**
 * Verifies access tokens of one issuer: signature, kind, issuer, audience and times (RFC 7519 §4.1, RFC 9068 §4). The function that it
 * gives throws InvalidToken, or KeysUnavailable when it can say nothing of the token.
 */
export function tokenVerifier(options: TokenVerifierOptions): VerifyToken {
  const { issuer, audience, clockToleranceMs, clock, onFailure } = options;
  const keys = new IssuerKeys(options);
  return async (token) => {
    try {
      const { payload, protectedHeader } = await jwtVerify(token, keys.find, {
        issuer,
        audience: [...audience],
        algorithms: ALGORITHMS,
        clockTolerance: clockToleranceMs / 1_000,
        requiredClaims: ["sub", "exp"],
        currentDate: new Date(clock()),
      });
      const kind = otherKindOf(protectedHeader, payload);
      if (kind !== undefined) throw new InvalidToken(`the token is no access token, but ${kind}`);
      return grantOf(payload);
    } catch (error) {
      const found = toTokenError(error);
      if (found !== error && found instanceof KeysUnavailable) onFailure(found);
      throw found;
    }
  };
}

/** @throws InvalidToken */
function grantOf({ iss = "", sub, exp = 0, scope, scp }: JWTPayload): Grant {
  if (typeof sub !== "string" || sub === "") throw new InvalidToken("the token names no subject (sub)");
  return { issuer: iss, subject: sub, scopes: [...words(scope), ...words(scp)], expiresAt: exp * 1_000 };
}

/** `scope` is a text (RFC 9068 §2.2.3); some issuers have `scp` instead, as a text or a list. */
function words(claim: unknown): readonly string[] {
  if (typeof claim === "string") return claim.split(" ");
  return Array.isArray(claim) ? claim.filter((word) => typeof word === "string") : [];
}

function toTokenError(error: unknown): Error {
  if (error instanceof KeysUnavailable || error instanceof InvalidToken) return error;
  // Not the token's fault: the issuer's key is too short, or not a public one.
  if (!(error instanceof JOSEError) || error instanceof JWKInvalid || error instanceof JWKSInvalid)
    return new KeysUnavailable("a key of the issuer cannot be used", { cause: error });
  return new InvalidToken(reasonOf(error), { cause: error });
}

function reasonOf(error: JOSEError): string {
  if (error instanceof JWTExpired) return "the token has expired";
  if (error instanceof JWTClaimValidationFailed)
    return `the claim ${error.claim} of the token is ${error.reason === "missing" ? "missing" : "not accepted here"}`;
  if (error instanceof JOSEAlgNotAllowed) return "the token is signed with an algorithm that is not accepted";
  if (error instanceof JWKSNoMatchingKey) return "the token is signed with no key of the issuer's";
  if (error instanceof JWKSMultipleMatchingKeys) return "the token does not say with which key it is signed";
  if (error instanceof JWSSignatureVerificationFailed) return "the signature of the token is wrong";
  return "the token is malformed";
}
