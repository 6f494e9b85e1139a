/** What a legacy client is told when its server gives no answer that could be passed on. */

import { Agent, request as httpRequest } from "node:http";
import { describe, expect, onTestFinished, test } from "vitest";
import { ask } from "../gateway/transparent/clients.ts";
import { startRawOrigin } from "../gateway/transparent/origins.ts";
import { gatewayFor } from "../support/gateway.ts";
import { fronted } from "./fronted.ts";

const SECRET = "a-secret-of-the-operator";
const HEADERS = { "x-api-key": SECRET };

describe("a server that is not there", () => {
  test.for<[what: string, body: string, id: unknown]>([
    ["a request", '{"jsonrpc":"2.0","id":7,"method":"tools/list"}', 7],
    ["a request with an id of 0", '{"jsonrpc":"2.0","id":0,"method":"ping"}', 0],
    ["a request with an empty id", '{"jsonrpc":"2.0","id":"","method":"x/y"}', ""],
    ["initialize", '{"jsonrpc":"2.0","id":"i","method":"initialize","params":{}}', "i"],
    ["a call", '{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"t"}}', "c"],
    ["a notification", '{"jsonrpc":"2.0","method":"notifications/initialized"}', null],
    ["an answer", '{"jsonrpc":"2.0","id":7,"result":{}}', null],
    ["an answer that is an error", '{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"x"}}', null],
    ["a batch", '[{"jsonrpc":"2.0","id":1,"method":"ping"}]', null],
  ])("costs %s an answer with its id, and says what happened", async ([, body, id]) => {
    const { url, stop } = await fronted({ headers: HEADERS });
    await stop();
    for (const accept of ["application/json, text/event-stream", "text/event-stream", "text/html"]) {
      const headers = { accept, "content-type": "application/json" };
      const answer = await ask(url, { method: "POST", path: "/mcp", headers, body });
      expect(answer.status).toBe(502);
      expect(answer.headers["content-type"]).toBe("application/json");
      expect(answer.headers["content-length"]).toBe(String(answer.body.length));
      expect(JSON.parse(answer.body.toString())).toEqual({
        jsonrpc: "2.0",
        id,
        error: { code: -32603, message: "The server cannot be reached (ECONNREFUSED)" },
      });
    }
  });

  test.for<[method: string, path: string]>([
    ["GET", "/mcp"],
    ["DELETE", "/mcp"],
    ["PUT", "/page"],
    ["OPTIONS", "/mcp"],
    ["GET", "/page"],
    ["POST", "/mcp/messages"],
    ["GET", "/.well-known/oauth-protected-resource/mcp"],
  ])("is said to be away to %s %s too", async ([method, path]) => {
    const { url, stop } = await fronted({ headers: HEADERS });
    await stop();
    const answer = await ask(url, { method, path, headers: { accept: "text/event-stream" } });
    expect(answer.status).toBe(502);
    expect(answer.headers["content-type"]).toBe("application/json");
    expect(JSON.parse(answer.body.toString())).toEqual({
      jsonrpc: "2.0",
      id: null,
      error: { code: -32603, message: "The server cannot be reached (ECONNREFUSED)" },
    });
  });

  test("is said to be away without a word to HEAD", async () => {
    const { url, stop } = await fronted();
    await stop();
    const { status, body } = await ask(url, { method: "HEAD", path: "/mcp" });
    expect([status, body.length]).toEqual([502, 0]);
  });

  test("costs no client its connection, and is found again when it is back", async () => {
    const { url, origins, stop } = await fronted();
    const { port } = new URL(origins[0]?.url ?? "");
    await stop();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const first = await post(url, agent);
    origins[0]?.server.listen(Number(port), "127.0.0.1");
    await new Promise<void>((resolve) => origins[0]?.server.once("listening", () => resolve()));
    const second = await post(url, agent);
    expect([first.status, second.status]).toEqual([502, 200]);
    expect(first.localPort).toEqual(expect.any(Number));
    expect(second.localPort).toBe(first.localPort);
  });
});

describe("a server that speaks no HTTP, or breaks off", () => {
  test.for<[what: string, bytes: string, message: RegExp]>([
    ["says nothing", "", /^The connection to the server broke: /],
    ["speaks something else", "SSH-2.0-OpenSSH_9.6\r\n\r\n", /^The connection to the server broke: /],
    ["has no end of its head", "HTTP/1.1 200 OK\r\nX: y\r\n", /^The connection to the server broke: /],
    ["has a status that is none", "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", /the status 999$/],
    [
      "switches to what nobody asked for",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
      /^The server/,
    ],
  ])("and that %s is a bad gateway, for requests and for pages", async ([, bytes, message]) => {
    const upstream = new URL("/base/mcp", await startRawOrigin(bytes));
    const { url } = await gatewayFor({ upstream, headers: HEADERS });
    for (const path of ["/mcp", "/page"]) {
      const body = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t"}}`;
      const answer = await ask(url, { method: "POST", path, body });
      expect(answer.status).toBe(502);
      const { id, error } = JSON.parse(answer.body.toString());
      // What is posted elsewhere is no message, as far as the gateway is concerned, and is not looked into.
      expect(id).toBe(path === "/mcp" ? 7 : null);
      expect(error).toEqual({ code: -32603, message: expect.stringMatching(message) });
      expect(answer.body.toString()).not.toMatch(/\.[jt]s:|node_modules|\bat /);
      expect(answer.body.toString()).not.toContain(SECRET);
    }
  });

  test("says nothing of a header of the operator's that cannot be sent", async () => {
    const { url, reached } = await fronted({ headers: { "x-api-key": `${SECRET}\n` } });
    const answer = await ask(url, { method: "POST", path: "/mcp", body: "{}" });
    expect(answer.status).toBe(502);
    expect(answer.body.toString()).toContain("x-api-key");
    expect(answer.body.toString()).not.toContain(SECRET);
    expect(reached()).toEqual([]);
  });
});

/** One request through the agent, and the port that it came from. */
function post(url: URL, agent: Agent): Promise<{ readonly status: unknown; readonly localPort: unknown }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(new URL("/mcp", url), { method: "POST", agent }, (response) => {
      const { localPort } = response.socket;
      response.resume().once("end", () => resolve({ status: response.statusCode, localPort }));
    });
    request.once("error", reject);
    request.end("{}");
  });
}
