import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Logger } from "pino";
import type { JwtCallersConfig } from "../../config/config.ts";
import { Recent } from "../../lib/recent.ts";
import { throttled } from "../../log/throttled.ts";
import { type RpcError, rpc } from "../../protocol/errors.ts";
import type { Caller, Route } from "../../requests/request.ts";
import { subjectKey } from "./bearer-token.ts";
import { bearerChallenge, type Challenge } from "./challenge.ts";
import { forwardedHeaders, type Identify } from "./identify.ts";
import { resourceAddress } from "./protected-resource.ts";
import { trustedProxies } from "./trusted-proxies.ts";

export interface ByTokenOptions extends Omit<JwtCallersConfig, "identify"> {
  /** The origin by which clients know the gateway, if it is not the one to which they send requests. */
  readonly publicUrl: string | undefined;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly clock?: () => number;
}

/** How long to believe a verified token. A key that the issuer has withdrawn counts for that much longer. */
const BELIEVED_MS = 300_000;
const MAX_KNOWN = 10_000;

interface Known {
  readonly key: string;
  readonly until: number;
}

/**
 * Callers are the subjects of tokens that the gateway verifies itself (RFC 6750, RFC 9068). A token is for the gateway: no server gets it,
 * unless `forwardHeaders` says so, since a gateway that passes tokens on makes servers take tokens that were not issued for them
 * (2026-07-28, Authorization §Access Token Privilege Restriction).
 */
export function byToken({
  clock = () => Date.now(),
  publicUrl,
  trustedProxies: trusted = [],
  log,
  scopes,
  ...options
}: ByTokenOptions): Identify {
  const onFailure = (error: Error) =>
    throttled(log).say("warn", { err: error }, "the keys of the token issuer are not to be had");
  // Imported here, so that a gateway that does not need it does not wait for it at the start.
  const verifying = import("./token-verifier.ts").then((verifier) => ({
    ...verifier,
    verify: verifier.tokenVerifier({ ...options, clock, onFailure }),
  }));
  // By digest, so that memory holds no token that is still good.
  const known = new Recent<string, Known>(MAX_KNOWN);

  const own = { publicUrl, isTrusted: trustedProxies(trusted) };

  const check = async (token: string, digest: string, refuse: Refuse): Promise<string> => {
    const { verify, InvalidToken, KeysUnavailable } = await verifying;
    try {
      const { issuer, subject, scopes: granted, expiresAt } = await verify(token);
      const missing = scopes.filter((scope) => !granted.includes(scope));
      if (missing.length > 0)
        throw refuse(403, {
          error: "insufficient_scope",
          description: `the token lacks ${missing.join(" ")}`,
        });
      const key = subjectKey(issuer, subject);
      known.set(digest, { key, until: Math.min(expiresAt, clock() + BELIEVED_MS) });
      return key;
    } catch (error) {
      if (error instanceof InvalidToken)
        throw refuse(401, { error: "invalid_token", description: error.message });
      throw error instanceof KeysUnavailable ? rpc.keysUnavailable() : error;
    }
  };

  return (request, route) => {
    const refuse: Refuse = (status, challenge) => {
      const { metadata } = resourceAddress(request, pathOf(request, route), own) ?? {};
      const value = bearerChallenge({ ...challenge, resourceMetadata: metadata, scopes });
      return rpc.challenged(status, challenge.description ?? "a token is required", value);
    };
    const token = tokenOf(request, refuse);
    const digest = createHash("sha256").update(token).digest("base64url");
    const found = known.get(digest);
    if (found !== undefined && clock() < found.until)
      return { ...callerOf(found.key, request, route), isIdentified: true };
    return check(token, digest, refuse).then((key) => ({
      ...callerOf(key, request, route),
      isIdentified: true,
    }));
  };
}

type Refuse = (status: 400 | 401 | 403, challenge: Pick<Challenge, "error" | "description">) => RpcError;

const BEARER = /^bearer(?: +|$)/i;
const TOKEN = /^[\w.~+/-]+=*$/;

/**
 * The token in the header, which is the only place where one counts: urls are written down everywhere (RFC 6750 §5.3).
 * @throws RpcError, without an error code when the client did not know that it needs a token (RFC 6750 §3.1)
 */
function tokenOf({ headers: { authorization } }: IncomingMessage, refuse: Refuse): string {
  if (authorization === undefined || !BEARER.test(authorization)) throw refuse(401, {});
  const token = authorization.replace(BEARER, "");
  if (!TOKEN.test(token))
    throw refuse(400, {
      error: "invalid_request",
      description: "Authorization has to be Bearer and a token",
    });
  return token;
}

function callerOf(key: string, request: IncomingMessage, route: Route): Caller {
  const forwarded: readonly string[] = route.config.upstream.forwardHeaders;
  const headers = forwardedHeaders(request, forwarded);
  return forwarded.includes("authorization") ? { key, headers } : { key, headers, withheld: WITHHELD };
}

const WITHHELD = ["authorization"];

/** The path by which the client knows the route, which may have several; the server's other paths are below each. */
function pathOf({ url = "" }: IncomingMessage, { config }: Route): string {
  const [asked = ""] = url.split("?", 1);
  const isIn = (path: string) => asked === path || asked.startsWith(`${path}/`);
  return config.aliases.find(isIn) ?? config.path;
}
