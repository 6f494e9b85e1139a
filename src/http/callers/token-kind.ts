import type { JWTHeaderParameters, JWTPayload } from "jose";

/** Media types of an access token (RFC 9068 §2.1), and those that say no more than that it is a token (RFC 7519 §5.1, RFC 7515 §4.1.9). */
const EXPLICIT: ReadonlySet<string> = new Set(["at+jwt"]);
const GENERIC: ReadonlySet<string> = new Set(["jwt", "jose"]);

/** Claims that only an ID token has: hashes of the other things issued with it (OpenID Connect Core §3.1.3.6, §3.3.2.11). */
const OF_AN_ID_TOKEN = ["at_hash", "c_hash", "s_hash"] as const;

/** How some issuers name the kind in a claim: Amazon Cognito in `token_use`, Keycloak in `typ`. */
const NAMED_KINDS: ReadonlyMap<string, string> = new Map([
  ["id", "an ID token"],
  ["id_token", "an ID token"],
  ["refresh", "a refresh token"],
  ["refresh_token", "a refresh token"],
  ["offline", "a refresh token"],
  ["logout", "a logout token"],
]);
const NAMED_ACCESS: ReadonlySet<string> = new Set(["access", "access_token", "bearer", "dpop"]);

/**
 * The kind of a verified token that is no access token; `undefined` when it may be one. An issuer signs ID tokens, logout tokens, security
 * events and more with the same keys (RFC 8725 §2.8), and none of them says that its bearer may do anything. Explicit typing decides (RFC
 * 8725 §3.11, RFC 9068 §4). Many issuers write `typ: JWT` on everything, or nothing: the claims that their specifications require tell
 * their other tokens.
 * @returns words that a client may read, such as `an ID token`
 */
export function otherKindOf({ typ }: JWTHeaderParameters, claims: JWTPayload): string | undefined {
  if (typ !== undefined) {
    const type = String(typ)
      .toLowerCase()
      .replace(/^application\//, "");
    if (EXPLICIT.has(type)) return undefined;
    if (!GENERIC.has(type)) return `of another type (typ: ${sayable(String(typ))})`;
  }
  // Security event tokens, logout tokens among them (RFC 8417 §2.2, OpenID Connect Back-Channel Logout §2.4).
  if (claims.events !== undefined) return "a logout token or another security event (events)";
  for (const claim of ["token_use", "typ"]) {
    const kind = NAMED_KINDS.get(lower(claims[claim]));
    if (kind !== undefined) return `${kind} (${claim})`;
  }
  const hash = OF_AN_ID_TOKEN.find((claim) => claims[claim] !== undefined);
  if (hash !== undefined) return `an ID token (${hash})`;
  if (saysAccess(claims)) return undefined;
  // Keycloak before 24 has the nonce of the login in access tokens as well, but those have scopes.
  if (claims.nonce !== undefined) return "an ID token (nonce)";
  return isForItsClientAlone(claims) ? "an ID token (azp is its only audience)" : undefined;
}

/** Whether a token has claims of access tokens that ID tokens lack: scopes, or Entra ID's about how the client proved itself. */
function saysAccess(claims: JWTPayload): boolean {
  const { scope, scp, azpacr, appidacr, token_use: use, typ } = claims;
  return (
    [scope, scp, azpacr, appidacr].some((claim) => claim !== undefined) ||
    NAMED_ACCESS.has(lower(use)) ||
    NAMED_ACCESS.has(lower(typ))
  );
}

/** An ID token is for the client that asked for it (OpenID Connect Core §2); `client_id` is a claim of access tokens (RFC 9068 §2.2). */
function isForItsClientAlone({ aud, azp, client_id: client }: JWTPayload): boolean {
  if (typeof azp !== "string" || client !== undefined) return false;
  const audience = Array.isArray(aud) ? aud : [aud];
  return audience.every((each) => each === azp);
}

function lower(claim: unknown): string {
  return typeof claim === "string" ? claim.toLowerCase() : "";
}

/** Makes the client's text fit for a header. */
function sayable(type: string): string {
  return type.replace(/[^\w.+/-]/g, "?").slice(0, 64);
}
