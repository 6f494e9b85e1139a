/** A scripted server behind a gateway that takes the tokens of one issuer. */

import type { JwtCallersConfig } from "../../../src/config/config.ts";
import type { Answered } from "../../gateway/transparent/clients.ts";
import {
  AUDIENCE,
  type Claims,
  type JwksIssuer,
  type Signing,
  startJwksIssuer,
} from "../../support/jwks-issuer.ts";
import { ModernClient } from "../../support/modern-client.ts";
import { type Served, served } from "../served.ts";

export interface BehindTokens extends Served {
  readonly issuer: JwksIssuer;
  /** What stands in `Authorization` for somebody with these claims. */
  bearer(claims?: Claims, signing?: Signing): Promise<string>;
  as(claims?: Claims): Promise<ModernClient>;
}

export interface BehindTokensOptions extends Partial<Pick<JwtCallersConfig, "scopes">> {
  readonly settings?: Parameters<typeof served>[0];
}

/** Calls never end, and become tasks at once, unless the settings say otherwise. */
export async function behindTokens({
  scopes = [],
  settings = {},
}: BehindTokensOptions = {}): Promise<BehindTokens> {
  const issuer = await startJwksIssuer();
  const gateway = await served({
    policy: { mode: "always" },
    scripts: { "tools/call": () => undefined },
    callers: { ...jwtCallers(issuer), scopes },
    ...settings,
  });
  const bearer = async (claims?: Claims, signing?: Signing) =>
    `Bearer ${await issuer.token(claims, signing)}`;
  const as = async (claims?: Claims) =>
    new ModernClient(gateway.url, { headers: { authorization: await bearer(claims) } });
  return { ...gateway, issuer, bearer, as };
}

export function jwtCallers({ issuer, jwks }: Pick<JwksIssuer, "issuer" | "jwks">): JwtCallersConfig {
  return { identify: "jwt", issuer, jwks, audience: [AUDIENCE], scopes: [], clockToleranceMs: 30_000 };
}

/** The parameters of a challenge; none where there is no challenge. */
export function challengeOf({ headers }: Pick<Answered, "headers">): Readonly<Record<string, string>> {
  const params = (headers["www-authenticate"] ?? "").matchAll(/([a-z_]+)="([^"]*)"/g);
  return Object.fromEntries([...params].map(([, name, value]) => [name, value]));
}
