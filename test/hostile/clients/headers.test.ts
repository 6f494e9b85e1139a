/** Headers that two programs might read differently: the gateway decides by what its server decides by, or refuses. */

import { describe, expect, test } from "vitest";
import { RpcError } from "../../../src/protocol/errors.ts";
import { open } from "../../gateway/transparent/clients.ts";
import { fronted } from "../../http/fronted.ts";
import { asked, LIST_HEADERS, messageText, served } from "../../http/served.ts";

type Line = readonly [name: string, value: string];

const OTHERS: readonly Line[] = [
  ["Host", "localhost"],
  ["Origin", "http://localhost"],
  ["Authorization", "Bearer other"],
  ["Content-Type", "application/json"],
  ["Mcp-Session-Id", "other"],
  ["MCP-Protocol-Version", "2025-06-18"],
  ["Mcp-Method", "tools/call"],
  ["Mcp-Name", "other"],
  ["Mcp-Param-Region", "other"],
  ["Last-Event-ID", "7"],
];

describe("a header that can be said once is not said twice", () => {
  test.for(OTHERS)("%s, by a legacy client", async ([name, other]) => {
    const { url, reached } = await fronted();
    const lines: readonly Line[] = [
      ["Host", "127.0.0.1"],
      ["Content-Type", "application/json"],
      ["Mcp-Session-Id", "mine"],
      ["Authorization", "Bearer mine"],
      ["Origin", "http://127.0.0.1"],
      ["Mcp-Param-Region", "mine"],
      ["MCP-Protocol-Version", "2025-11-25"],
      ["Mcp-Method", "tools/list"],
      ["Mcp-Name", "mine"],
      ["Last-Event-ID", "6"],
    ];
    for (const path of ["/mcp", "/elsewhere"]) {
      const twice = await post(url, path, [...lines, [name, other]], "{}");
      expect(twice).toMatch(/^HTTP\/1\.1 400 /);
      expect(twice).toContain(`the header ${name.toLowerCase()} is there more than once`);
      expect(await post(url, path, [[name, other], ...lines], "{}")).toMatch(/^HTTP\/1\.1 400 /);
    }
    expect(reached()).toEqual([]);
    expect(await post(url, "/mcp", lines, "{}")).toMatch(/^HTTP\/1\.1 200 /);
  });

  test.for(OTHERS)("%s, by a modern client", async ([name, other]) => {
    const { url, server } = await served();
    const lines: Line[] = Object.entries({ ...LIST_HEADERS, origin: "http://127.0.0.1", "mcp-name": "x" });
    const own: Line = [name.toLowerCase(), other];
    const once = lines.some(([key]) => key === own[0]) ? lines : [...lines, own];
    expect(await post(url, "/mcp", [...once, own], messageText())).toMatch(/^HTTP\/1\.1 400 /);
    expect(asked(server)).toEqual([]);
  });
});

test("what may be said in parts is", async () => {
  const { url, reached } = await fronted();
  const lines: readonly Line[] = [
    ["Host", "127.0.0.1"],
    ["Accept", "application/json"],
    ["Accept", "text/event-stream"],
    ["X-Tags", "10.0.0.1"],
    ["X-Tags", "10.0.0.2"],
    ["__proto__", "x"],
    ["constructor", "y"],
  ];
  expect(await post(url, "/mcp", lines, "{}")).toMatch(/^HTTP\/1\.1 200 /);
  expect(reached()[0]?.headers).toMatchObject({
    accept: "application/json, text/event-stream",
    "x-tags": "10.0.0.1, 10.0.0.2",
  });
});

test("no header is overlooked for the number of those before it", async () => {
  const { url, reached } = await fronted();
  const many: readonly Line[] = Array.from({ length: 1_500 }, (_, at) => [`a${at}`, ""]);
  const lines: readonly Line[] = [["Host", "127.0.0.1"], ...many, ["Origin", "https://evil.example"]];
  expect(await post(url, "/mcp", lines, "{}")).toMatch(/^HTTP\/1\.1 403 /);
  expect(reached()).toEqual([]);
});

const HOSTS = [
  "localhost.",
  "user@localhost",
  "localhost@evil.example",
  "localhost, evil.example",
  "evil.example, localhost",
  "localhost evil.example",
  "localhost:80:80",
  "localhost:99999",
  "localhost/evil.example",
  "localhost#evil.example",
  "localhost\\evil.example",
  "[::1%25lo]",
  "[::1].evil.example",
  "[::ffff:10.0.0.1]",
  "127.0.0.1\x80",
  "evil.example\x00localhost",
];

test("a host that only resembles a name of the gateway is none", async () => {
  const { url, reached } = await fronted();
  for (const host of HOSTS)
    expect(await post(url, "/mcp", [["Host", host]], "{}"), host).toMatch(/^HTTP\/1\.1 40[03] /);
  expect(reached()).toEqual([]);
});

const ORIGINS = [
  "http://localhost.",
  "http://user@localhost",
  "http://localhost@evil.example",
  "http://localhost, http://evil.example",
  "http://evil.example http://localhost",
  "http://evil.example#http://localhost",
  "http://evil.example?localhost",
  "http://localhost.evil.example",
  "http://[::1].evil.example",
  "//localhost",
  "null",
  "*",
];

test("an origin that only resembles one of the gateway's machine may not ask", async () => {
  const { url, reached } = await fronted();
  for (const origin of ORIGINS) {
    const lines: readonly Line[] = [
      ["Host", "127.0.0.1"],
      ["Origin", origin],
    ];
    expect(await post(url, "/mcp", lines, "{}"), origin).toMatch(/^HTTP\/1\.1 403 /);
  }
  expect(reached()).toEqual([]);
});

describe("an endpoint is asked as one, whatever its path is called", () => {
  const CALL = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "x" } });
  test.for([
    "/base/mcp",
    "/mcp/base/mcp",
    "/tested/mcp//base//mcp/",
    "/mcp/BASE/Mcp",
    "/mcp/%62ase/m%63p",
    "/mcp/x/../base/./mcp",
    "/mcp/x/%2e%2e/base%2Fmcp",
    "/mcp/base\\mcp",
    "/mcp/base;a=b/mcp;c",
    "/.well-known/../base/mcp",
  ])("%s", async (path) => {
    const { url, reached } = await fronted();
    const batch = `[${CALL}]`;
    // What only the endpoint is refused, for its depth.
    const deep = `${"[".repeat(200)}${"]".repeat(200)}`;
    expect(await post(url, path, [["Host", "127.0.0.1"]], deep)).toMatch(/^HTTP\/1\.1 400 /);
    expect(reached()).toEqual([]);
    expect(await post(url, path, [["Host", "127.0.0.1"]], batch)).toMatch(/^HTTP\/1\.1 200 /);
    expect(reached().map((request) => request.url)).toEqual(["/base/mcp"]);
  });

  test("and another path is not", async () => {
    const { url, reached } = await fronted();
    const deep = `${"[".repeat(200)}${"]".repeat(200)}`;
    expect(await post(url, "/mcp/base/mcp2", [["Host", "127.0.0.1"]], deep)).toMatch(/^HTTP\/1\.1 200 /);
    expect(reached().map((request) => request.url)).toEqual(["/base/mcp2"]);
  });
});

/** Everything that is answered to a POST whose head has these lines. */
async function post(url: URL, path: string, lines: readonly Line[], body: string): Promise<string> {
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const length = `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n`;
  const connection = open(url, `POST ${path} HTTP/1.1\r\n${head}${length}\r\n${body}`);
  await connection.closed();
  return connection.received;
}

test.for(["Bearer a\r\nX-Injected: b", "Bearer \u2028", "Bearer \0"])(
  "a challenge that no header can hold is left out, and the refusal is told: %j",
  async (challenge) => {
    const refusal = new RpcError({ code: -32_000, message: "who?" }, 401, { "WWW-Authenticate": challenge });
    const { url } = await served({
      identify: () => {
        throw refusal;
      },
    });
    const answer = await post(url, "/mcp", [["Host", "127.0.0.1"]], "{}");
    expect(answer).toMatch(/^HTTP\/1\.1 401 /);
    expect(answer).toContain('"who?"');
    expect(answer).not.toMatch(/injected|www-authenticate/i);
  },
);
