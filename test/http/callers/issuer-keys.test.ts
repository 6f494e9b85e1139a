/** Where an issuer's keys come from, how long they are used, and what becomes of tokens while they are not to be had. */

import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { byToken } from "../../../src/http/callers/jwt.ts";
import { InvalidToken, KeysUnavailable, tokenVerifier } from "../../../src/http/callers/token-verifier.ts";
import { createLog } from "../../../src/log/log.ts";
import { AUDIENCE, type JwksIssuer, json, SUBJECT, startJwksIssuer } from "../../support/jwks-issuer.ts";
import { ModernClient } from "../../support/modern-client.ts";
import * as fc from "../../support/properties.ts";
import { served } from "../served.ts";
import { behindTokens, jwtCallers } from "./behind-tokens.ts";

const RFC_8414 = "/.well-known/oauth-authorization-server";
const OPENID = "/.well-known/openid-configuration";
const MINUTE_MS = 60_000;

describe("the keys are found", () => {
  test.for<[where: string, issuerPath: string, asked: readonly string[]]>([
    [RFC_8414, "", [RFC_8414]],
    [OPENID, "", [RFC_8414, OPENID]],
    [`${RFC_8414}/tenant/1`, "/tenant/1", [`${RFC_8414}/tenant/1`]],
    [`${OPENID}/tenant/1`, "/tenant/1", [`${RFC_8414}/tenant/1`, `${OPENID}/tenant/1`]],
    [`/tenant/1${OPENID}`, "/tenant/1", [`${RFC_8414}/tenant/1`, `${OPENID}/tenant/1`, `/tenant/1${OPENID}`]],
    [
      `/tenant/1${OPENID}`,
      "/tenant/1/",
      [`${RFC_8414}/tenant/1`, `${OPENID}/tenant/1`, `/tenant/1${OPENID}`],
    ],
  ])("at %s by the issuer %s", async ([where, path, asked]) => {
    const issuer = await startJwksIssuer(path);
    const { verify } = verifier(issuer, { isSearching: true });
    issuer.documents.delete(`${RFC_8414}${path}`);
    issuer.documents.set(where, (response) => describeIssuer(response, issuer));
    expect(await verify(await issuer.token())).toMatchObject({ issuer: issuer.issuer, subject: SUBJECT });
    expect(issuer.asked).toEqual([...asked, "/keys"]);
  });

  test("not by the metadata of another issuer, or by those that do not say where they are", async () => {
    const issuer = await startJwksIssuer();
    issuer.documents.set(RFC_8414, (response) =>
      json(response, { issuer: `${issuer.issuer}/`, jwks_uri: "http://127.0.0.1:1/evil" }),
    );
    issuer.documents.set(OPENID, (response) =>
      json(response, { issuer: issuer.issuer, jwks_uri: "file:///x" }),
    );
    const { verify, failures } = verifier(issuer, { isSearching: true });
    await expect(verify(await issuer.token())).rejects.toThrow(KeysUnavailable);
    expect(issuer.asked).toEqual([RFC_8414, OPENID]);
    expect(failures[0]?.cause).toMatchObject({
      message: expect.stringMatching(/another issuer.*not to be had safely \(file:\)/),
    });
  });
});

describe("the keys are not to be had when", () => {
  test.for<[what: string, document: Parameters<JwksIssuer["documents"]["set"]>[1]]>([
    ["there is nothing", (response) => void response.writeHead(404).end()],
    ["the issuer is broken", (response) => void response.writeHead(500).end("{}")],
    ["the connection breaks", (response) => void response.destroy()],
    ["the answer breaks off", (response) => void response.writeHead(200, { "Content-Length": 9 }).destroy()],
    ["they are elsewhere", (response) => void response.writeHead(302, { Location: "/elsewhere" }).end()],
    ["they are no JSON", (response) => void response.end("<html>")],
    ["they are no object", (response) => json(response, [])],
    ["they are no set", (response) => json(response, { keys: {} })],
    ["they are no keys", (response) => json(response, { keys: ["x"] })],
    ["there are too many", (response) => json(response, { keys: [{ kty: "x".repeat(1_100_000) }] })],
    [
      "they are compressed, and could be of any size",
      (response) => void response.writeHead(200, { "Content-Encoding": "gzip" }).end(gzipSync('{"keys":[]}')),
    ],
  ])("%s", async ([, document]) => {
    const issuer = await startJwksIssuer();
    const { verify, failures } = verifier(issuer);
    issuer.documents.set("/elsewhere", (response) => json(response, { keys: issuer.keys }));
    issuer.documents.set("/keys", document);
    await expect(verify(await issuer.token())).rejects.toThrow(KeysUnavailable);
    expect(failures).toHaveLength(1);
    expect(issuer.asked).toEqual(["/keys"]);
  });
});

describe("over time", () => {
  test("the keys are fetched once for all who come at the same time", async () => {
    const issuer = await startJwksIssuer();
    const { verify } = verifier(issuer);
    const tokens = await Promise.all(
      Array.from({ length: 20 }, (_, at) => issuer.token({ sub: `user-${at}` })),
    );
    const subjects = (await Promise.all(tokens.map(verify))).map(({ subject }) => subject);
    expect(subjects).toEqual(tokens.map((_, at) => `user-${at}`));
    expect(issuer.asked).toEqual(["/keys"]);
  });

  test("a new key is fetched when a token names it, and made-up ones are not looked for every time", async () => {
    const issuer = await startJwksIssuer();
    const { verify, clock } = verifier(issuer);
    const old = await issuer.token();
    await verify(old);
    await issuer.rotate();
    const renewed = await issuer.token();
    await expect(verify(renewed)).rejects.toThrow(InvalidToken);
    clock.now += 5_000;
    expect(await verify(renewed)).toMatchObject({ subject: SUBJECT });
    // The old key is not published any more.
    await expect(verify(old)).rejects.toThrow(InvalidToken);
    const unknown = await issuer.token({}, { header: { kid: "made-up" } });
    for (let times = 0; times < 5; times += 1) await expect(verify(unknown)).rejects.toThrow(InvalidToken);
    expect(issuer.asked).toEqual(["/keys", "/keys"]);
  });

  test("a key that was withdrawn is not used for ever", async () => {
    const issuer = await startJwksIssuer();
    const { verify, clock } = verifier(issuer);
    const token = await issuer.token();
    await verify(token);
    await issuer.rotate();
    clock.now += 10 * MINUTE_MS + 1;
    // Nobody waits for the keys while there are some.
    await verify(token);
    await expect.poll(() => verify(token).catch((error: unknown) => error)).toBeInstanceOf(InvalidToken);
  });

  test("keys that are known are used while there are no newer ones", async () => {
    const issuer = await startJwksIssuer();
    const { verify, clock, failures } = verifier(issuer);
    const token = await issuer.token();
    await verify(token);
    issuer.documents.clear();
    clock.now += 30 * MINUTE_MS;
    await verify(token);
    await expect.poll(() => failures.length).toBe(1);
    clock.now += 1_000;
    expect(await verify(token)).toMatchObject({ subject: SUBJECT });
    // Of a key that is not known nothing can be said.
    await issuer.rotate();
    await expect(verify(await issuer.token())).rejects.toThrow(KeysUnavailable);
  });

  test("an issuer that is down is not asked for every token, and is found again when it is back", async () => {
    const issuer = await startJwksIssuer();
    const { verify, clock, failures } = verifier(issuer);
    const token = await issuer.token();
    const keys = issuer.documents.get("/keys") ?? (() => undefined);
    issuer.documents.delete("/keys");
    for (let times = 0; times < 5; times += 1) await expect(verify(token)).rejects.toThrow(KeysUnavailable);
    expect([issuer.asked, failures.length]).toEqual([["/keys"], 1]);
    issuer.documents.set("/keys", keys);
    clock.now += 1_000;
    expect(await verify(token)).toMatchObject({ subject: SUBJECT });
  });
});

test("nothing that is no good token is taken", async () => {
  const issuer = await startJwksIssuer();
  const { verify } = verifier(issuer);
  const good = await issuer.token();
  const piece = fc.oneof(fc.stringMatching(/^[\w.=-]{0,12}$/), fc.constantFrom(".", "..", "e30", "bnVsbA"));
  const change = fc.tuple(fc.nat(good.length), fc.nat(20), piece);
  await fc.assert(
    fc.asyncProperty(change, async ([at, length, text]) => {
      const changed = good.slice(0, at) + text + good.slice(at + length);
      // Padding, and the last bits of the last character, are no part of a signature (RFC 4648 §3.5): that would be the same token.
      fc.pre(!isSame(changed, good));
      await expect(verify(changed)).rejects.toThrow(InvalidToken);
    }),
    { numRuns: 300 },
  );
});

function isSame(one: string, other: string): boolean {
  const [end, otherEnd] = [one.lastIndexOf("."), other.lastIndexOf(".")];
  const signature = (token: string, at: number) => Buffer.from(token.slice(at + 1), "base64url");
  return (
    one.slice(0, end) === other.slice(0, otherEnd) && signature(one, end).equals(signature(other, otherEnd))
  );
}

describe("behind a gateway", () => {
  test("who comes while there are no keys is to come again, and is told nothing of the token", async () => {
    const { issuer, as } = await behindTokens();
    const keys = issuer.documents.get("/keys") ?? (() => undefined);
    issuer.documents.delete("/keys");
    const ada = await as();
    const { status, headers, message } = await ada.send("tools/list");
    expect([status, headers["retry-after"], headers["www-authenticate"]]).toEqual([503, "1", undefined]);
    expect(message.error).toEqual({
      code: -32603,
      message: "The keys that tokens are verified with are not available; try again",
      data: { retryable: true, retryAfterMs: 1_000 },
    });
    issuer.documents.set("/keys", keys);
    await expect.poll(async () => (await ada.send("tools/list")).status, { timeout: 60_000 }).toBe(200);
  });

  test("a token that was verified is remembered, but not beyond its end", async () => {
    const issuer = await startJwksIssuer();
    const clock = { now: Date.now() };
    const { identify: _, ...callers } = jwtCallers(issuer);
    const identify = byToken({
      ...callers,
      clockToleranceMs: 0,
      publicUrl: undefined,
      log: createLog("silent"),
      clock: () => clock.now,
    });
    const { url } = await served({ identify });
    const exp = Math.floor(clock.now / 1_000) + 240;
    const ada = new ModernClient(url, {
      headers: { authorization: `Bearer ${await issuer.token({ exp })}` },
    });
    expect((await ada.send("tools/list")).status).toBe(200);
    await issuer.rotate();
    clock.now = (exp - 1) * 1_000;
    expect((await ada.send("tools/list")).status).toBe(200);
    clock.now = exp * 1_000;
    expect((await ada.send("tools/list")).status).toBe(401);
    expect(issuer.asked).toEqual(["/keys"]);
  });
});

function verifier(
  { issuer, jwks }: JwksIssuer,
  { isSearching = false }: { readonly isSearching?: boolean } = {},
) {
  const clock = { now: Date.now() };
  const failures: Error[] = [];
  const verify = tokenVerifier({
    issuer,
    audience: [AUDIENCE],
    clockToleranceMs: 30_000,
    clock: () => clock.now,
    onFailure: (error) => failures.push(error),
    ...(isSearching ? {} : { jwks }),
  });
  return { verify, clock, failures };
}

function describeIssuer(response: Parameters<typeof json>[0], { issuer, jwks }: JwksIssuer): void {
  json(response, { issuer, jwks_uri: jwks.href });
}
