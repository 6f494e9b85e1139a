/** Where a server sends its clients: nobody is led past the gateway. */

import type { ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { fronted } from "../../http/fronted.ts";
import { ask } from "./clients.ts";
import type { ReceivedRequest } from "./origins.ts";

const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

describe("an endpoint that has moved to another path of its server", () => {
  test.for<[status: number, method: string]>([
    [307, "POST"],
    [308, "POST"],
    [301, "POST"],
    [302, "POST"],
    [301, "GET"],
    [302, "GET"],
    [307, "GET"],
    [308, "GET"],
    [301, "HEAD"],
    [308, "HEAD"],
    [301, "DELETE"],
    [302, "DELETE"],
    [307, "DELETE"],
    [308, "DELETE"],
  ])("is found there: %i for %s", async ([status, method]) => {
    const { url, reached } = await fronted({
      answer: ({ url, headers }, response) => {
        const location = `http://${headers.host}/base/mcp/?moved`;
        if (url === "/base/mcp") response.writeHead(status, { Location: location }).end("moved");
        else response.end("here");
      },
    });
    const body = method === "POST" ? PING : undefined;
    const answer = await ask(url, { method, path: "/mcp", ...(body === undefined ? {} : { body }) });
    expect([answer.status, answer.headers.location]).toEqual([200, undefined]);
    expect(answer.body.toString()).toBe(method === "HEAD" ? "" : "here");
    expect(reached().map(({ url, method, body }) => [method, url, body.toString()])).toEqual([
      [method, "/base/mcp", body ?? ""],
      [method, "/base/mcp/?moved", body ?? ""],
    ]);
  });

  test.for([301, 302, 307, 308])("is found where there is a slash too many: %i", async (status) => {
    const { url, reached } = await fronted({
      routes: { "/tested/mcp": "/base/mcp/" },
      answer: ({ url }, response) => {
        if (url === "/base/mcp/") response.writeHead(status, { Location: "../mcp" }).end();
        else response.end("here");
      },
    });
    for (const method of ["GET", "DELETE"]) {
      const answer = await ask(url, { method, path: "/mcp" });
      expect([answer.status, answer.body.toString()]).toEqual([200, "here"]);
    }
    expect(reached().map(({ url }) => url)).toEqual(["/base/mcp/", "/base/mcp", "/base/mcp/", "/base/mcp"]);
  });

  test.for(["GET", "HEAD", "POST", "DELETE"])(
    "is not looked for, by %s, where a client would be led round and round: with another scheme, or host",
    async (method) => {
      for (const location of ["https://HOST/base/mcp", "http://elsewhere.example/base/mcp/"]) {
        const { url, reached } = await fronted({
          answer: ({ headers }, response) => {
            const to = location.replace("HOST", String(headers.host));
            response.writeHead(301, { Location: to }).end();
          },
        });
        const body = method === "POST" ? PING : undefined;
        const answer = await ask(url, { method, path: "/mcp", ...(body === undefined ? {} : { body }) });
        expect([answer.status, answer.headers.location]).toEqual([502, undefined]);
        expect(reached()).toHaveLength(1);
      }
    },
  );

  test.for(["/base/mcp", "/elsewhere"])(
    "is not asked a second time by POST after a 302 to %s",
    async (location) => {
      const { url, reached } = await fronted({
        answer: (_request, response) => void response.writeHead(302, { Location: location }).end(),
      });
      const answer = await ask(url, { method: "POST", path: "/mcp", body: PING });
      expect(answer.status).toBe(302);
      expect(reached()).toHaveLength(1);
    },
  );

  test("is not looked for for ever", async () => {
    const { url, reached } = await fronted({
      answer: (_request, response) => void response.writeHead(307, { Location: "/base/mcp" }).end(),
    });
    const answer = await ask(url, { method: "POST", path: "/mcp", body: PING });
    expect([answer.status, JSON.parse(answer.body.toString()).error.message]).toEqual([
      502,
      "The server redirects more than 5 times",
    ]);
    expect(reached()).toHaveLength(6);
  });

  test.for(["https://127.0.0.1:1/mcp", "http://elsewhere.example/mcp", "//elsewhere.example/mcp"])(
    "is not looked for at another origin: %s",
    async (location) => {
      const { url, reached } = await fronted({
        answer: (_request, response) => void response.writeHead(307, { Location: location }).end(),
      });
      const answer = await ask(url, { method: "POST", path: "/mcp", body: PING });
      expect(answer.status).toBe(502);
      expect(answer.headers.location).toBeUndefined();
      expect(answer.body.toString()).toContain("upstream.url");
      expect(reached()).toHaveLength(1);
    },
  );
});

describe("what a client is told of where to go", () => {
  const redirecting =
    (status: number, location: string) =>
    ({ headers }: ReceivedRequest, response: ServerResponse) =>
      void response.writeHead(status, { Location: location.replace("HOST", headers.host ?? "") }).end();

  test.for<[path: string, status: number, location: string, told: string]>([
    ["/mcp", 301, "http://HOST/base/mcp/", "/mcp"],
    ["/tested/mcp", 302, "http://HOST/base/mcp", "/tested/mcp"],
    ["/mcp", 303, "/login?next=%2F#x", "/mcp/login?next=%2F#x"],
    ["/mcp/page", 302, "http://HOST/other?a=1", "/mcp/other?a=1"],
    ["/mcp/page", 307, "other", "/mcp/other"],
    ["/page", 308, "https://HOST/page/", "/page/"],
    ["/page", 301, "//HOST/page/", "/page/"],
    ["/page", 302, "/login?next=%2F", "/login?next=%2F"],
    ["/page", 302, "/mcp/x", "/tested/mcp/mcp/x"],
    ["/page", 302, "http://HOST/base/mcp", "/tested/mcp"],
    ["/page", 201, "http://HOST/page/1", "/page/1"],
    ["/page", 302, "https://login.example/?to=x", "https://login.example/?to=x"],
    ["/page", 302, "http://[", "http://["],
  ])("at %s by %i to %s is %s", async ([path, status, location, told]) => {
    const { url } = await fronted({ answer: redirecting(status, location) });
    const answer = await ask(url, { path });
    expect([answer.status, answer.headers.location]).toEqual([status, told]);
  });
});

test.for(["/mcp/", "/tested/mcp/", "/mcp/?q=1"])("%s is the endpoint as well", async (path) => {
  const { url, reached } = await fronted();
  expect((await ask(url, { method: "POST", path, body: PING })).status).toBe(200);
  expect(reached().map(({ url }) => url)).toEqual([`/base/mcp${path.includes("?") ? "?q=1" : ""}`]);
});
