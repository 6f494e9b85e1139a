/** Callers who have tokens that the gateway verifies: which it takes, and what it says to the others. */

import { generateKeyPairSync } from "node:crypto";
import { UnsecuredJWT } from "jose";
import { describe, expect, test } from "vitest";
import { ask, open } from "../../gateway/transparent/clients.ts";
import { AUDIENCE, type Claims, type Signing, startJwksIssuer } from "../../support/jwks-issuer.ts";
import { LegacyWire } from "../../support/legacy-wire.ts";
import { ModernClient } from "../../support/modern-client.ts";
import { LIST_HEADERS, messageText, served } from "../served.ts";
import { behindTokens, challengeOf, jwtCallers } from "./behind-tokens.ts";

const UNKNOWN = { code: -32602, message: "Failed to retrieve task: no such task" };
const HOUR = 3_600;
const now = () => Math.floor(Date.now() / 1_000);

test("a task is its subject's, whatever token it comes with", async () => {
  const { issuer, as } = await behindTokens();
  const { taskId } = await (await as({ sub: "ada" })).callTool("t");

  const later = await as({ sub: "ada", jti: "another", iat: now() - 1, scope: "more" });
  expect(await later.task(taskId)).toMatchObject({ taskId, status: "working" });
  const eve = await as({ sub: "eve" });
  const foreign = await eve.send("tasks/get", { taskId }, { id: 1 });
  const unknown = await eve.send("tasks/get", { taskId: "A".repeat(24) }, { id: 1 });
  expect(foreign.message.error).toEqual(UNKNOWN);
  expect([foreign.status, foreign.text]).toEqual([unknown.status, unknown.text]);
  expect(issuer.asked).toEqual(["/keys"]);
});

test("callers of 2025-11-25 list their own tasks", async () => {
  const { url, bearer } = await behindTokens();
  const headers = async (sub: string) => ({ headers: { authorization: await bearer({ sub }) } });
  const ada = await LegacyWire.connect(url, await headers("ada"));
  const eve = await LegacyWire.connect(url, await headers("eve"));
  const { taskId } = await ada.begin("t");
  expect((await ada.result("tasks/list")).tasks).toMatchObject([{ taskId }]);
  expect((await eve.result("tasks/list")).tasks).toEqual([]);
  expect(await eve.error("tasks/get", { taskId })).toEqual(UNKNOWN);
});

describe("of all tokens", () => {
  test.for<[what: string, claims: Claims, signing?: Signing]>([
    ["is as it should be", {}],
    ["is for others as well", { aud: ["https://others.example", AUDIENCE] }],
    ["has a header of its own", {}, { header: { typ: "at+jwt" } }],
    ["has expired, but not for a slower clock", { exp: now() - 5 }],
    ["is not valid yet, but is for a faster clock", { nbf: now() + 5 }],
    ["has claims of any kind", { client_id: "x", scope: "", nested: { a: [1] }, sub: "x".repeat(2_000) }],
  ])("a token that %s is taken", async ([, claims, signing]) => {
    const { url, bearer } = await behindTokens();
    const authorization = await bearer(claims, signing);
    const { status } = await new ModernClient(url, { headers: { authorization } }).send("tools/list");
    expect(status).toBe(200);
  });

  test.for<[what: string, claims: Claims, description: string, signing?: Signing]>([
    ["has expired", { exp: now() - 60 }, "the token has expired"],
    ["is not valid yet", { nbf: now() + 60 }, "the claim nbf of the token is not accepted here"],
    ["is for others", { aud: "https://others.example" }, "the claim aud of the token is not accepted here"],
    ["is for nobody", { aud: [] }, "the claim aud of the token is not accepted here"],
    ["does not say for whom it is", { aud: undefined }, "the claim aud of the token is missing"],
    [
      "is somebody else's",
      { iss: "https://evil.example" },
      "the claim iss of the token is not accepted here",
    ],
    ["does not say whose it is", { iss: undefined }, "the claim iss of the token is missing"],
    ["has no subject", { sub: undefined }, "the claim sub of the token is missing"],
    ["has an empty subject", { sub: "" }, "the token names no subject (sub)"],
    ["has a subject that is no name", { sub: 7 }, "the token names no subject (sub)"],
    ["has no end", { exp: undefined }, "the claim exp of the token is missing"],
    [
      "ends a session",
      { events: { "http://schemas.openid.net/event/backchannel-logout": {} } },
      "the token is no access token, but of another type (typ: logout+jwt)",
      { header: { typ: "logout+jwt" } },
    ],
    [
      "says who has logged in",
      { nonce: "n" },
      "the token is no access token, but an ID token (nonce)",
      { header: { typ: "JWT" } },
    ],
    ["has an end that is no time", { exp: "soon" }, "the claim exp of the token is not accepted here"],
    [
      "names a key that nobody has",
      {},
      "the token is signed with no key of the issuer's",
      { header: { kid: "?" } },
    ],
    [
      "is signed with a secret",
      {},
      "the token is signed with an algorithm that is not accepted",
      { header: { alg: "HS256" }, key: Buffer.alloc(32, 7) },
    ],
  ])("a token that %s is refused", async ([, claims, description, signing]) => {
    const { url, bearer } = await behindTokens();
    const answer = await ask(url, posted(await bearer(claims, signing)));
    expect([answer.status, JSON.parse(answer.body.toString())]).toEqual([
      401,
      { jsonrpc: "2.0", id: null, error: { code: -32600, message: `Unauthorized: ${description}` } },
    ]);
    expect(challengeOf(answer)).toEqual({
      error: "invalid_token",
      error_description: description,
      resource_metadata: `${url.origin}/.well-known/oauth-protected-resource/mcp`,
    });
  });

  test("a token without a signature, or with another's, is refused", async () => {
    const { url, issuer, bearer } = await behindTokens();
    const claims = { iss: issuer.issuer, sub: "ada", aud: AUDIENCE, exp: now() + HOUR };
    const demanding = Buffer.from('{"alg":"ES256","kid":"key-1","crit":["x"],"x":1}').toString("base64url");
    const bare = `Bearer ${new UnsecuredJWT(claims).encode()}`;
    const [head, payload] = (await bearer({ sub: "ada" })).split(".");
    const [, , signature] = (await bearer({ sub: "eve" })).split(".");
    const statuses = [
      bare,
      bare.slice(0, -1),
      `${head}.${payload}.${signature}`,
      `${head}.${payload}`,
      `Bearer ${demanding}.${payload}.${signature}`,
    ].map(async (authorization) => {
      const answer = await ask(url, posted(authorization));
      return [answer.status, challengeOf(answer).error];
    });
    expect(await Promise.all(statuses)).toEqual(Array(5).fill([401, "invalid_token"]));
  });

  test.for<[what: string, authorization: string | undefined]>([
    ["no credential", undefined],
    ["an empty one", ""],
    ["one of another scheme", "Basic YWRhOnBhc3N3b3Jk"],
    ["a scheme that is longer", "Bearerer abc"],
    ["a token and no scheme", "abc.def.ghi"],
  ])("%s is asked for a token, and is not told that something was wrong", async ([, authorization]) => {
    const { url } = await behindTokens();
    const answer = await ask(url, posted(authorization));
    expect(answer.status).toBe(401);
    expect(answer.headers["www-authenticate"]).toBe(
      `Bearer resource_metadata="${url.origin}/.well-known/oauth-protected-resource/mcp"`,
    );
    expect(JSON.parse(answer.body.toString()).error.message).toBe("Unauthorized: a token is required");
  });

  test.for(["Bearer", "Bearer a b", "bearer  a,b", 'Bearer token="x"', "Bearer a=b"])(
    "%s is no request with a token",
    async (authorization) => {
      const { url } = await behindTokens();
      const answer = await ask(url, posted(authorization));
      expect([answer.status, challengeOf(answer).error]).toEqual([400, "invalid_request"]);
    },
  );

  test.for(["bearer", "BEARER", "Bearer  "])("the scheme may be written %s", async (scheme) => {
    const { url, bearer } = await behindTokens();
    const authorization = (await bearer()).replace("Bearer", scheme);
    expect((await ask(url, posted(authorization))).status).toBe(200);
  });

  test("two credentials are refused, be they the same", async () => {
    const { url, bearer } = await behindTokens();
    const line = `authorization: ${await bearer()}\r\n`;
    const body = messageText();
    const head = Object.entries({ ...LIST_HEADERS, "content-length": body.length, connection: "close" });
    const lines = head.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const connection = open(url, `POST /mcp HTTP/1.1\r\n${lines}${line}${line}\r\n${body}`);
    await connection.closed();
    expect(connection.received).toMatch(/^HTTP\/1\.1 400 /);
  });

  test("a token in the url is none", async () => {
    const { url, bearer } = await behindTokens();
    const [, token] = (await bearer()).split(" ");
    const asked = { ...posted(undefined), path: `/mcp?access_token=${token}` };
    const answer = await ask(url, asked);
    expect([answer.status, challengeOf(answer).error]).toEqual([401, undefined]);
  });
});

describe("scopes", () => {
  test.for<[claims: Claims, missing: string | undefined]>([
    [{ scope: "tools:call tools:read" }, undefined],
    [{ scope: "other tools:read tools:call" }, undefined],
    [{ scp: ["tools:call", "tools:read"] }, undefined],
    [{ scp: "tools:call tools:read" }, undefined],
    [{ scope: "tools:call", scp: ["tools:read"] }, undefined],
    [{ scope: "tools:call" }, "tools:read"],
    [{}, "tools:call tools:read"],
    [{ scope: "tools:callx tools:read" }, "tools:call"],
    [{ scope: ["tools:call"], scp: [["tools:read"]] }, "tools:read"],
    [{ scope: { "tools:call": true }, scp: 7 }, "tools:call tools:read"],
  ])("of %j: %s is missing", async ([claims, missing]) => {
    const { url, bearer } = await behindTokens({ scopes: ["tools:call", "tools:read"] });
    const answer = await ask(url, posted(await bearer(claims)));
    const told = {
      error: "insufficient_scope",
      error_description: `the token lacks ${missing}`,
      resource_metadata: `${url.origin}/.well-known/oauth-protected-resource/mcp`,
      scope: "tools:call tools:read",
    };
    expect([answer.status, challengeOf(answer)]).toEqual(missing === undefined ? [200, {}] : [403, told]);
  });

  test("are asked for where there is no token", async () => {
    const { url } = await behindTokens({ scopes: ["tools:call"] });
    expect(challengeOf(await ask(url, posted(undefined)))).toMatchObject({ scope: "tools:call" });
  });
});

describe("every request needs a token", () => {
  test.for<[method: string, path: string]>([
    ["GET", "/mcp"],
    ["HEAD", "/mcp"],
    ["DELETE", "/mcp"],
    ["OPTIONS", "/mcp"],
    ["POST", "/tested/mcp"],
    ["POST", "/mcp/messages?sessionId=1"],
    ["GET", "/page"],
    ["GET", "/.well-known/oauth-authorization-server"],
  ])("%s %s", async ([method, path]) => {
    const { url, server } = await behindTokens();
    const before = server.received.length;
    const answer = await ask(url, { method, path });
    expect(answer.status).toBe(401);
    const at = path.startsWith("/mcp") ? "/mcp" : "/tested/mcp";
    expect(challengeOf(answer)).toEqual({
      resource_metadata: `${url.origin}/.well-known/oauth-protected-resource${at}`,
    });
    expect(server.received.slice(before)).toEqual([]);
  });

  test("but the question of a browser, which is answered so that it can read the challenge", async () => {
    const origin = "https://app.example";
    const { url } = await behindTokens({ settings: { listen: { allowedOrigins: [origin] } } });
    const asking = { origin, "access-control-request-method": "POST" };
    const headers = { ...asking, "access-control-request-headers": "authorization,content-type" };
    const preflight = await ask(url, { method: "OPTIONS", path: "/mcp", headers });
    expect([preflight.status, preflight.headers["access-control-allow-headers"]]).toEqual([
      204,
      "authorization,content-type",
    ]);
    const { status, headers: said } = await ask(url, { ...posted(undefined), headers: { origin } });
    expect([status, said["access-control-allow-origin"]]).toEqual([401, origin]);
    expect(said["access-control-expose-headers"]).toContain("WWW-Authenticate");
    const withBody = { ...asking, "content-length": "2" };
    expect((await ask(url, { method: "OPTIONS", path: "/mcp", headers: withBody, body: "{}" })).status).toBe(
      401,
    );
  });
});

test("a key that is too short to be one is the issuer's fault, and not the token's", async () => {
  const { url, issuer, bearer } = await behindTokens();
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 1_024 });
  issuer.keys = [{ ...publicKey.export({ format: "jwk" }), kty: "RSA", kid: "short" }];
  const token = await bearer();
  const [, payload] = token.split(".");
  const head = Buffer.from('{"alg":"RS256","kid":"short"}').toString("base64url");
  const answer = await ask(url, posted(`Bearer ${head}.${payload}.${"A".repeat(171)}`));
  expect([answer.status, answer.headers["retry-after"]]).toEqual([503, "1"]);
});

test("an issuer whose name is no url needs to be told where its keys are", async () => {
  const issuer = await startJwksIssuer();
  const { url } = await served({ callers: { ...jwtCallers(issuer), issuer: "our-issuer" } });
  const authorization = `Bearer ${await issuer.token({ iss: "our-issuer" })}`;
  expect((await ask(url, posted(authorization))).status).toBe(200);
});

function posted(authorization: string | undefined) {
  const { host: _, ...usual } = LIST_HEADERS;
  const headers = { ...usual, ...(authorization === undefined ? {} : { authorization }) };
  return { method: "POST", path: "/mcp", headers, body: messageText() };
}
