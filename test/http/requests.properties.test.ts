/** What holds for every head of a request: where it belongs, what its client reads, and who is asked. */

import type { IncomingMessage } from "node:http";
import { describe, expect, test } from "vitest";
import { checkSingle } from "../../src/http/guards.ts";
import { endpointAt, otherPathFinder } from "../../src/http/other-paths.ts";
import { RpcError } from "../../src/protocol/errors.ts";
import { answerHeaders, requestHeaders } from "../../src/protocol/forwarded-headers.ts";
import { checkAcceptable, readAccept } from "../../src/protocol/headers.ts";
import type { Route } from "../../src/requests/request.ts";
import * as fc from "../support/properties.ts";

describe("a path", () => {
  const segment = fc.constantFrom(
    "",
    "a",
    "b",
    "mcp",
    "MCP",
    ".",
    "..",
    "%2e%2e",
    "%2F",
    "%00",
    "\\",
    ";x",
    "@h",
    ":80",
    "?q",
    "#",
    "x y",
  );
  const path = fc.array(segment, { maxLength: 8 }).map((parts) => `/${parts.join("/")}`);
  const anything = fc.oneof(
    path,
    fc.string(),
    fc.webUrl(),
    path.map((each) => `/.well-known/x${each}`),
  );

  test("belongs to one server at the most, and never leads to another", () =>
    fc.assert(
      fc.property(
        fc.uniqueArray(path, { minLength: 1, maxLength: 3 }),
        anything,
        fc.boolean(),
        (mounts, url, hasAddress) => {
          const routes = new Map(
            mounts.map((mount, at) => [mount, routeTo(`http://server-${at}.example/base/mcp`)]),
          );
          const site = otherPathFinder(routes, hasAddress)(url);
          const server = site?.route.config.upstream;
          const origin = server !== undefined && "url" in server ? server.url.origin : "none";
          // As the lane makes the url that it asks.
          const target = site === undefined ? "none" : new URL(`${origin}${site.path}`).origin;
          expect(target).toBe(origin);
          expect(site === undefined || [...routes.values()].includes(site.route)).toBe(true);
        },
      ),
      { numRuns: 1_000 },
    ));

  test("that would be an endpoint's is known for one", () =>
    fc.assert(
      fc.property(path, fc.constantFrom("/base/mcp", "/", "/mcp"), (given, endpoint) => {
        const route = routeTo(`http://server.example${endpoint}`);
        const { pathname } = new URL(`http://server.example${given}`);
        expect(pathname !== endpoint || endpointAt({ route, path: given }, []) === route).toBe(true);
        expect(endpointAt({ route, path: `/other${endpoint}x` }, [])).toBeUndefined();
      }),
    ));
});

describe("an Accept", () => {
  const range = fc.tuple(
    fc.constantFrom(
      "application/json",
      "text/event-stream",
      "*/*",
      "application/*",
      "text/*",
      "text/html",
      "x",
      "",
    ),
    fc.constantFrom("", ";q=1", "; q=0.5", " ; charset=utf-8"),
  );

  test("says what its ranges say, whatever stands round them", () =>
    fc.assert(
      fc.property(fc.array(range, { maxLength: 4 }), fc.constantFrom(",", ", ", " ,"), (ranges, comma) => {
        const types = ranges.map(([type]) => type);
        const accepts = (major: string, minor: string) =>
          types.some((type) => [`${major}/${minor}`, `${major}/*`, "*/*"].includes(type));
        expect(readAccept(ranges.map((parts) => parts.join("")).join(comma))).toEqual({
          json: accepts("application", "json"),
          stream: accepts("text", "event-stream"),
        });
      }),
    ));

  test("that is anything is read, or refused by name", () =>
    fc.assert(
      fc.property(fc.string(), (accept) => {
        let error: unknown;
        try {
          checkAcceptable(accept);
        } catch (caught) {
          error = caught;
        }
        expect(error === undefined || (error instanceof RpcError && error.httpStatus === 406)).toBe(true);
      }),
    ));
});

describe("the lines of a head", () => {
  const name = fc.oneof(
    fc.constantFrom(
      "Host",
      "Connection",
      "Content-Length",
      "Transfer-Encoding",
      "TE",
      "Trailer",
      "Upgrade",
      "Expect",
    ),
    fc.constantFrom(
      "Authorization",
      "authorization",
      "Mcp-Session-Id",
      "mcp-session-id",
      "Accept",
      "X-A",
      "x-a",
    ),
    fc.constantFrom("__proto__", "constructor", "Proxy-Authorization", "Keep-Alive", "Set-Cookie"),
  );
  const lines = fc.array(fc.tuple(name, fc.constantFrom("x", "y", "x-a, close", "authorization", "")), {
    maxLength: 10,
  });
  const HOP = [
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "keep-alive",
    "proxy-authorization",
  ];

  test("go on to the server without what is the connection's, and nothing else is lost or made up", () =>
    fc.assert(
      fc.property(lines, (given) => {
        const named = given.flatMap(([key, text]) =>
          key.toLowerCase() === "connection" ? text.split(",").map((each) => each.trim().toLowerCase()) : [],
        );
        const expected = given
          .map(([key, text]) => [key.toLowerCase(), text])
          .filter(([key = ""]) => ![...HOP, ...named, "host"].includes(key));
        const sent = [...requestHeaders(given.flat())].flatMap(([key, values]) =>
          values.map((each) => [key.toLowerCase(), each]),
        );
        const byName = (all: string[][]) => all.map((line) => line.join("\0")).sort();
        expect(byName(sent)).toEqual(byName(expected));
      }),
      { numRuns: 500 },
    ));

  test("come back from the server likewise, in their order", () =>
    fc.assert(
      fc.property(lines, (given) => {
        const kept = answerHeaders(given.flat(), { isRewritten: true });
        const names = kept.filter((_, at) => at % 2 === 0).map((each) => each.toLowerCase());
        expect(names.filter((each) => HOP.includes(each))).toEqual([]);
        let at = 0;
        for (const [key, text] of given) if (kept[at] === key && kept[at + 1] === text) at += 2;
        expect(at).toBe(kept.length);
      }),
    ));

  test("are refused if and only if one is there twice that can be there once", () =>
    fc.assert(
      fc.property(lines, (given) => {
        const keys = given.map(([key]) => key.toLowerCase());
        const twice = ["host", "authorization", "mcp-session-id"].some(
          (key) => keys.filter((each) => each === key).length > 1,
        );
        const headers = Object.fromEntries(keys.map((key) => [key, ""]));
        const request = { headers, rawHeaders: given.flat() } as unknown as IncomingMessage;
        let status: number | undefined;
        try {
          checkSingle(request);
        } catch (error) {
          status = (error as RpcError).httpStatus;
        }
        expect(status).toBe(twice ? 400 : undefined);
      }),
      { numRuns: 500 },
    ));
});

function routeTo(url: string): Route {
  return { config: { upstream: { transport: "auto", url: new URL(url) } } } as unknown as Route;
}
