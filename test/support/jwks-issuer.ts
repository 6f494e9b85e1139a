/** An issuer of tokens whose keys are to be had over HTTP, as long as it is up. */

import type { ServerResponse } from "node:http";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from "jose";
import { startOrigin } from "../gateway/transparent/origins.ts";

export interface JwksIssuer {
  /** As tokens name it. */
  readonly issuer: string;
  readonly jwks: URL;
  /** The paths that were asked for, in order. */
  readonly asked: readonly string[];
  /** What it has, by path; what it has not is 404. */
  readonly documents: Map<string, (response: ServerResponse) => void>;
  /** What it publishes. */
  keys: JWK[];
  /** A token for Ada and this audience that is good for an hour, but for what the claims change; `undefined` leaves one out. */
  token(claims?: Claims, signing?: Signing): Promise<string>;
  /** Signs with a new key from now on, which is published in place of the old one. */
  rotate(): Promise<void>;
}

/** Of any kind, and not only of those that there should be. */
export type Claims = Readonly<Record<string, unknown>>;

export interface Signing {
  readonly header?: Readonly<Record<string, unknown>>;
  readonly key?: CryptoKey | Uint8Array;
}

export const AUDIENCE = "https://tools.example/mcp";
export const SUBJECT = "ada";
const METADATA = "/.well-known/oauth-authorization-server";
const KEYS = "/keys";

/** @param path behind the origin, as some issuers have one */
export async function startJwksIssuer(path = ""): Promise<JwksIssuer> {
  const documents: JwksIssuer["documents"] = new Map();
  const origin = await startOrigin(({ url }, response) => {
    const document = documents.get(url);
    if (document === undefined) response.writeHead(404).end();
    else document(response);
  });
  const issuer = `${origin.url.origin}${path}`;
  const jwks = new URL(KEYS, origin.url);
  let lastKid = 0;
  const newKey = async () => {
    lastKid += 1;
    const kid = `key-${lastKid}`;
    const { privateKey, publicKey } = await generateKeyPair("ES256");
    return { kid, privateKey, published: { ...(await exportJWK(publicKey)), kid, use: "sig" } };
  };
  let signing = await newKey();
  const made: JwksIssuer = {
    issuer,
    jwks,
    documents,
    get asked() {
      return origin.received.map(({ url }) => url);
    },
    keys: [signing.published],
    token: (claims = {}, { header = {}, key = signing.privateKey } = {}) => {
      const now = Math.floor(Date.now() / 1_000);
      const said: JWTPayload = {
        iss: issuer,
        sub: SUBJECT,
        aud: AUDIENCE,
        iat: now,
        exp: now + 3_600,
        ...claims,
      };
      return new SignJWT(said).setProtectedHeader({ alg: "ES256", kid: signing.kid, ...header }).sign(key);
    },
    rotate: async () => {
      signing = await newKey();
      made.keys = [signing.published];
    },
  };
  documents.set(KEYS, (response) => json(response, { keys: made.keys }));
  documents.set(`${METADATA}${path}`, (response) => json(response, { issuer, jwks_uri: jwks.href }));
  return made;
}

export function json(response: ServerResponse, document: unknown): void {
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(document));
}
