/** Which of the tokens that an issuer signs are access tokens. */

import { describe, expect, test } from "vitest";
import { otherKindOf } from "../../../src/http/callers/token-kind.ts";
import type { Claims } from "../../support/jwks-issuer.ts";

const kindOf = (header: object, claims: Claims) => otherKindOf({ alg: "ES256", ...header }, claims);
const EVENT = { events: { "http://schemas.openid.net/event/backchannel-logout": {} } };

describe("an access token is taken", () => {
  test.for<[whose: string, header: object, claims: Claims]>([
    ["RFC 9068", { typ: "at+jwt" }, { aud: "api", client_id: "c" }],
    ["RFC 9068, in full", { typ: "application/at+jwt" }, { aud: "api" }],
    ["RFC 9068, in capitals", { typ: "AT+JWT" }, { aud: "api", nonce: "n" }],
    ["an issuer that writes no type, such as Okta", {}, { aud: "api://default", cid: "c", scp: ["tools"] }],
    ["Auth0", { typ: "JWT" }, { aud: "https://api.example", azp: "c", scope: "tools" }],
    [
      "Auth0, for a machine without scopes",
      { typ: "JWT" },
      { aud: "api", azp: "c", gty: "client-credentials" },
    ],
    ["Entra ID, v2", { typ: "JWT" }, { aud: "guid", azp: "other", azpacr: "1", scp: "tools", ver: "2.0" }],
    [
      "Entra ID, of an app for itself",
      { typ: "JWT" },
      { aud: "guid", azp: "guid", azpacr: "1", roles: ["r"] },
    ],
    ["Entra ID, v1", { typ: "JWT" }, { aud: "api://guid", appid: "guid", appidacr: "0" }],
    ["Keycloak", { typ: "JWT" }, { aud: "account", azp: "web", typ: "Bearer", sid: "s" }],
    [
      "Keycloak before 24",
      { typ: "JWT" },
      { aud: "web", azp: "web", typ: "Bearer", nonce: "n", scope: "openid" },
    ],
    ["Amazon Cognito", {}, { aud: "api", client_id: "c", token_use: "access", scope: "tools" }],
    ["somebody who writes it small", { typ: "jwt" }, { aud: "api" }],
    ["somebody who has clients in the audience too", { typ: "JWT" }, { aud: ["api", "web"], azp: "web" }],
    ["somebody who says nothing else", {}, { aud: "api" }],
    ["somebody with a claim typ of their own", { typ: "JWT" }, { aud: "api", typ: "employee" }],
  ])("of %s", ([, header, claims]) => {
    expect(kindOf(header, claims)).toBeUndefined();
  });
});

describe("another token is refused", () => {
  test.for<[what: string, header: object, claims: Claims, kind: RegExp]>([
    ["logout+jwt", { typ: "logout+jwt" }, EVENT, /typ: logout\+jwt/],
    ["a type that only looks like it", { typ: "at+jwt+x" }, {}, /typ: at\+jwt\+x/],
    ["a security event", { typ: "secevent+jwt" }, EVENT, /typ: secevent\+jwt/],
    ["an answer about a token", { typ: "token-introspection+jwt" }, {}, /another type/],
    ["a proof", { typ: "dpop+jwt" }, {}, /another type/],
    ["a request", { typ: "oauth-authz-req+jwt" }, {}, /another type/],
    ["a credential", { typ: "application/vc+sd-jwt" }, {}, /another type/],
    ["no name of a type", { typ: 'x"\r\ny' }, {}, /typ: x\?\?\?y/],
    ["a type that is no text", { typ: 7 }, {}, /another type/],
    ["a type that is empty", { typ: "" }, {}, /another type/],
    ["a logout token without a type", {}, { ...EVENT, scope: "x" }, /a logout token/],
    ["an event that is none", { typ: "JWT" }, { events: null }, /a logout token/],
    [
      "an ID token with its hashes",
      { typ: "JWT" },
      { nonce: "n", at_hash: "h", scope: "x" },
      /an ID token \(at_hash/,
    ],
    ["an ID token of a hybrid login", { typ: "JWT" }, { c_hash: "h" }, /an ID token \(c_hash/],
    ["an ID token with a nonce", {}, { aud: "web", nonce: "n" }, /an ID token \(nonce/],
    ["an ID token for its client", { typ: "JWT" }, { aud: "web", azp: "web" }, /an ID token \(azp/],
    ["an ID token for its client alone", { typ: "JWT" }, { aud: ["web"], azp: "web" }, /an ID token \(azp/],
    ["an ID token of Keycloak", { typ: "JWT" }, { typ: "ID", aud: "web", azp: "web" }, /an ID token \(typ/],
    ["a refresh token of Keycloak", { typ: "JWT" }, { typ: "Offline", scope: "x" }, /a refresh token/],
    ["a logout token of Keycloak", { typ: "JWT" }, { typ: "Logout" }, /a logout token/],
    ["an ID token of Amazon Cognito", {}, { token_use: "id", aud: "web" }, /an ID token \(token_use/],
  ])("%s", ([, header, claims, kind]) => {
    expect(kindOf(header, claims)).toMatch(kind);
  });
});
