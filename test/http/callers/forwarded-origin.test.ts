/** By which address the gateway names itself behind a proxy. */

import { expect, test } from "vitest";
import { ask } from "../../gateway/transparent/clients.ts";
import { fronted } from "../fronted.ts";

const JWT = {
  identify: "jwt",
  issuer: "https://login.example",
  audience: ["a"],
  scopes: [],
  clockToleranceMs: 0,
} as const;
const PROXY = ["127.0.0.1"];

test.for<[trusted: readonly string[], headers: Readonly<Record<string, string>>, origin: string]>([
  [PROXY, { "x-forwarded-proto": "https", "x-forwarded-host": "tools.example" }, "https://tools.example"],
  [PROXY, { "x-forwarded-proto": "https" }, "https://localhost"],
  [PROXY, { "x-forwarded-host": "tools.example:8443" }, "http://tools.example:8443"],
  // The last is from the proxy that is trusted.
  [
    PROXY,
    { "x-forwarded-proto": "http, HTTPS", "x-forwarded-host": "evil.example, a.example" },
    "https://a.example",
  ],
  [PROXY, { forwarded: 'for=1.2.3.4;proto=https;host="tools.example:1"' }, "https://tools.example:1"],
  [PROXY, { forwarded: "host=evil.example, for=x; Proto=https ;host=a.example" }, "https://a.example"],
  // RFC 7239 takes the place of the others.
  [PROXY, { forwarded: "proto=https", "x-forwarded-host": "b.example" }, "https://localhost"],
  [PROXY, { "x-forwarded-proto": "gopher", "x-forwarded-host": "a/b@c" }, "http://localhost"],
  [PROXY, { forwarded: 'host="a" b"; proto=' }, "http://a"],
  [["10.0.0.0/8"], { "x-forwarded-proto": "https", "x-forwarded-host": "evil.example" }, "http://localhost"],
  [[], { forwarded: "proto=https;host=evil.example" }, "http://localhost"],
])("with %j trusted, %j is %s", async ([trustedProxies, headers, origin]) => {
  const { url } = await fronted({ callers: { ...JWT, trustedProxies } });
  const document = await ask(url, {
    path: "/.well-known/oauth-protected-resource/mcp",
    headers: { host: "localhost", ...headers },
  });
  expect(JSON.parse(String(document.body))).toMatchObject({ resource: `${origin}/mcp` });
  const refused = await ask(url, { path: "/mcp", headers: { host: "localhost", ...headers } });
  expect(refused.status).toBe(401);
  expect(refused.headers["www-authenticate"]).toContain(
    `resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`,
  );
});
