/** An authorization server of the v1 SDK's making, whose tokens are signed, and in front of which a test is the browser. */

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { DemoInMemoryClientsStore } from "@modelcontextprotocol/sdk/examples/server/demoInMemoryOAuthProvider.js";
import { InvalidGrantError, InvalidTokenError } from "@modelcontextprotocol/sdk/server/auth/errors.js";
import type {
  AuthorizationParams,
  OAuthServerProvider,
} from "@modelcontextprotocol/sdk/server/auth/provider.js";
import { createOAuthMetadata, mcpAuthRouter } from "@modelcontextprotocol/sdk/server/auth/router.js";
import type { AuthInfo } from "@modelcontextprotocol/sdk/server/auth/types.js";
import type {
  OAuthClientInformationFull,
  OAuthMetadata,
  OAuthTokens,
} from "@modelcontextprotocol/sdk/shared/auth.js";
import express, { type Response } from "express";
import { exportJWK, generateKeyPair, jwtVerify, SignJWT } from "jose";
import { listening } from "./listening.ts";

export const SCOPE = "tools";

export interface AuthorizationServer {
  /** Exactly as tokens name it. */
  readonly issuer: string;
  readonly metadata: OAuthMetadata;
  readonly provider: Pick<OAuthServerProvider, "verifyAccessToken">;
  /** By what tokens were had, and by whom, in order. */
  readonly grants: readonly string[];
}

/** Lets in whoever has a cookie that says so. Closed when the test ends. */
export async function startAuthorizationServer({
  lifetimeSeconds,
}: {
  /** Of access tokens; others are good for ever. */
  readonly lifetimeSeconds: number;
}): Promise<AuthorizationServer> {
  const app = express();
  const url = await listening(createServer(app));
  const provider = await Provider.create(url.href, lifetimeSeconds);
  app.use(mcpAuthRouter({ provider, issuerUrl: url, scopesSupported: [SCOPE] }));
  // The SDK's metadata do not say where the keys are, and so those of OpenID Connect have to.
  app.get("/.well-known/openid-configuration", (_, response) => {
    response.json({ issuer: url.href, jwks_uri: new URL("/jwks", url).href });
  });
  app.get("/jwks", (_, response) => void response.json({ keys: [provider.key] }));
  return Object.assign(provider, {
    provider,
    issuer: url.href,
    metadata: createOAuthMetadata({ provider, issuerUrl: url, scopesSupported: [SCOPE] }),
  });
}

interface Grant {
  readonly user: string;
  readonly params: Pick<AuthorizationParams, "codeChallenge" | "resource" | "scopes">;
}

type Keys = Awaited<ReturnType<typeof generateKeyPair>>;

class Provider implements OAuthServerProvider {
  readonly clientsStore = new DemoInMemoryClientsStore();
  readonly grants: string[] = [];
  readonly key: object;
  readonly #issuer: string;
  readonly #lifetimeSeconds: number;
  readonly #keys: Keys;
  readonly #codes = new Map<string, Grant>();
  readonly #refreshTokens = new Map<string, Grant>();

  static async create(issuer: string, lifetimeSeconds: number): Promise<Provider> {
    const keys = await generateKeyPair("ES256");
    const key = { ...(await exportJWK(keys.publicKey)), kid: "one", alg: "ES256" };
    return new Provider(issuer, lifetimeSeconds, keys, key);
  }

  private constructor(issuer: string, lifetimeSeconds: number, keys: Keys, key: object) {
    this.#issuer = issuer;
    this.#lifetimeSeconds = lifetimeSeconds;
    this.#keys = keys;
    this.key = key;
  }

  async authorize(
    _: OAuthClientInformationFull,
    params: AuthorizationParams,
    response: Response,
  ): Promise<void> {
    const [, user = "nobody"] = /user=(\w+)/.exec(response.req.headers.cookie ?? "") ?? [];
    const code = randomUUID();
    this.#codes.set(code, { user, params });
    const target = new URL(params.redirectUri);
    target.searchParams.set("code", code);
    if (params.state !== undefined) target.searchParams.set("state", params.state);
    response.redirect(target.href);
  }

  async challengeForAuthorizationCode(_: OAuthClientInformationFull, code: string): Promise<string> {
    return found(this.#codes, code).params.codeChallenge;
  }

  async exchangeAuthorizationCode(
    { client_id }: OAuthClientInformationFull,
    code: string,
  ): Promise<OAuthTokens> {
    const grant = found(this.#codes, code);
    this.#codes.delete(code);
    this.grants.push(`authorization_code ${grant.user}`);
    return this.#issue(client_id, grant);
  }

  async exchangeRefreshToken({ client_id }: OAuthClientInformationFull, token: string): Promise<OAuthTokens> {
    const grant = found(this.#refreshTokens, token);
    this.#refreshTokens.delete(token);
    this.grants.push(`refresh_token ${grant.user}`);
    return this.#issue(client_id, grant);
  }

  async verifyAccessToken(token: string): Promise<AuthInfo> {
    const verified = await jwtVerify(token, this.#keys.publicKey, { issuer: this.#issuer }).catch(
      () => undefined,
    );
    const { sub, aud, scope, client_id, exp } = verified?.payload ?? {};
    if (verified === undefined) throw new InvalidTokenError("the token is not good");
    return {
      token,
      clientId: String(client_id),
      scopes: String(scope).split(" "),
      expiresAt: Number(exp),
      resource: new URL(String(aud)),
      extra: { user: sub },
    };
  }

  async #issue(client_id: string, grant: Grant): Promise<OAuthTokens> {
    const { user, params } = grant;
    const refreshToken = randomUUID();
    const scope = (params.scopes ?? []).join(" ");
    const now = Math.floor(Date.now() / 1_000);
    this.#refreshTokens.set(refreshToken, grant);
    const token = await new SignJWT({ jti: randomUUID(), scope, client_id, sub: user, iss: this.#issuer })
      .setProtectedHeader({ alg: "ES256", kid: "one", typ: "at+jwt" })
      .setAudience(params.resource?.href ?? "")
      .setExpirationTime(now + this.#lifetimeSeconds)
      .sign(this.#keys.privateKey);
    return {
      access_token: token,
      token_type: "Bearer",
      expires_in: this.#lifetimeSeconds,
      refresh_token: refreshToken,
      scope,
    };
  }
}

function found(grants: ReadonlyMap<string, Grant>, name: string): Grant {
  const grant = grants.get(name);
  if (grant === undefined) throw new InvalidGrantError("no such grant");
  return grant;
}
