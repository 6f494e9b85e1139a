/** A login in front of a server that has none, and tokens for it. */

import { once } from "node:events";
import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";
import { type CryptoKey, generateKeyPair, jwtVerify, SignJWT } from "jose";
import { onTestFinished } from "vitest";

export interface Doorkeeper {
  readonly url: URL;
  /** What everybody who came had with them, in turn, and whether that was good enough. */
  readonly visits: readonly { readonly authorization: string | undefined; readonly isIn: boolean }[];
}

export const CHALLENGE = 'Bearer resource_metadata="https://login.example/r", error="invalid_token"';

/** Whether somebody is taken; with another status than 401, if that is how they are refused. */
export type Taken = boolean | number;

/** Lets in whom `takes` takes, and refuses others with a challenge. Closed when the test ends. */
export async function startDoorkeeper(
  behind: URL,
  takes: (authorization: string | undefined) => Taken | Promise<Taken>,
): Promise<Doorkeeper> {
  const visits: Doorkeeper["visits"][number][] = [];
  const server = createServer(async (request, response) => {
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

export const ISSUER = "https://login.example";

/** An issuer of tokens. `sign` gives an `Authorization` header; `verifies` says whether one is good. */
export async function startIssuer() {
  const { privateKey, publicKey } = await generateKeyPair("ES256");
  const sign = (sub: string, claims: Readonly<Record<string, unknown>> = {}, key: CryptoKey = privateKey) =>
    new SignJWT({ jti: Math.random().toString(36), ...claims })
      .setProtectedHeader({ alg: "ES256", kid: "one" })
      .setIssuer(ISSUER)
      .setSubject(sub)
      .setExpirationTime("1h")
      .sign(key)
      .then((token) => `Bearer ${token}`);
  const verifies = (authorization = "") =>
    jwtVerify(authorization.replace(/^Bearer /, ""), publicKey, { issuer: ISSUER }).then(
      () => true,
      () => false,
    );
  return { sign, verifies, publicKey, privateKey };
}
