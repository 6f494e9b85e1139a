/** A login in front of a server that has none, and tokens for it. */

import { once } from "node:events";
import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { type CryptoKey, createLocalJWKSet, jwtVerify } from "jose";
import { onTestFinished } from "vitest";
import { AUDIENCE, startJwksIssuer } from "./jwks-issuer.ts";

export interface Doorkeeper {
  readonly url: URL;
  /** What everybody who came had with them, in turn, and whether that was good enough. */
  readonly visits: readonly { readonly authorization: string | undefined; readonly isIn: boolean }[];
}

export const CHALLENGE = 'Bearer resource_metadata="https://login.example/r", error="invalid_token"';

/** Whether somebody is taken; with another status than 401, if that is how they are refused. */
export type Taken = boolean | number;

/**
 * Lets in whom `takes` takes, and refuses others with a challenge. Closed when the test ends.
 * @param issuer whose tokens it says that it takes, in protected resource metadata that anybody may read; absent: it says nothing
 */
export async function startDoorkeeper(
  behind: URL,
  takes: (authorization: string | undefined) => Taken | Promise<Taken>,
  issuer?: string,
): Promise<Doorkeeper> {
  const visits: Doorkeeper["visits"][number][] = [];
  const metadataPath = `/.well-known/oauth-protected-resource${behind.pathname}`;
  const server = createServer(async (request, response) => {
    if (issuer !== undefined && request.url === metadataPath) {
      response.writeHead(200, { "Content-Type": "application/json" });
      response.end(JSON.stringify({ resource: AUDIENCE, authorization_servers: [issuer] }));
      return;
    }
    const { authorization } = request.headers;
    const taken = await takes(authorization);
    const isIn = taken === true;
    visits.push({ authorization, isIn });
    if (!isIn) {
      request.resume();
      const status = taken === false ? 401 : taken;
      response.writeHead(status, { "WWW-Authenticate": CHALLENGE, "Content-Type": "application/json" });
      response.end('{"error":"invalid_token"}');
      return;
    }
    const { method = "", url = "", headers } = request;
    const inner = httpRequest(new URL(url, behind), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
    });
    inner.on("error", () => response.destroy());
    response.on("close", () => inner.destroy());
    request.pipe(inner);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: new URL(behind.pathname, `http://127.0.0.1:${port}`), visits };
}

/** An issuer of tokens. `sign` gives an `Authorization` header; `verifies` says whether one is good. */
export async function startIssuer() {
  const jwks = await startJwksIssuer();
  const { issuer } = jwks;
  const sign = async (sub: string, claims: Readonly<Record<string, unknown>> = {}, key?: CryptoKey) => {
    const signing = key === undefined ? {} : { key };
    return `Bearer ${await jwks.token({ sub, jti: Math.random().toString(36), ...claims }, signing)}`;
  };
  const verifies = (authorization = "") =>
    jwtVerify(authorization.replace(/^Bearer /, ""), createLocalJWKSet({ keys: jwks.keys }), { issuer }).then(
      () => true,
      () => false,
    );
  return { issuer, sign, verifies, jwks };
}
