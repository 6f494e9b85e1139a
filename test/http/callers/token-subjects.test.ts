/** Of whom a token is, over time: while issuers and servers are away, and after they have changed what they say. */

import { expect, test } from "vitest";
import { readToken, subjectKey } from "../../../src/http/callers/bearer-token.ts";
import { TokenSubjects } from "../../../src/http/callers/token-subjects.ts";
import { createLog } from "../../../src/log/log.ts";
import type { Route } from "../../../src/requests/request.ts";
import { startOrigin } from "../../gateway/transparent/origins.ts";
import { AUDIENCE, type Claims, json, startJwksIssuer } from "../../support/jwks-issuer.ts";

const DOCUMENT = "/.well-known/oauth-protected-resource/mcp";
const NEVER_AGAIN = { is: "unverified" };

/** A server that names an issuer, unless the test says that it answers otherwise. */
async function named({ resource = AUDIENCE as unknown, publicUrl = undefined as string | undefined } = {}) {
  const issuer = await startJwksIssuer();
  const state = { issuers: [issuer.issuer] as unknown, status: 200 };
  const server = await startOrigin(({ url }, response) => {
    if (url !== DOCUMENT || state.status === 404) response.writeHead(404).end();
    else if (state.status !== 200) response.writeHead(state.status).end();
    else json(response, { resource, authorization_servers: state.issuers });
  });
  const time = { now: Date.now() };
  const upstream = { transport: "streamable-http", url: new URL("/mcp", server.url) };
  const config = { name: "r", path: "/r/mcp", aliases: ["/mcp"], upstream };
  const route = { config, log: createLog("silent") } as unknown as Route;
  const subjects = new TokenSubjects({ clock: () => time.now, publicUrl });
  const of = async (claims: Claims = {}) => {
    const token = readToken(`Bearer ${await issuer.token(claims)}`);
    if (token === undefined) throw new Error("this is no token");
    return subjects.find(route, token);
  };
  const ada = { is: "verified", key: subjectKey(issuer.issuer, "ada") };
  const askedFor = () => server.received.filter(({ url }) => url === DOCUMENT).length;
  return { issuer, state, time, of, ada, server, upstream, askedFor };
}

test("a token of an issuer that the server names is its subject's", async () => {
  const { of, ada, askedFor, issuer } = await named();
  expect(await Promise.all([of(), of({ jti: "2" }), of({ jti: "3" })])).toEqual([ada, ada, ada]);
  expect(askedFor()).toBe(1);
  expect(issuer.asked.filter((path) => path === "/keys")).toHaveLength(1);
});

test.for<[aud: unknown, is: string]>([
  [AUDIENCE, "verified"],
  [`${AUDIENCE}/`, "verified"],
  [["other", AUDIENCE], "verified"],
  ["https://gate.example/r/mcp", "verified"],
  ["https://gate.example/mcp", "verified"],
  ["https://gate.example/other", "unverified"],
  ["https://tools.example", "unverified"],
  ["api://guid", "unverified"],
])("a token for %j is %s", async ([aud, is]) => {
  const { of } = await named({ publicUrl: "https://gate.example" });
  expect(await of({ aud })).toMatchObject({ is });
});

test("a token for the address that the gateway has of the server is its subject's, whatever the server calls itself", async () => {
  const { of, ada, upstream } = await named({ resource: undefined });
  expect(await of({ aud: upstream.url.href })).toEqual(ada);
});

test("the origin of an issuer may be written with a slash, and the issuer without", async () => {
  const { of, ada, state, issuer } = await named();
  state.issuers = [`${issuer.issuer}/`];
  expect(await of()).toEqual(ada);
});

test("an issuer that the server does not name any more is not believed after a while", async () => {
  const { of, ada, state, time } = await named();
  expect(await of()).toEqual(ada);
  state.issuers = ["https://login.example"];
  time.now += 600_001;
  expect(await of({ exp: Math.floor(time.now / 1_000) + 60 })).toEqual(NEVER_AGAIN);
});

test("a server that is replaced and says nothing meanwhile is believed in what it said, for an hour", async () => {
  const { of, ada, state, time } = await named();
  const fresh = () => of({ exp: Math.floor(time.now / 1_000) + 60 });
  expect(await fresh()).toEqual(ada);
  for (const status of [404, 500]) {
    state.status = status;
    time.now += 600_001;
    expect(await fresh()).toEqual(ada);
  }
  state.status = 404;
  time.now += 3_600_001;
  expect(await fresh()).toEqual(NEVER_AGAIN);
});

test("an issuer that is away makes callers come again, and after a while shuts nobody out", async () => {
  const { of, ada, time, issuer } = await named();
  const documents = new Map(issuer.documents);
  for (const path of issuer.documents.keys())
    issuer.documents.set(path, (response) => void response.destroy());
  expect(await of()).toMatchObject({ is: "unknown" });
  time.now += 10_000;
  expect(await of()).toEqual({ is: "unverified", againMs: 30_000 });
  const before = issuer.asked.length;
  expect(await of()).toEqual({ is: "unverified", againMs: 30_000 });
  expect(issuer.asked.length).toBe(before);
  for (const [path, document] of documents) issuer.documents.set(path, document);
  time.now += 30_000;
  expect(await of()).toEqual(ada);
});

test("an issuer that publishes no keys makes nobody wait", async () => {
  const { of, issuer } = await named();
  issuer.documents.clear();
  expect(await of()).toEqual(NEVER_AGAIN);
});

test("metadata that do not come make callers come again", async () => {
  const { of, ada, state, time } = await named();
  state.status = 503;
  expect(await of()).toMatchObject({ is: "unknown" });
  state.status = 200;
  time.now += 1_000;
  expect(await of()).toEqual(ada);
});

test("a new key of the issuer is found", async () => {
  const { of, ada, time, issuer } = await named();
  expect(await of()).toEqual(ada);
  await issuer.rotate();
  time.now += 5_000;
  expect(await of()).toEqual(ada);
});
