/** What is no MCP server, or cannot be reached, is said in plain words, with what was expected, and exit code 1. */

import { once } from "node:events";
import type { RequestListener, ServerResponse } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { unreachable } from "../../src/inspect/unfit.ts";
import { toFailure } from "../../src/upstream/failure.ts";
import { startScriptedServer } from "../support/scripted-server.ts";
import { type StdioScript, script } from "../support/stdio-servers/scripts.ts";
import { served } from "../wire/served.ts";
import { complaintsOf } from "./inspected.ts";

const html = (status: number, title: string): RequestListener =>
  always(status, "text/html", `<html><title>${title}</title></html>`);

function always(
  status: number,
  type: string,
  body: string,
  headers: Record<string, string> = {},
): RequestListener {
  return (_, response) => void response.writeHead(status, { "content-type": type, ...headers }).end(body);
}

describe("a URL", () => {
  test.each<[string, RequestListener, RegExp]>([
    [
      "with a page",
      html(200, "Welcome"),
      /is no MCP server: POST is answered with HTTP 200 and an HTML page "Welcome"; GET with HTTP 200/,
    ],
    ["where nothing is", always(404, "text/plain", "nobody home"), /HTTP 404 and text\/plain "nobody home"/],
    [
      "with an API of another kind",
      always(200, "application/json", '{"name":"x","version":1}'),
      /JSON with the fields name, version/,
    ],
    [
      "that calls JSON what is none",
      always(200, "application/json", "{oops"),
      /what calls itself JSON "\{oops"/,
    ],
    ["that says nothing", always(204, "text/plain", ""), /HTTP 204 and an empty body/],
    [
      "that moved",
      always(308, "text/plain", "", { location: "https://other.example/mcp?token=secret" }),
      /answers with a redirect \(HTTP 308\) to https:\/\/other\.example\/mcp$/m,
    ],
    [
      "that wants a login",
      always(401, "text/plain", "", {
        "www-authenticate": 'Bearer resource_metadata="https://a.example/.well-known/x"',
      }),
      /wants a login \(HTTP 401\)\n.*WWW-Authenticate: Bearer[\s\S]*Where to log in is said at https:\/\/a\.example\/\.well-known\/x\n[\s\S]*--header/,
    ],
    [
      "that forbids",
      always(403, "text/plain", "no"),
      /wants a login \(HTTP 403\)\n.*does not say which kind/,
    ],
    [
      "that wants a login for its event stream",
      ({ method }, response) => void response.writeHead(method === "GET" ? 401 : 405).end(),
      /wants a login \(HTTP 401\)/,
    ],
    [
      "that refuses to begin",
      always(
        400,
        "application/json",
        '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Server already initialized"}}',
      ),
      /refuses initialize \(HTTP 400\): Server already initialized/,
    ],
    ["that never answers", () => {}, /did not answer initialize within 2000 ms\n.*--timeout/],
    [
      "that hangs up",
      (_, response) => void response.destroy(),
      /closed the connection without an answer \(UND_ERR_SOCKET\)/,
    ],
    ["that answers with a stream of nothing", streamOfNothing, /HTTP 200 and an event stream without events/],
    [
      "of a protocol version that nobody knows",
      always(
        200,
        "application/json",
        '{"jsonrpc":"2.0","id":"hello","result":{"protocolVersion":"1999-01-01"}}',
      ),
      /speaks protocol version 1999-01-01, expected one of 2026-07-28, 2025-11-25/,
    ],
  ])("%s", async (_, listener, words) => {
    const { code, said } = await complaintsOf(await served(listener));
    expect(said).toMatch(words);
    expect(said).not.toContain("secret");
    expect(code).toBe(1);
  });

  test("beside the one of the server is told where that is", async () => {
    const server = await startScriptedServer({
      initialize: (call) => {
        if (call.request.url === "/mcp") call.json({ protocolVersion: "2025-06-18" });
        else call.reply(404, "Not found");
      },
    });
    onTestFinished(server.close);
    const { said } = await complaintsOf(new URL("/", server.url));
    expect(said).toContain(`There is an MCP server at ${server.url}`);
  });

  test("with a certificate that nobody has signed", () => {
    const cause = Object.assign(new Error("self-signed certificate"), {
      code: "DEPTH_ZERO_SELF_SIGNED_CERT",
    });
    const { message, hints } = unreachable(new URL("https://a.example/mcp?key=secret"), toFailure(cause));
    expect(message).toBe(
      "https://a.example/mcp cannot be inspected: TLS problem: its certificate is not trusted here (DEPTH_ZERO_SELF_SIGNED_CERT)",
    );
    expect(hints).toEqual([expect.stringContaining("NODE_EXTRA_CA_CERTS")]);
  });

  test.each([
    [
      "where nothing listens",
      "http://127.0.0.1:1/mcp",
      /nothing listens there \(ECONNREFUSED\)\n.*Is the server running/,
    ],
    ["of a host that does not exist", "http://no-such-host.invalid/mcp", /the host name is not known/],
  ])("%s", async (_, url, words) => {
    const { code, said } = await complaintsOf(new URL(url));
    expect(said).toMatch(words);
    expect(code).toBe(1);
  });

  test("with https where there is only http", async () => {
    const url = await served(html(200, "plain"));
    const { said } = await complaintsOf(new URL(`https://${url.host}/mcp`));
    expect(said).toMatch(/what answers there speaks no TLS[\s\S]*Try http:\/\//);
  });

  test("that speaks no HTTP", async () => {
    const { said } = await complaintsOf(new URL(`http://127.0.0.1:${await listening("SSH-2.0-x\r\n")}/`));
    expect(said).toMatch(/what answers there speaks no HTTP/);
  });
});

describe("a command", () => {
  test.each<[string, readonly string[], RegExp]>([
    [
      "that does not exist",
      ["taskgate-no-such-command"],
      /could not be started: command not found: taskgate-no-such-command/,
    ],
    ["that is no program", [fileURLToPath(new URL("unfit.test.ts", import.meta.url))], /not executable: /],
    [
      "that exits at once",
      words("exits-at-once"),
      /exited with code 1 before it answered initialize: REPORTS_KEY is not set/,
    ],
    ["that never answers", words("silent"), /did not answer initialize within 2000 ms[\s\S]*--timeout/],
  ])("%s", async (_, command, expected) => {
    const { code, said } = await complaintsOf(command);
    expect(said).toMatch(expected);
    expect(code).toBe(1);
  });
});

const streamOfNothing: RequestListener = (_, response: ServerResponse) =>
  void response.writeHead(200, { "content-type": "text/event-stream" }).end();

function words(name: StdioScript): readonly string[] {
  const { command, args } = script(name);
  return [command, ...args];
}

/** A port where everybody is greeted with these bytes. */
async function listening(greeting: string): Promise<number> {
  const server = createServer((socket) => socket.on("error", () => {}).end(greeting)).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}
