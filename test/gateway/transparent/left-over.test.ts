/** A server that says more than it announced, and callers whose answers must not be each other's. */

import { createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { Conditions } from "../../support/conditions.ts";
import { ask } from "./clients.ts";
import { proxyFront } from "./fronts.ts";
import { listening, startOrigin } from "./origins.ts";

const PLANTED = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nplanted";

describe("what a server sends after the end of its answer", () => {
  test.for<[what: string, method: string, head: string]>([
    ["a body for HEAD", "HEAD", `200 OK\r\nContent-Length: ${PLANTED.length}`],
    ["a body after 204", "GET", "204 No Content"],
    ["a body after 204 that has a length", "GET", `204 No Content\r\nContent-Length: ${PLANTED.length}`],
    ["a body after 304", "GET", `304 Not Modified\r\nContent-Length: ${PLANTED.length}`],
    ["a body after 304 to a POST", "POST", "304 Not Modified"],
  ])("%s is nobody's answer", async ([, method, head]) => {
    const server = await startExcessive(head);
    const front = await proxyFront(server.url);
    await ask(front.url, { method, path: "/excess" });
    const next = await ask(front.url, { path: "/next" });
    expect([next.status, next.body.toString()]).toEqual([200, "/next"]);
    expect(server.connections).toBe(2);
  });

  test.for<[what: string, rest: string]>([
    ["another answer", PLANTED],
    ["half of one", PLANTED.slice(0, 20)],
    ["one byte", "x"],
    ["a line break", "\r\n"],
  ])("%s beyond the announced length ends the connection", async ([, rest]) => {
    const server = await startExcessive("200 OK\r\nContent-Length: 2\r\n\r\nok", { rest, isHeldBack: true });
    const front = await proxyFront(server.url);
    expect((await ask(front.url, { path: "/excess" })).body.toString()).toBe("ok");
    server.sayTheRest();
    await server.until(() => server.sockets === 0, "the connection is closed");
    const next = await ask(front.url, { path: "/next" });
    expect([next.status, next.body.toString()]).toEqual([200, "/next"]);
  });

  test("in the same packet ends the connection as well", async () => {
    const server = await startExcessive(`200 OK\r\nContent-Length: 2\r\n\r\nok${PLANTED}`, { rest: "" });
    const front = await proxyFront(server.url);
    await ask(front.url, { path: "/excess" }).catch(() => undefined);
    const next = await ask(front.url, { path: "/next" });
    expect([next.status, next.body.toString()]).toEqual([200, "/next"]);
    expect(server.connections).toBe(2);
  });
});

describe("a connection", () => {
  const fine = (_request: unknown, response: { end(text: string): unknown }) => void response.end("fine");

  test.for(["authorization", "cookie", "mcp-session-id", "x-api-key", "x-forwarded-for", "x-unheard-of"])(
    "is not shared by requests whose %s is different",
    async (name) => {
      const origin = await startOrigin(fine);
      const front = await proxyFront(origin.url);
      for (const value of ["alice", "mallory", "alice", "mallory"])
        await ask(front.url, { headers: { [name]: value } });
      await ask(front.url);
      expect(origin.connections).toBe(3);
    },
  );

  test("is shared by requests that differ in what tells no callers apart", async () => {
    const origin = await startOrigin(fine);
    const front = await proxyFront(origin.url);
    const headers = { authorization: "Bearer a", accept: "*/*" };
    await ask(front.url, { headers: { ...headers, traceparent: "00-1-1-00", "x-request-id": "1" } });
    await ask(front.url, { headers: { ...headers, traceparent: "00-2-2-00", "x-request-id": "2" } });
    await ask(front.url, { method: "POST", body: "{}", headers: { ...headers, "mcp-method": "ping" } });
    expect(origin.connections).toBe(1);
  });

  test("is kept for a bounded number of callers", async () => {
    const origin = await startOrigin(fine);
    origin.server.keepAliveTimeout = 0;
    const front = await proxyFront(origin.url, {}, { idleMs: 3_600_000 });
    for (let nth = 0; nth < 70; nth += 1)
      await ask(front.url, { headers: { authorization: `Bearer ${nth}` } });
    await origin.until(() => origin.sockets === 64, "64 idle connections");
    // The one that was used last is there, and the first is not.
    await ask(front.url, { headers: { authorization: "Bearer 69" } });
    expect(origin.connections).toBe(70);
    await ask(front.url, { headers: { authorization: "Bearer 0" } });
    expect(origin.connections).toBe(71);
  });
});

/** Answers `/excess` with this head and, after it, what it did not announce; everything else with the path. */
async function startExcessive(
  head: string,
  { rest = PLANTED, isHeldBack = false }: { readonly rest?: string; readonly isHeldBack?: boolean } = {},
) {
  const sockets = new Set<Socket>();
  let connections = 0;
  let sayTheRest = () => {};
  const conditions = new Conditions(() => `${sockets.size} sockets`);
  const server = createServer((socket) => {
    sockets.add(socket);
    connections += 1;
    socket.once("close", () => {
      sockets.delete(socket);
      conditions.check();
    });
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      const path = /^\w+ (\S+)/.exec(chunk.toString())?.[1] ?? "";
      if (path === "/excess") {
        socket.write(`HTTP/1.1 ${head}${head.includes("\r\n\r\n") ? "" : "\r\n\r\n"}`);
        sayTheRest = () => void socket.write(rest);
        if (!isHeldBack) setImmediate(sayTheRest);
      } else {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`);
      }
    });
  });
  const url = await listening(server);
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    url,
    get connections() {
      return connections;
    },
    get sockets() {
      return sockets.size;
    },
    sayTheRest: () => sayTheRest(),
    until: (condition: () => boolean, what: string) => conditions.found(() => condition() || undefined, what),
  };
}
