/** What a browser is allowed: by the operator, whatever the server says. */

import type { ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { type Answered, ask } from "../gateway/transparent/clients.ts";
import type { ReceivedRequest } from "../gateway/transparent/origins.ts";
import { type FrontedOptions, fronted } from "./fronted.ts";

const APP = "https://app.example";
const LISTED = { listen: { allowedOrigins: [APP] } };
const PREFLIGHT = {
  origin: APP,
  "access-control-request-method": "POST",
  "access-control-request-headers": "content-type,mcp-session-id,mcp-protocol-version",
};
/** What the gateway says where the server says nothing. */
const OURS = {
  "access-control-allow-origin": APP,
  "access-control-allow-methods": "GET, HEAD, POST, DELETE",
  "access-control-allow-headers": PREFLIGHT["access-control-request-headers"],
  vary: "Origin",
};

describe("a browser that asks before it sends", () => {
  test.for<[path: string, methods: string]>([
    ["/mcp", "GET, HEAD, POST, DELETE"],
    ["/messages", "GET, HEAD, POST, PUT, PATCH, DELETE"],
    ["/mcp/messages", "GET, HEAD, POST, PUT, PATCH, DELETE"],
    ["/.well-known/oauth-protected-resource/mcp", "GET, HEAD, POST, PUT, PATCH, DELETE"],
  ])("at %s is answered by the gateway, whatever the server thinks", async ([path, methods]) => {
    const { url, reached } = await fronted({ ...LISTED, answer: theirs });
    for (const asked of [PREFLIGHT["access-control-request-headers"], "mcp-method", "x-anything"]) {
      const headers = { ...PREFLIGHT, "access-control-request-headers": asked };
      const answer = await ask(url, { method: "OPTIONS", path, headers });
      expect([answer.status, answer.body.length]).toEqual([204, 0]);
      expect(answer.headers).toMatchObject({
        ...OURS,
        "access-control-allow-methods": methods,
        "access-control-allow-headers": asked,
      });
    }
    expect(reached()).toEqual([]);
  });

  test("from an origin that may not is refused, and its server not asked", async () => {
    const { url, reached } = await fronted({ ...LISTED, answer: theirs });
    const headers = { ...PREFLIGHT, origin: "https://evil.example" };
    const answer = await ask(url, { method: "OPTIONS", path: "/mcp", headers });
    expect(answer.status).toBe(403);
    expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
    expect(reached()).toEqual([]);
  });
});

test("who asks for the methods, and is no browser, gets the server's answer", async () => {
  const { url } = await fronted({
    ...LISTED,
    answer: (_request, response) => void response.writeHead(200, { Allow: "BREW" }).end(),
  });
  const { status, headers } = await ask(url, { method: "OPTIONS", path: "/mcp" });
  expect([status, headers.allow, headers["access-control-allow-origin"]]).toEqual([200, "BREW", undefined]);
});

describe("an answer to a browser", () => {
  const POST = { method: "POST", path: "/mcp", body: "{}", headers: { origin: APP } } as const;

  test("of a server that knows nothing of browsers may be read, with what a client needs of it", async () => {
    const { url } = await answered(LISTED, { "Mcp-Session-Id": "s" });
    const answer = await ask(url, POST);
    expect(values(answer, "access-control-allow-origin")).toEqual([APP]);
    expect(values(answer, "vary")).toEqual(["Origin"]);
    expect(exposed(answer)).toEqual(["mcp-session-id", "www-authenticate"]);
    expect(answer.headers["mcp-session-id"]).toBe("s");
  });

  test.for(["/mcp", "/page"])("is the operator's to open, and not the server's: %s", async (path) => {
    const { url } = await answered(LISTED, {
      "Access-Control-Allow-Origin": "https://other.example",
      "Access-Control-Expose-Headers": "X-Theirs",
      "Access-Control-Allow-Credentials": "true",
      Vary: "X-Theirs",
    });
    const answer = await ask(url, { ...POST, path });
    expect(values(answer, "access-control-allow-origin")).toEqual([APP]);
    expect(exposed(answer)).toEqual(["mcp-session-id", "www-authenticate"]);
    expect(values(answer, "access-control-allow-credentials")).toEqual([]);
    expect(values(answer, "vary").join()).toContain("Origin");
    expect(values(answer, "vary").join()).toContain("X-Theirs");
    const { headers } = await ask(url, { method: "POST", path, body: "{}" });
    expect(Object.keys(headers).filter((name) => name.startsWith("access-control-"))).toEqual([]);
  });

  test("may be read when it says who is wanted", async () => {
    const { url } = await fronted({
      ...LISTED,
      answer: (_request, response) =>
        void response.writeHead(401, { "WWW-Authenticate": 'Bearer realm="x"' }).end("{}"),
    });
    const answer = await ask(url, POST);
    expect(answer.status).toBe(401);
    expect(answer.headers["www-authenticate"]).toBe('Bearer realm="x"');
    expect(values(answer, "access-control-allow-origin")).toEqual([APP]);
    expect(exposed(answer)).toContain("www-authenticate");
  });

  test.for(["/mcp", "/elsewhere"])("may be read when there is none from the server: %s", async (path) => {
    const { url, stop } = await fronted(LISTED);
    await stop();
    const answer = await ask(url, { ...POST, path });
    expect(answer.status).toBe(502);
    expect(values(answer, "access-control-allow-origin")).toEqual([APP]);
  });

  test.for([
    ["POST", "/mcp"],
    ["GET", "/mcp"],
    ["DELETE", "/mcp"],
    ["GET", "/.well-known/oauth-protected-resource"],
    ["GET", "/page"],
  ] as const)(
    "of an origin that may not is refused before its server is asked: %s %s",
    async ([method, path]) => {
      const { url, reached } = await fronted(LISTED);
      const { status, headers } = await ask(url, {
        method,
        path,
        headers: { origin: "https://evil.example" },
      });
      expect(status).toBe(403);
      expect(headers["access-control-allow-origin"]).toBeUndefined();
      expect(reached()).toEqual([]);
    },
  );

  test("to a name that is not ours is refused before its server is asked", async () => {
    const { url, reached } = await fronted(LISTED);
    for (const path of ["/mcp", "/page", "/.well-known/x/mcp"]) {
      expect((await ask(url, { path, headers: { host: "evil.example" } })).status).toBe(403);
    }
    expect(reached()).toEqual([]);
  });

  test("of a server that varies with something else gets an answer that varies with the origin too", async () => {
    const { url } = await answered(LISTED, { Vary: "Accept-Encoding" });
    expect(values(await ask(url, POST), "vary").sort()).toEqual(["Accept-Encoding", "Origin"]);
  });

  test("that is no browser says nothing of origins", async () => {
    const { url } = await answered(LISTED, {});
    const { headers } = await ask(url, { method: "POST", path: "/mcp", body: "{}" });
    expect(Object.keys(headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
  });
});

function theirs(_request: ReceivedRequest, response: ServerResponse): void {
  response.writeHead(200, { "Access-Control-Allow-Origin": "https://theirs.example" }).end();
}

function answered(settings: FrontedOptions, headers: Readonly<Record<string, string>>) {
  return fronted({
    ...settings,
    answer: (_request, response) => void response.writeHead(200, headers).end("{}"),
  });
}

/** All values of a header, in the lines in which they came. */
function values({ rawHeaders }: Answered, name: string): string[] {
  return rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name);
}

function exposed({ headers }: Answered): string[] {
  const names = headers["access-control-expose-headers"]?.split(",") ?? [];
  return names.map((name) => name.trim().toLowerCase()).sort();
}
