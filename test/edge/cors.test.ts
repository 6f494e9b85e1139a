/** What a browser is allowed: by its server where that has an opinion, else by the gateway. */

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
  "access-control-allow-methods": "GET, POST, DELETE",
  "access-control-allow-headers": PREFLIGHT["access-control-request-headers"],
  vary: "Origin",
};

describe("a browser that asks before it sends", () => {
  test.for(["/mcp", "/messages", "/mcp/messages", "/.well-known/oauth-protected-resource/mcp"])(
    "at %s gets its server's answer, and only that",
    async (path) => {
      const { url, reached } = await fronted({
        ...LISTED,
        answer: (_request, response) => {
          response.writeHead(200, {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "GET,BREW",
            "Access-Control-Allow-Headers": "x-theirs",
            "Access-Control-Max-Age": "7",
            Vary: "X-Theirs",
          });
          response.end("theirs");
        },
      });
      const answer = await ask(url, { method: "OPTIONS", path, headers: PREFLIGHT });
      expect([answer.status, answer.body.toString()]).toEqual([200, "theirs"]);
      expect(values(answer, "access-control-allow-origin")).toEqual(["*"]);
      expect(values(answer, "access-control-allow-methods")).toEqual(["GET,BREW"]);
      expect(values(answer, "access-control-allow-headers")).toEqual(["x-theirs"]);
      expect(values(answer, "access-control-max-age")).toEqual(["7"]);
      expect(values(answer, "vary")).toContain("X-Theirs");
      expect(reached()).toMatchObject([{ method: "OPTIONS", headers: PREFLIGHT }]);
    },
  );

  test.for<[what: string, answer: (request: ReceivedRequest, response: ServerResponse) => void]>([
    ["does not know the method", (_request, response) => void response.writeHead(405).end("no")],
    ["has nothing there", (_request, response) => void response.writeHead(404).end("no")],
    ["wants to know who is asking", (_request, response) => void response.writeHead(401).end()],
    [
      "knows the method and nothing of browsers",
      (_request, response) =>
        void response.writeHead(200, { Allow: "GET, POST", Vary: "X" }).end("x".repeat(9_999)),
    ],
    ["hangs up", (_request, response) => void response.destroy()],
  ])("gets the gateway's answer when the server %s", async ([, answer]) => {
    const { url } = await fronted({ ...LISTED, answer });
    const { status, headers, body } = await ask(url, { method: "OPTIONS", path: "/mcp", headers: PREFLIGHT });
    expect(status).toBe(204);
    expect(headers).toMatchObject(OURS);
    expect(headers.allow).toBeUndefined();
    expect(body).toHaveLength(0);
  });

  test.for(["/mcp", "/.well-known/oauth-protected-resource"])(
    "at %s gets the gateway's answer when the server is down",
    async (path) => {
      const { url, stop } = await fronted(LISTED);
      await stop();
      const { status, headers } = await ask(url, { method: "OPTIONS", path, headers: PREFLIGHT });
      expect(status).toBe(204);
      expect(headers).toMatchObject(OURS);
    },
  );

  test.for(["content-type, Mcp-Method", "mcp-method", "MCP-METHOD,mcp-protocol-version"])(
    "for a modern client (%s) is answered by the gateway, whatever the server thinks",
    async (asked) => {
      const { url, reached } = await fronted({ ...LISTED, answer: theirs });
      const headers = { ...PREFLIGHT, "access-control-request-headers": asked };
      const answer = await ask(url, { method: "OPTIONS", path: "/mcp", headers });
      expect(answer.status).toBe(204);
      expect(answer.headers).toMatchObject({ ...OURS, "access-control-allow-headers": asked });
      expect(reached()).toEqual([]);
    },
  );

  test.for(["x-mcp-method", "mcp-methods", "content-type;mcp-method"])(
    "for something else (%s) is none of a modern client",
    async (asked) => {
      const { url, reached } = await fronted({ ...LISTED, answer: theirs });
      const headers = { ...PREFLIGHT, "access-control-request-headers": asked };
      await ask(url, { method: "OPTIONS", path: "/mcp", headers });
      expect(reached()).toMatchObject([{ method: "OPTIONS" }]);
    },
  );

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

  test("of a server that knows browsers is as the server says, and said once", async () => {
    const { url } = await answered(LISTED, {
      "Access-Control-Allow-Origin": "*",
      "Access-Control-Expose-Headers": "X-Theirs",
      "Access-Control-Allow-Credentials": "true",
      Vary: "X-Theirs",
    });
    const answer = await ask(url, POST);
    expect(values(answer, "access-control-allow-origin")).toEqual(["*"]);
    expect(values(answer, "access-control-expose-headers")).toEqual(["X-Theirs"]);
    expect(values(answer, "access-control-allow-credentials")).toEqual(["true"]);
    expect(values(answer, "vary")).toContain("X-Theirs");
  });

  test("of a server that names another origin is not opened to this one", async () => {
    const { url } = await answered(LISTED, { "access-control-allow-origin": "https://other.example" });
    expect(values(await ask(url, POST), "access-control-allow-origin")).toEqual(["https://other.example"]);
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
