/** Whose tokens a server takes, as it says itself; and where the gateway looks for that. */

import type { ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { mayAskFor, readServerMetadata } from "../../../src/http/callers/server-metadata.ts";
import { startOrigin } from "../../gateway/transparent/origins.ts";
import { json } from "../../support/jwks-issuer.ts";

const RESOURCE = "/.well-known/oauth-protected-resource";
const OWN = "/.well-known/oauth-authorization-server";
const ISSUER = "https://login.example";
const DOCUMENT = { resource: "https://tools.example/mcp", authorization_servers: [ISSUER] };
const FOUND = { resource: "https://tools.example/mcp", issuers: [ISSUER] };

type Documents = Readonly<Record<string, (response: ServerResponse) => void>>;

/** Asks a server that has these documents, and refuses all else in this way. */
async function asked(documents: Documents, challenge?: string, path = "/mcp") {
  const origin = await startOrigin(({ method, url }, response) => {
    const document = documents[url];
    if (method === "GET" && document !== undefined) return document(response);
    if (challenge === undefined || url !== path) return void response.writeHead(404).end();
    response.writeHead(401, { "WWW-Authenticate": challenge }).end();
  });
  const found = readServerMetadata(new URL(path, origin.url), AbortSignal.timeout(30_000));
  const paths = () => origin.received.map(({ method, url }) => `${method} ${url}`);
  return { found: await found.catch((error: unknown) => error), paths, origin };
}

const says = (document: unknown) => (response: ServerResponse) => json(response, document);

describe("the metadata are found", () => {
  test("at the address that is made of the endpoint's", async () => {
    const { found, paths } = await asked({ [`${RESOURCE}/mcp`]: says(DOCUMENT) });
    expect(found).toEqual(FOUND);
    expect(paths()).toEqual([`GET ${RESOURCE}/mcp`]);
  });

  test("at the root", async () => {
    const { found } = await asked({ [RESOURCE]: says(DOCUMENT) }, undefined, "/a/mcp/");
    expect(found).toEqual(FOUND);
  });

  test("where the challenge says, at the server's own origin", async () => {
    const challenge = 'Bearer realm="x", resource_metadata="https://tools.example/meta?of=mcp"';
    const { found, paths } = await asked({ "/meta?of=mcp": says(DOCUMENT) }, challenge);
    expect(found).toEqual(FOUND);
    expect(paths()).toEqual([`GET ${RESOURCE}/mcp`, `GET ${RESOURCE}`, "HEAD /mcp", "GET /meta?of=mcp"]);
  });

  test("where a server of 2025-03-26 has them", async () => {
    const { found } = await asked({ [OWN]: says({ issuer: ISSUER, jwks_uri: "https://x/keys" }) });
    expect(found).toEqual({ issuers: [ISSUER] });
  });
});

test.for<[what: string, document: unknown, issuers: readonly string[]]>([
  ["that name nobody", {}, []],
  ["that name no list", { authorization_servers: ISSUER }, []],
  ["that name what is no url", { authorization_servers: ["x", 7, "urn:x", "file:///x", ISSUER] }, [ISSUER]],
  [
    "that name more than there may be",
    { authorization_servers: Array.from({ length: 100 }, (_, at) => `https://${at}.example`) },
    Array.from({ length: 8 }, (_, at) => `https://${at}.example`),
  ],
])("metadata %s", async ([, document, issuers]) => {
  expect((await asked({ [`${RESOURCE}/mcp`]: says(document) })).found).toEqual({ issuers });
});

test.for<[what: string, answer: (response: ServerResponse) => void]>([
  ["is forbidden", (response) => void response.writeHead(403).end()],
  ["is elsewhere", (response) => void response.writeHead(302, { Location: "/else" }).end()],
  ["is a page", (response) => void response.end("<html>")],
  ["is too large", (response) => json(response, { x: "x".repeat(1_100_000) })],
])("a document that %s is none", async ([, answer]) => {
  const { found } = await asked({ [`${RESOURCE}/mcp`]: answer, "/else": says(DOCUMENT) });
  expect(found).toBeUndefined();
});

test.for<[what: string, answer: (response: ServerResponse) => void]>([
  ["is broken", (response) => void response.writeHead(500).end()],
  ["is busy", (response) => void response.writeHead(429).end()],
  ["breaks off", (response) => void response.destroy()],
])("of a server that %s nothing is known", async ([, answer]) => {
  expect((await asked({ [`${RESOURCE}/mcp`]: answer })).found).toBeInstanceOf(Error);
});

test("nothing of the operator's or a caller's goes with the questions", async () => {
  const { origin } = await asked({ [OWN]: says({ issuer: ISSUER }) }, "Bearer");
  const names = origin.received.flatMap(({ headers }) => Object.keys(headers));
  expect(new Set(names)).toEqual(new Set(["host", "connection", "accept", "accept-encoding"]));
});

describe("addresses that metadata name", () => {
  const REMOTE = "https://tools.example/mcp";
  const LOCAL = "http://127.0.0.1:3001/mcp";
  test.for<[named: string, server: string, may: boolean]>([
    ["https://login.example/keys", REMOTE, true],
    ["https://login.example/keys", LOCAL, true],
    ["https://10.0.0.1/keys", REMOTE, true],
    ["http://login.example/keys", REMOTE, false],
    ["http://login.example/keys", LOCAL, false],
    ["http://tools.example/keys", "http://tools.example/mcp", true],
    ["http://tools.example:81/keys", "http://tools.example/mcp", false],
    ["http://localhost:9/keys", LOCAL, true],
    ["http://[::1]:9/keys", LOCAL, true],
    ["http://127.0.0.1:9/keys", REMOTE, false],
    ["https://localhost/keys", REMOTE, false],
    ["https://x.localhost/keys", REMOTE, false],
    ["https://2130706433/keys", REMOTE, false],
    ["https://0x7f.1/keys", REMOTE, false],
    ["https://[::1]/keys", REMOTE, false],
    ["https://[::ffff:127.0.0.1]/keys", REMOTE, false],
    ["https://0.0.0.0/keys", REMOTE, false],
    ["https://[::]/keys", REMOTE, false],
    ["https://169.254.169.254/keys", REMOTE, false],
    ["https://[::ffff:169.254.169.254]/keys", REMOTE, false],
    ["https://[fe80::1]/keys", REMOTE, false],
    ["https://user:pass@login.example/keys", REMOTE, false],
    ["ftp://login.example/keys", REMOTE, false],
  ])("%s of the server %s: %s", ([named, server, may]) => {
    expect(mayAskFor(new URL(server))(new URL(named))).toBe(may);
  });
});
